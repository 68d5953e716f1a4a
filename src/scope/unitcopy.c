#include "scope/unitcopy.h"

void
unitcopy_reset(struct unit_copy *c)
{
	*c = (struct unit_copy){0};
}

void
unitcopy_ask(struct unit_copy *c)
{
	c->asked = true;
	c->flushed = false;
	c->ends = 0;
}

static enum unitcopy_verdict
take_data(struct unit_copy *c, enum unitcopy_place place, char type)
{
	/* Data of the next COPY in a text of parts may come before that has begun: the server would
	 * drop it. */
	if (place == UNITCOPY_PART && (!c->open || c->ends > 0))
		return UNITCOPY_HOLD;
	if (type != 'd') {
		c->ends++;
		c->flushed = false;
	}
	return UNITCOPY_PASS;
}

enum unitcopy_verdict
unitcopy_member(struct unit_copy *c, enum unitcopy_place place, char type, bool failed)
{
	bool takes = c->open && c->ends == 0;

	if (place == UNITCOPY_ELSEWHERE)
		return UNITCOPY_ORDINARY;
	switch (type) {
	case 'd':
	case 'c':
	case 'f':
		return take_data(c, place, type);
	case 'X':
		return UNITCOPY_ORDINARY;
	case 'H':
		return takes ? UNITCOPY_PASS : UNITCOPY_ORDINARY;
	case 'S':
		if (!takes)
			return UNITCOPY_ORDINARY;
		if (place == UNITCOPY_EXCHANGE)
			return UNITCOPY_SYNC;
		c->syncs++;
		return UNITCOPY_PASS;
	default:
		if (takes)
			return UNITCOPY_END;
		return place == UNITCOPY_EXCHANGE && c->asked && !failed ? UNITCOPY_HOLD
									 : UNITCOPY_ORDINARY;
	}
}

bool
unitcopy_flush(struct unit_copy *c)
{
	bool was = c->flushed;

	c->flushed = true;
	return !was;
}

void
unitcopy_opened(struct unit_copy *c)
{
	c->open = true;
}

void
unitcopy_completed(struct unit_copy *c, bool last)
{
	if (c->open) {
		c->open = false;
		c->syncs = 0;
		c->ends -= c->ends > 0;
	}
	if (last)
		c->asked = false;
}

void
unitcopy_failed(struct unit_copy *c)
{
	c->open = c->asked = false;
	c->ends = 0;
}

unsigned
unitcopy_take_strays(struct unit_copy *c)
{
	unsigned n = c->strays < c->syncs ? c->strays : c->syncs;

	c->strays = c->syncs = 0;
	return n;
}

void
unitcopy_pack(struct pack *p, struct unit_copy *c)
{
	PACK(p, c->open);
	PACK(p, c->asked);
	PACK(p, c->flushed);
	PACK(p, c->ends);
	PACK(p, c->syncs);
	PACK(p, c->strays);
}
