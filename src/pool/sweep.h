/* sweep: the time limits of pools: of attempts to connect, cleanups, idle servers and waits. */
#ifndef PGWITH_POOL_SWEEP_H
#define PGWITH_POOL_SWEEP_H

#include "pool/pool.h"

/* Called by the daemon's sweep: looks for limits that have passed in all pools, ends each period of
 * their sums, and opens servers that are missing. */
void sweep_pools(struct pools *);

/* Is a limit running in any pool that must be noticed within a tenth of a second? If all servers
 * are idle there is none: their age, and the time since they were used last, may be noticed a
 * second later. */
bool sweep_is_due_soon(const struct pools *);

#endif
