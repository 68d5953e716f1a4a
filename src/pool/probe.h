/* probe: a pool whose server could not be reached tries again by itself, even if no client asks. So
 * its error is gone soon after the server is back, and `pgwith status` shows that. An error that
 * does not pass by itself (a wrong password, a database that does not exist) waits for the next
 * client. */
#ifndef PGWITH_POOL_PROBE_H
#define PGWITH_POOL_PROBE_H

#include "pool/pool.h"

/* The shortest pause after a failure. */
#define PROBE_US (2 * UNIT_S)

/* How often the log tells of a pool that still cannot connect. */
#define PROBE_TELL_US (60 * UNIT_S)

/* A connect has failed; pool->last_error has been set. */
void probe_failed(struct pool *, const char *sqlstate);
/* A server has logged in: pools of other roles need not wait for a try of their own. */
void probe_connected(struct pool *);
/* Logs that a server has logged in again, if it could not for a time. Call it behind
 * probe_connected(). */
void probe_say_again(struct pool *);
/* Tries again if the time has come, and logs once in PROBE_TELL_US that the pool is still down: who
 * begins to read the log then finds it there. Pools of several roles that fail for the same reason
 * have one line. */
void probe_sweep(struct pool *, int64_t now);

#endif
