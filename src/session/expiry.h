/* expiry: a time limit, or an administrator, ends a transaction or a scope: where that is until the
 * work on it begins, and what people are told. */
#ifndef PGWITH_SESSION_EXPIRY_H
#define PGWITH_SESSION_EXPIRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "pool/pool.h"

struct pack;
struct session;

/* Of the frame of a session that is to expire (scope->expire_due), while the client's exchange is
 * brought to its end. */
struct expiry {
	int64_t expire_us; /* since then */
	int64_t cancel_us; /* a cancel was sent; 0: not yet */
	bool forced;       /* a Sync of ours has ended the client's exchange */
	/* A cancel of ours was sent, for this or for a statement of the work: a late one must not
	 * hit the client. */
	bool own_cancel;
};

/* That of the session, made if it is not there. */
struct expiry *expiry_of(struct session *);

/* For the handover. */
void expiry_pack(struct pack *, struct session *);

/* What the client of a transaction that was ended is told. `why`: ERR_SCOPE_DEADLINE,
 * ERR_SCOPE_IDLE, ERR_SCOPE_QUERY, or ERR_SCOPE_KILLED. */
void expiry_error(const struct pool *, enum err_id why, struct err *);

/* The option that is the limit. */
const char *expiry_option(enum err_id why);

#endif
