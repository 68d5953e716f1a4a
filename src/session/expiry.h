/* expiry: what people are told of a time limit, or an administrator, that has ended a transaction.
 */
#ifndef PGWITH_SESSION_EXPIRY_H
#define PGWITH_SESSION_EXPIRY_H

#include "base/err.h"
#include "pool/pool.h"

/* What the client of a transaction that was ended is told. `why`: ERR_SCOPE_DEADLINE,
 * ERR_SCOPE_IDLE, ERR_SCOPE_QUERY, or ERR_SCOPE_KILLED. */
void expiry_error(const struct pool *, enum err_id why, struct err *);

/* The option that is the limit. */
const char *expiry_option(enum err_id why);

#endif
