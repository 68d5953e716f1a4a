/* probe: a pool whose server could not be reached tries again by itself, also while no client asks:
 * so that its error is gone soon after the server is back, and whoever watches it (pgwith status)
 * sees that. What a try cannot mend (a wrong password, a database that is not there) waits for the
 * next client. */
#ifndef PGWITH_POOL_PROBE_H
#define PGWITH_POOL_PROBE_H

#include "pool/pool.h"

/* How long after a failure at least. */
#define PROBE_US (2 * UNIT_S)

/* A connect has failed; pool->last_error is set. */
void probe_failed(struct pool *, const char *sqlstate);
/* A server has logged in: other roles of the pool need not wait for a try of their own. */
void probe_connected(struct pool *);
/* Tries again, if it is time. */
void probe_sweep(struct pool *, int64_t now);

#endif
