#include "pool/hold.h"

#include <stdlib.h>

#include "base/mem.h"
#include "pool/pool.h"

bool
hold_is_joined(const struct hold *h)
{
	return h->lease.pool && h->lease.pool->own_conf;
}

enum hold_verdict
hold_verdict(const struct hold *h, bool foreign)
{
	if (!foreign &&
	    ((h->pinned & ~HOLD_PINS_ASKED) != 0 || (h->pinned != 0 && !h->pins_doubtful)))
		return HOLD_KEEP;
	if (h->changed || (h->pins_doubtful && !foreign))
		return HOLD_ASK;
	return h->discard || h->pinned != 0 || h->pins_doubtful ? HOLD_DISCARD : HOLD_RETURN;
}

void
hold_give_up_pins(struct hold *h)
{
	h->discard |= h->pins_doubtful || h->pinned != 0;
	h->pins_doubtful = false;
}

void
hold_drop_deallocating(struct hold *h)
{
	if (h->deallocating == NULL)
		return;
	buf_clear(h->deallocating);
	free(h->deallocating);
	h->deallocating = NULL;
}

void
hold_clear(struct hold *h)
{
	hold_drop_deallocating(h);
	/* hold_none cannot be written to. */
	if (h->named == NULL)
		return;
	free(h->named);
	h->named = NULL;
}

void
hold_pack(struct pack *p, struct hold *h)
{
	bool deallocating = h->deallocating != NULL;

	PACK(p, h->pinned);
	PACK(p, h->discard);
	PACK(p, h->changed);
	PACK(p, h->pins_doubtful);
	PACK(p, h->discard_all_sent);
	PACK(p, h->cancel_due);
	PACK(p, h->command);
	PACK(p, h->readonly);
	PACK(p, h->apart);
	PACK(p, h->wrote);
	PACK(p, h->ends_bound);
	if (pack_reading(p) && h->readonly >= HOLD_READONLY) {
		p->failed = true;
		h->readonly = 0;
	}
	PACK(p, h->begun_us);
	PACK(p, h->sent_xact_us);
	pack_str(p, &h->named);
	PACK(p, deallocating);
	if (deallocating && h->deallocating == NULL) {
		h->deallocating = mem_alloc(sizeof *h->deallocating);
		buf_init(h->deallocating, HOLD_DEALLOCATING_MAX);
	}
	if (deallocating)
		pack_buf(p, h->deallocating);
}
