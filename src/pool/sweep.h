/* sweep: the time limits of pools: of attempts to connect, cleanups, idle servers and waits. */
#ifndef PGWITH_POOL_SWEEP_H
#define PGWITH_POOL_SWEEP_H

#include "pool/pool.h"

/* Called by the daemon's sweep: looks for limits that have passed in all pools, ends each period of
 * their sums, and opens servers that are missing. */
void sweep_pools(struct pools *);

#endif
