/* limits: the time limits that a pool has for all its transactions and statements: scope_deadline,
 * idle_in_scope_timeout, query_timeout. What is too long is ended gently: what runs is cancelled,
 * and its answer goes to the client; the transaction is rolled back, and the client is told why by
 * its next statement. Its session goes on, and so does the server.
 *
 * A transaction of the client's own becomes a scope for that (SCOPE_IMPLICIT), and is ended as any
 * scope that has expired. Then its block has expired: see block.h. What is part of no
 * transaction is cancelled, and that is all. Nothing is done in pools without such a limit.
 *
 * What counts is what the client does, and not the daemon's own exchanges on its server. A
 * transaction begins with the exchange that has its BEGIN: lease->xact_us. Until the server has
 * answered that, the words that were sent (progress_exchange()) say that there is one. */
#ifndef PGWITH_RELAY_LIMITS_H
#define PGWITH_RELAY_LIMITS_H

#include "base/err.h"
#include "pool/pool.h"
#include "session/session.h"

/* Does the pool of session->hold set a time limit? */
static inline bool
limits_there(const struct session *s)
{
	const struct conf_pool *conf = s->hold->lease.pool->conf;

	return (conf->scope_deadline_us | conf->idle_in_scope_timeout_us |
		conf->query_timeout_us) != 0;
}

/* The server of session->hold has ended an answer, or part of one. */
void limits_heard(struct session *);

/* What runs outside of a transaction is to end because of `why`, and is cancelled. If it does not
 * end within cleanup_timeout, because its client does not read the answer, the session ends
 * instead. */
void limits_cancel(struct session *, enum err_id why);

void limits_sweep(struct site *);

#endif
