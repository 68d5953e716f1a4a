/* listing: SHOW SCOPES, by which a session looks at its own scopes. */
#ifndef PGWITH_EXECUTOR_LISTING_H
#define PGWITH_EXECUTOR_LISTING_H

#include <stdbool.h>
#include <stdint.h>

#include "session/named.h"
#include "session/scopes.h"

/* What SHOW SCOPES shows of a scope. */
struct scope_view {
	const char *name, *kind, *state;
	const char *pool; /* or NULL */
	bool current;     /* statements go to it */
	unsigned deferred;
	int64_t elapsed_us, wait_us;
	int64_t members;         /* sessions that have joined it; -1: none can */
	uint64_t joins, outside; /* joint.h; if members is not -1 */
	const char *outsider;    /* or NULL */
	int64_t deadline_us;     /* how much is left of it, at least 0; -1: there is none */
	int backend_pid;         /* of its server; 0: it has none now */
};
void listing_view(const struct session *, struct scope *, struct scope_view *);

/* The same for a transaction of BEGIN that is no frame, because no scope was entered in it. It is
 * the innermost of all. It may have no server yet; or it was ended, and its client has not sent
 * COMMIT or ROLLBACK yet. Returns false if there is none. */
bool listing_view_plain(const struct session *, struct scope_view *);

/* Adds the RowDescription of SHOW SCOPES. */
void listing_describe(struct buf *, const struct scopes_formats *);

/* Answers SHOW SCOPES. `type`: of the message. */
void listing_show(struct session *, char type);

#endif
