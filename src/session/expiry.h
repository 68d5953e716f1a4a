/* expiry: a time limit, or an administrator, ends a transaction or a scope. This module keeps how
 * far that is until the work on it begins, and has the words for the client and the log. */
#ifndef PGWITH_SESSION_EXPIRY_H
#define PGWITH_SESSION_EXPIRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "pool/pool.h"

struct pack;
struct session;

/* A frame of the session has to expire (scope->expire_due). The client's exchange on its server is
 * brought to its end first. */
struct expiry {
	int64_t expire_us; /* when that began */
	int64_t cancel_us; /* when a cancel was sent; 0: not yet */
	bool forced;       /* a Sync of ours has ended the client's exchange */
	/* A cancel of ours was sent, for this or for a statement of the work. It must have ended
	 * before the client's next statement runs. */
	bool own_cancel;
};

/* Returns session->rare->expiry, and makes it if it is not there. */
struct expiry *expiry_of(struct session *);

/* For the handover. */
void expiry_pack(struct pack *, struct session *);

/* Makes the error that the client gets whose transaction was ended. `why`: ERR_SCOPE_DEADLINE,
 * ERR_SCOPE_IDLE, ERR_SCOPE_QUERY, or ERR_SCOPE_KILLED. */
void expiry_error(const struct pool *, enum err_id why, struct err *);

/* The name of the option that is the limit, or "killed". */
const char *expiry_option(enum err_id why);

#endif
