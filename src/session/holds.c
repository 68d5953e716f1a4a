#include "session/holds.h"

#include <stdlib.h>

#include "base/mem.h"
#include "scope/stack.h"
#include "session/site.h"

const struct hold hold_none;

/* One that a session has. */
struct own {
	struct hold hold;
	struct list_node node; /* in site->holds */
	struct session *session;
};

static struct hold *
none(void)
{
	return (struct hold *)&hold_none;
}

void
holds_start(struct session *s)
{
	s->own = s->hold = none();
}

struct hold *
holds_need(struct session *s)
{
	struct own *o;

	if (s->own != none())
		return s->own;
	o = mem_calloc(1, sizeof *o);
	o->session = s;
	lease_init(&o->hold.lease, s->site->ops->lease, s, s->id);
	list_append(&s->site->holds, &o->node);
	s->own = &o->hold;
	if (s->hold == none())
		s->hold = s->own;
	return s->own;
}

void
holds_free(struct session *s)
{
	struct own *o;

	if (s->own == none())
		return;
	o = LIST_OBJ(s->own, struct own, hold);
	list_remove(&s->site->holds, &o->node);
	hold_clear(&o->hold);
	holds_start(s);
	free(o);
}

static bool
is_needed(const struct session *s)
{
	return s->state != SESSION_IDLE || s->own->lease.state != LEASE_NONE ||
	       s->own->pinned != 0 || s->hold != s->own || s->own->deallocating ||
	       s->block.state != BLOCK_NONE || s->rare->work ||
	       (s->rare->stack && s->rare->stack->frames.count > 0);
}

void
holds_drop(struct session *s)
{
	if (is_needed(s))
		return;
	unnamed_drop(&s->context.unnamed);
	session_drop_rare(s);
	/* What it waited for last may have been this lease. */
	waits_end(&s->site->waits, s->id);
	holds_free(s);
}

void
holds_sweep(struct site *site)
{
	struct list_node *n, *after;

	LIST_EACH_SAFE (n, after, &site->holds)
		holds_drop(LIST_OBJ(n, struct own, node)->session);
}
