/* block: the transaction of a session's client while no server has it: its BEGIN was answered here
 * (begin.h); or it has failed or expired, and its client has not sent the COMMIT or ROLLBACK yet.
 *
 *	       BEGIN is answered here         no server can be had
 *	none --------------------------> begun ------------------> failed
 *	 |                                 |
 *	 | a time limit ends the           | a time limit
 *	 | transaction on its server       v
 *	 +----------------------------> expired
 *	                                 |   ^
 *	  Parse, Bind of its COMMIT      v   | Query, Close, Sync
 *	                   expired_parsed, expired_bound, expired_both
 *
 *	every state -> none: a server or a scope takes the BEGIN over, or the client ends it
 *
 * There is no state for a BEGIN that was sent to a server: from then on the server's progress says
 * whether the transaction is open. */
#ifndef PGWITH_SESSION_BLOCK_H
#define PGWITH_SESSION_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pack.h"

enum block_state {
	BLOCK_NONE,
	BLOCK_BEGUN,   /* BEGIN was answered here */
	BLOCK_FAILED,  /* no server could be had: everything but the transaction's end is refused */
	BLOCK_EXPIRED, /* a time limit or an administrator has ended it: likewise */
	/* Likewise. In the extended protocol the client ends it in steps that no server sees: */
	BLOCK_EXPIRED_PARSED, /* its unnamed statement is a COMMIT or ROLLBACK */
	BLOCK_EXPIRED_BOUND,  /* its unnamed portal has one */
	BLOCK_EXPIRED_BOTH,
	BLOCK_NSTATES
};

/* When the BEGIN came that was answered here is in session->own: begun_us. */
struct block {
	uint8_t state;      /* enum block_state */
	uint8_t expired_by; /* EXPIRED...: enum err_id, what ended the transaction */
	bool apart;         /* EXPIRED...: it had a server of the pool of the option read_only */
};

/* Makes a block in state NONE. */
void block_init(struct block *);

/* The setter. An illegal move ends the daemon. `session`, here and below: the id of its session,
 * for the log. */
void block_set_state(struct block *, uint64_t session, enum block_state);
const char *block_state_name(enum block_state);

/* BEGUN or NONE -> EXPIRED, because of `why` (see expiry_error()). */
void block_expire(struct block *, uint64_t session, enum err_id why);

/* In EXPIRED...: says whether the unnamed statement is a COMMIT or ROLLBACK now (`parsed`), and
 * whether the unnamed portal has one (`bound`). */
void block_set_end(struct block *, uint64_t session, bool parsed, bool bound);

/* Writes or reads it, for the handover. */
void block_pack(struct pack *, struct block *);

static inline bool
block_has_end_parsed(const struct block *b)
{
	return b->state == BLOCK_EXPIRED_PARSED || b->state == BLOCK_EXPIRED_BOTH;
}

static inline bool
block_has_end_bound(const struct block *b)
{
	return b->state == BLOCK_EXPIRED_BOUND || b->state == BLOCK_EXPIRED_BOTH;
}

static inline bool
block_is_expired(const struct block *b)
{
	return b->state == BLOCK_EXPIRED || block_has_end_parsed(b) || block_has_end_bound(b);
}

/* The transaction status of a session without a server: I, T or E. */
static inline char
block_status(const struct block *b)
{
	return b->state == BLOCK_NONE ? 'I' : b->state == BLOCK_BEGUN ? 'T' : 'E';
}

#endif
