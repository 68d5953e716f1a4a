/* sums: the numbers of each pool, all roles of it together, as metrics and pages need them. */
#ifndef PGWITH_ADMIN_SUMS_H
#define PGWITH_ADMIN_SUMS_H

#include "daemon/daemon.h"

struct sums_pool {
	const char *name;
	const struct pool *group; /* the pool itself; NULL: it was removed, and is gone */
	struct pool_stats stats;  /* since the start */
	struct pool_stats period; /* what the last complete period added */
	const struct pool_tally *tally;
	unsigned servers[SERVER_NSTATES];
	bool down;     /* some role has no server, and none can be opened */
	unsigned idle; /* sessions in it that have no server and want none */
	unsigned waiting;
	unsigned longest_queue; /* sessions in its longest queue: each role has one of its own */
	unsigned pinned; /* servers that sessions keep between transactions, but for mode session */
	int64_t wait_us; /* how long the session that waits for longest has waited; 0: none waits */
	int64_t hold_us; /* how old the oldest transaction is; 0: there is none */
};

struct sums {
	struct sums_pool *pools; /* by name */
	unsigned count;
};

/* Adds up all pools, those that are gone as well, of which there are at most PAST_POOLS_MAX and one
 * with the name "" that is the sum of others. The pointers in it are valid until the loop goes
 * on. */
void sums_take(struct sums *, const struct daemon *);
void sums_clear(struct sums *);

/* The sums of the pool that this one belongs to. */
const struct sums_pool *sums_find(const struct sums *, const struct pool *);

#endif
