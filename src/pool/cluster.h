/* cluster: the PostgreSQL server that several pools reach, and the server connections that these
 * may have there together (server_limit of a section [cluster NAME]).
 *
 * What counts. Each server of its pools in any state, and each that was closed until PostgreSQL has
 * let it go (ending.h): so PostgreSQL never sees more than server_limit. What min_size keeps for a
 * pool is claimed by it, whether it has these servers or not, and no other pool gets it.
 *
 * Who is next. The pools of a cluster are filled together: a place goes to the pool whose lease has
 * waited longest (its turn, queue.h). If all places are taken, the server that has been idle
 * longest in any of the pools is closed to make one, as long as its pool keeps its min_size. If
 * none is idle, the next server that comes back goes to a lease of its own pool, unless that has
 * waited less by CLUSTER_PATIENCE_US than one of another pool: then it is closed for that.
 *
 * What a change costs, and what bounds it. A server that is closed for another pool costs a login
 * there. So a server stays in a pool that is at work: an idle one is closed when it has been idle
 * for CLUSTER_IDLE_US, or when somebody has waited for CLUSTER_PATIENCE_US; a busy one when
 * somebody of another pool has waited longer by that than all of its own. A server that two pools
 * want all the time changes about ten times a second. */
#ifndef PGWITH_POOL_CLUSTER_H
#define PGWITH_POOL_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "conf/conf.h"
#include "loop/timer.h"

struct pool;
struct pools;
struct server;

#define CLUSTER_PATIENCE_US (100 * INT64_C(1000))
#define CLUSTER_IDLE_US     (10 * INT64_C(1000))

struct cluster {
	struct list_node node; /* in pools->clusters */
	struct pools *all;
	char *name;
	int64_t limit;     /* server_limit */
	unsigned held;     /* servers of its pools, and those that are leaving */
	unsigned leaving;  /* servers that are closed, and not let go yet */
	unsigned claimed;  /* of each group what it has or keeps by min_size, whatever is more */
	unsigned waiting;  /* leases in the turns of its pools */
	unsigned departed; /* leaving servers whose pool is gone */
	uint64_t moved;    /* servers that were closed for another pool */
	struct list endings;
	struct timer timer; /* an idle server will have been idle for CLUSTER_IDLE_US */
};

/* The pool belongs to the cluster that its configuration names, from now on. Called for a group's
 * own pool when it is made, and when its configuration has changed. */
void cluster_join(struct pool *group);
/* A reload has removed the pool: its min_size keeps nothing any more. The pool still counts. */
void cluster_removed(struct pool *group);
/* The group's own pool is being freed. */
void cluster_leave(struct pool *group);

/* Frees all clusters, when there is no pool any more. */
void clusters_clear(struct pools *);

/* Counts a server of the group that was made (by = 1) or is gone (by = -1) in group->total. */
void cluster_count_server(struct pool *group, int by);
/* A server of the group is being closed. `fd`: of its connection, or -1; taken over. It is counted
 * as leaving until PostgreSQL has let it go. */
void cluster_let_go(struct pool *group, int fd);
/* Does server_limit let a group have one more server now, which has so many, those that are leaving
 * counted, and for which min_size keeps so many? Without a cluster (NULL) it does. */
static inline bool
cluster_lets(const struct cluster *c, unsigned has, unsigned reserved)
{
	return c == NULL || (c->held < c->limit && (c->claimed < c->limit || has < reserved));
}

/* The same of the group as it is. */
bool cluster_has_room(const struct pool *group);
/* Is the cluster of the group full of servers that others hold, so that the group gets none before
 * one comes back or is let go? */
bool cluster_is_full(const struct pool *group);

/* Opens servers for all pools of the cluster as needed, as far as its limit allows, and closes idle
 * ones for those who wait. */
void cluster_fill(struct cluster *);

/* A server of the pool has become free. Is it to be closed for another pool of the cluster, or
 * because there are too many? Returns the reason for the log, or NULL. */
const char *cluster_takes(const struct pool *);

/* A reload may have lowered server_limit: closes idle servers while there are too many. */
void clusters_shrink(struct pools *);

/* Called by the sweep. */
void clusters_sweep(struct pools *, int64_t now_us);

/* How many servers are leaving; and takes them for gone. */
unsigned clusters_leaving(const struct pools *);
void clusters_forget_leaving(struct pools *);

#endif
