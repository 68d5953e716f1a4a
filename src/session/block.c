#include "session/block.h"

#include "base/log.h"

#define TO(state) (1u << (state))

static const struct {
	const char *name;
	unsigned next;
} states[BLOCK_NSTATES] = {
    [BLOCK_NONE] = {"none", TO(BLOCK_BEGUN) | TO(BLOCK_EXPIRED)},
    [BLOCK_BEGUN] = {"begun", TO(BLOCK_NONE) | TO(BLOCK_FAILED) | TO(BLOCK_EXPIRED)},
    [BLOCK_FAILED] = {"failed", TO(BLOCK_NONE)},
    [BLOCK_EXPIRED] = {"expired",
		       TO(BLOCK_NONE) | TO(BLOCK_EXPIRED_PARSED) | TO(BLOCK_EXPIRED_BOUND)},
    [BLOCK_EXPIRED_PARSED] = {"expired_parsed",
			      TO(BLOCK_NONE) | TO(BLOCK_EXPIRED) | TO(BLOCK_EXPIRED_BOTH)},
    [BLOCK_EXPIRED_BOUND] = {"expired_bound",
			     TO(BLOCK_NONE) | TO(BLOCK_EXPIRED) | TO(BLOCK_EXPIRED_PARSED)},
    [BLOCK_EXPIRED_BOTH] = {"expired_both", TO(BLOCK_NONE) | TO(BLOCK_EXPIRED) |
						TO(BLOCK_EXPIRED_PARSED) | TO(BLOCK_EXPIRED_BOUND)},
};

const char *
block_state_name(enum block_state state)
{
	return states[state].name;
}

void
block_init(struct block *b)
{
	*b = (struct block){.state = BLOCK_NONE};
}

void
block_set_state(struct block *b, uint64_t session, enum block_state to)
{
	if (!(states[b->state].next & TO(to)))
		log_fatal("block", LOG_ALONE, "illegal move",
			  LOG_MOVE(states[b->state].name, states[to].name),
			  LOG_NUMBER("session", session));
	log_debug("session", session, "block", LOG_MOVE(states[b->state].name, states[to].name));
	b->state = (uint8_t)to;
}

void
block_expire(struct block *b, uint64_t session, enum err_id why)
{
	block_set_state(b, session, BLOCK_EXPIRED);
	b->expired_by = (uint8_t)why;
	b->apart = false;
}

void
block_set_end(struct block *b, uint64_t session, bool parsed, bool bound)
{
	static const enum block_state to[2][2] = {
	    {BLOCK_EXPIRED, BLOCK_EXPIRED_BOUND},
	    {BLOCK_EXPIRED_PARSED, BLOCK_EXPIRED_BOTH},
	};

	if (b->state != to[parsed][bound])
		block_set_state(b, session, to[parsed][bound]);
}

void
block_pack(struct pack *p, struct block *b)
{
	PACK(p, b->state);
	PACK(p, b->expired_by);
	PACK(p, b->apart);
	if (!pack_reading(p) || b->state < BLOCK_NSTATES)
		return;
	p->failed = true;
	b->state = BLOCK_NONE;
}
