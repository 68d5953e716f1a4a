/* pool_tally: what is counted of a pool beside the sums of pool_stats.h, for all its roles
 * together: how long things took, and how often PostgreSQL answered with which error. */
#ifndef PGWITH_POOL_POOL_TALLY_H
#define PGWITH_POOL_POOL_TALLY_H

#include <stdint.h>

#include "base/histogram.h"
#include "base/pack.h"

enum pool_time {
	POOL_WAIT,      /* of a session that waits for a server, until it has one or gives up */
	POOL_HOLD,      /* from the first request of a transaction until its end */
	POOL_STATEMENT, /* from a request to its answer */
	POOL_CLEANUP,   /* of a cleanup that ends well */
	POOL_LOGIN,     /* of a server, from its first step until PostgreSQL has let it in */
	POOL_NTIMES
};

#define POOL_ERRORS_MAX 64 /* different SQLSTATEs, of which an application can make any number */

struct pool_error {
	char sqlstate[6];
	uint64_t count;
};

struct pool_tally {
	struct histogram *of[POOL_NTIMES]; /* NULL: there was none yet */
	struct pool_error *errors;         /* NULL: there was none yet */
	unsigned nerrors;
	uint64_t other_errors; /* of further SQLSTATEs */
};

/* The part of pool_tally_time() that is not inline: makes the histogram. */
void pool_tally_first_time_(struct pool_tally *, enum pool_time, int64_t us);

static inline void
pool_tally_time(struct pool_tally *t, enum pool_time which, int64_t us)
{
	if (t->of[which])
		histogram_add(t->of[which], us);
	else
		pool_tally_first_time_(t, which, us);
}

/* The histogram, to be read; an empty one if nothing was added. */
const struct histogram *pool_tally_times(const struct pool_tally *, enum pool_time);

/* Adds so many errors of that SQLSTATE. */
void pool_tally_error(struct pool_tally *, const char *sqlstate, uint64_t count);

/* Adds all of `from`, which is empty then. */
void pool_tally_move(struct pool_tally *to, struct pool_tally *from);
void pool_tally_clear(struct pool_tally *);

/* Reading: what is read is added to what is there. */
void pool_tally_pack(struct pack *, struct pool_tally *);

#endif
