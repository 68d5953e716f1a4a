/* past: the sums of pools that a reload has removed, so that no total falls when a pool goes. They
 * are kept by name, and a new pool of that name goes on with them. The number of names is bounded:
 * later ones are added up together, and stay there. */
#ifndef PGWITH_POOL_PAST_H
#define PGWITH_POOL_PAST_H

#include "base/list.h"
#include "base/pack.h"
#include "pool/pool_stats.h"
#include "pool/pool_tally.h"

#define PAST_POOLS_MAX 64

struct past_pool {
	struct list_node node; /* in past->pools */
	char *name;            /* NULL: of several pools */
	struct pool_stats stats;
	struct pool_tally tally;
};

struct past {
	struct list pools;       /* oldest first */
	struct past_pool others; /* in no list */
};

void past_init(struct past *);
void past_clear(struct past *);

/* Adds the sums of a pool of that name, which are empty then. */
void past_keep(struct past *, const char *name, struct pool_stats *, struct pool_tally *);
/* Is something in past->others? Later, names may be fewer again. */
bool past_has_others(const struct past *);
/* Adds to these sums what is kept by that name, and keeps it no longer. */
void past_restore(struct past *, const char *name, struct pool_stats *, struct pool_tally *);

void past_pack(struct pack *, struct past *);

#endif
