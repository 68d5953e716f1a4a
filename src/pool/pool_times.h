/* pool_times: how long things took in a pool, as histograms: one set for all roles of a pool. */
#ifndef PGWITH_POOL_POOL_TIMES_H
#define PGWITH_POOL_POOL_TIMES_H

#include <stdint.h>

#include "base/histogram.h"
#include "base/pack.h"

enum pool_time {
	POOL_WAIT,      /* of a session that waits for a server, until it has one or gives up */
	POOL_HOLD,      /* from the first request of a transaction until its end */
	POOL_STATEMENT, /* from a request to its answer */
	POOL_CLEANUP,   /* of a cleanup that ends well */
	POOL_LOGIN, /* from the first step of a connection to PostgreSQL until it is logged in */
	POOL_NTIMES
};

struct pool_times {
	struct histogram *of[POOL_NTIMES]; /* NULL: there was none yet */
};

/* The part of pool_times_add() that is not inline: makes the histogram. */
void pool_times_first_(struct pool_times *, enum pool_time, int64_t us);

static inline void
pool_times_add(struct pool_times *t, enum pool_time which, int64_t us)
{
	if (t->of[which])
		histogram_add(t->of[which], us);
	else
		pool_times_first_(t, which, us);
}

/* The histogram, to be read; an empty one if nothing was added. */
const struct histogram *pool_times_of(const struct pool_times *, enum pool_time);

/* Adds all times of `from`, which is empty then. */
void pool_times_move(struct pool_times *to, struct pool_times *from);
void pool_times_clear(struct pool_times *);

/* Reading: the times are added to those that are there. */
void pool_times_pack(struct pack *, struct pool_times *);

#endif
