/* limits: the time limits of a pool for its transactions and statements: scope_deadline,
 * idle_in_scope_timeout, query_timeout. When one has passed, the statement that runs is cancelled,
 * and its answer goes to the client. The transaction is rolled back, and the client's next
 * statement gets the error that says why. The session goes on, and so does the server.
 *
 * A transaction of the client's own is made a scope for that (SCOPE_IMPLICIT), which expires as any
 * scope does; then its block has expired (block.h). A statement outside of transactions is only
 * cancelled. In pools without such a limit nothing is done.
 *
 * Only the client's own exchanges count, not those of the daemon on its server. A transaction
 * begins with the exchange that has its BEGIN: lease->xact_us. Until the server has answered that,
 * progress_exchange() tells by the texts that were sent that there is a transaction. */
#ifndef PGWITH_RELAY_LIMITS_H
#define PGWITH_RELAY_LIMITS_H

#include "base/err.h"
#include "pool/pool.h"
#include "session/session.h"

/* Does the pool of session->hold set a time limit? If not, callers skip all time-keeping. */
static inline bool
limits_there(const struct session *s)
{
	const struct conf_pool *conf = s->hold->lease.pool->conf;

	return (conf->scope_deadline_us | conf->idle_in_scope_timeout_us |
		conf->query_timeout_us) != 0;
}

/* Notes the time: the server of session->hold has ended an answer to the client. */
void limits_note_answer(struct session *);

/* Cancels the statement that runs outside of transactions, because of `why`. If the statement still
 * runs after cleanup_timeout, because its client does not read the answer, the session ends. */
void limits_cancel(struct session *, enum err_id why);

/* Called by the daemon's sweep: looks at all pools with a limit. */
void limits_sweep(struct site *);

#endif
