#include "pool/cluster.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "pool/ending.h"
#include "pool/pool.h"

#define OTHER_POOL "another pool of the cluster needs it"
#define TOO_MANY   "the cluster has more than server_limit"

/* A closed server that PostgreSQL has not let go yet. */
struct leaver {
	struct ending ending;
	struct cluster *cluster;
	struct pool *group; /* NULL: its pool is gone */
};

/* ---- counting ---- */

/* How many servers the group has or keeps. */
static unsigned
claim_of(const struct pool *group)
{
	unsigned held = group->total + group->leaving;

	return held > group->reserved ? held : group->reserved;
}

static void
count(struct pool *group, int servers, int leaving)
{
	struct cluster *c = group->cluster;

	if (c == NULL) {
		group->total += (unsigned)servers;
		return;
	}
	c->claimed -= claim_of(group);
	group->total += (unsigned)servers;
	group->leaving += (unsigned)leaving;
	c->claimed += claim_of(group);
	c->held += (unsigned)(servers + leaving);
	c->leaving += (unsigned)leaving;
}

void
cluster_count_server(struct pool *group, int by)
{
	count(group, by, 0);
}

/* Counts everything anew, when a pool has come or gone or keeps another number of servers. */
static void
count_again(struct cluster *c)
{
	struct list_node *n;

	c->held = c->leaving = c->claimed = c->departed;
	c->waiting = 0;
	LIST_EACH (n, &c->all->list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);

		if (pool->group->cluster != c)
			continue;
		c->waiting += pool->turns.count;
		if (pool->group != pool)
			continue;
		pool->reserved = (unsigned)pool_least_servers(pool);
		c->held += pool->total + pool->leaving;
		c->leaving += pool->leaving;
		c->claimed += claim_of(pool);
	}
}

static void
on_timer(void *cluster)
{
	cluster_fill(cluster);
}

static struct cluster *
find_cluster(struct pools *all, const char *name)
{
	struct list_node *n;
	struct cluster *c;

	LIST_EACH (n, &all->clusters)
		if (strcmp(LIST_OBJ(n, struct cluster, node)->name, name) == 0)
			return LIST_OBJ(n, struct cluster, node);
	c = mem_calloc(1, sizeof *c);
	c->all = all;
	c->name = mem_strdup(name);
	list_init(&c->endings);
	timer_init(&c->timer, all->loop, on_timer, c);
	list_append(&all->clusters, &c->node);
	return c;
}

/* The leaving servers of the group count for its cluster, but no longer as the group's. */
static void
orphan_leavers(struct pool *group)
{
	struct list_node *n;

	LIST_EACH (n, &group->cluster->endings) {
		struct leaver *l =
		    LIST_OBJ(LIST_OBJ(n, struct ending, node), struct leaver, ending);

		if (l->group != group)
			continue;
		l->group = NULL;
		group->cluster->departed++;
	}
	group->leaving = 0;
}

void
cluster_leave(struct pool *group)
{
	struct cluster *c = group->cluster;

	if (c == NULL)
		return;
	if (c->all->closing) {
		/* The loop will be gone before the cluster. */
		timer_stop(&c->timer);
		endings_forget(&c->endings);
	}
	orphan_leavers(group);
	group->cluster = NULL;
	count_again(c);
	pools_serve_soon(c->all);
}

void
cluster_join(struct pool *group)
{
	const struct conf_pool *conf = group->conf;
	const struct conf_cluster *section = conf->snapshot && conf->cluster && *conf->cluster
						 ? conf_cluster(conf->snapshot, conf->cluster)
						 : NULL;
	struct cluster *c = section ? find_cluster(group->all, section->name) : NULL;

	if (group->cluster && group->cluster != c)
		cluster_leave(group);
	if (c == NULL)
		return;
	group->cluster = c;
	c->limit = section->server_limit;
	count_again(c);
}

void
cluster_removed(struct pool *group)
{
	if (group->cluster)
		count_again(group->cluster);
}

void
clusters_clear(struct pools *all)
{
	struct list_node *n;

	while ((n = list_first(&all->clusters)) != NULL) {
		struct cluster *c = LIST_OBJ(n, struct cluster, node);

		list_remove(&all->clusters, n);
		free(c->name);
		free(c);
	}
}

/* ---- servers that leave ---- */

static void
on_let_go(struct ending *ending)
{
	struct leaver *l = LIST_OBJ(ending, struct leaver, ending);
	struct cluster *c = l->cluster;

	if (l->group) {
		count(l->group, 0, -1);
	} else {
		c->departed--;
		c->held--;
		c->leaving--;
		c->claimed--;
	}
	free(l);
	pools_serve_soon(c->all);
}

void
cluster_let_go(struct pool *group, int fd)
{
	struct cluster *c = group->cluster;
	struct leaver *l;

	if (c == NULL || c->all->closing || fd < 0) {
		if (fd >= 0)
			close(fd);
		if (c)
			pools_serve_soon(c->all);
		return;
	}
	l = mem_calloc(1, sizeof *l);
	l->cluster = c;
	l->group = group;
	if (ending_begin(&l->ending, c->all->loop, fd, &c->endings, on_let_go)) {
		count(group, 0, 1);
		return;
	}
	free(l);
	pools_serve_soon(c->all);
}

unsigned
clusters_leaving(const struct pools *all)
{
	const struct list_node *n;
	unsigned leaving = 0;

	LIST_EACH (n, &all->clusters)
		leaving += LIST_OBJ(n, const struct cluster, node)->leaving;
	return leaving;
}

void
clusters_forget_leaving(struct pools *all)
{
	struct list_node *n;

	LIST_EACH (n, &all->clusters)
		endings_forget(&LIST_OBJ(n, struct cluster, node)->endings);
}

void
clusters_sweep(struct pools *all, int64_t now_us)
{
	struct list_node *n;

	LIST_EACH (n, &all->clusters)
		endings_sweep(&LIST_OBJ(n, struct cluster, node)->endings, now_us);
}

/* ---- who is next ---- */

bool
cluster_has_room(const struct pool *group)
{
	return cluster_lets(group->cluster, group->total + group->leaving, group->reserved);
}

/* Has the group servers beyond what it keeps? */
static bool
can_spare(const struct pool *group)
{
	return group->total > group->reserved;
}

/* What a pool wants of its cluster. */
struct want {
	struct pool *pool;
	unsigned servers; /* that it could open now, if there were room */
	int64_t turn_us; /* of the lease that waits longest for one; INT64_MAX: for min_size only */
};

/* What does the pool want? False: nothing that the cluster's limit could keep from it. */
static bool
wants(struct pool *pool, struct want *w)
{
	unsigned uncovered = pool_uncovered(pool), most = pool_may_open(pool);
	unsigned kept = (unsigned)pool_least_servers(pool);
	unsigned below = pool->count < kept ? kept - pool->count : 0;

	w->pool = pool;
	w->servers = uncovered > below ? uncovered : below;
	w->turn_us = INT64_MAX;
	if (w->servers > most)
		w->servers = most;
	if (w->servers > 0 && uncovered > 0)
		w->turn_us = queue_at(pool, pool_coming(pool))->turn.time_us;
	return w->servers > 0;
}

/* The pool with room for one more server in the cluster that has waited longest for it. NULL: no
 * pool has both. */
static struct pool *
first_with_room(const struct cluster *c)
{
	struct pool *first = NULL;
	struct list_node *n;
	int64_t turn_us = 0;
	struct want w;

	LIST_EACH (n, &c->all->list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);

		if (pool->group->cluster != c || !cluster_has_room(pool->group) ||
		    !wants(pool, &w) || (first && w.turn_us >= turn_us))
			continue;
		first = pool;
		turn_us = w.turn_us;
	}
	return first;
}

/* How many servers do pools want that have no room for them, `except` left out? The longest wait
 * among those is in *turn_us. */
static unsigned
wanted_in_vain(const struct cluster *c, const struct pool *except, int64_t *turn_us)
{
	struct list_node *n;
	unsigned servers = 0;
	struct want w;

	*turn_us = INT64_MAX;
	LIST_EACH (n, &c->all->list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);

		if (pool == except || pool->group->cluster != c || cluster_has_room(pool->group) ||
		    !wants(pool, &w))
			continue;
		servers += w.servers;
		if (w.turn_us < *turn_us)
			*turn_us = w.turn_us;
	}
	return servers;
}

/* The server that has been idle longest among those that their groups can spare; or NULL. */
static struct server *
oldest_to_spare(const struct cluster *c)
{
	struct server *oldest = NULL;
	struct list_node *n;

	LIST_EACH (n, &c->all->list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);
		struct list_node *last = list_last(&pool->servers[SERVER_IDLE]);
		struct server *srv = last ? LIST_OBJ(last, struct server, node) : NULL;

		if (pool->group->cluster == c && can_spare(pool->group) && srv &&
		    (oldest == NULL || srv->idle_us < oldest->idle_us))
			oldest = srv;
	}
	return oldest;
}

/* May the idle server be closed for another pool now? `turn_us`: of the one who waits longest
 * there. If not, that is looked at again when it has been idle for long enough. */
static bool
may_be_taken(struct cluster *c, const struct server *srv, int64_t turn_us)
{
	int64_t now = loop_now_us(c->all->loop), idle_us = now - srv->idle_us;

	if (idle_us >= CLUSTER_IDLE_US || now - CLUSTER_PATIENCE_US >= turn_us)
		return true;
	timer_start(&c->timer, CLUSTER_IDLE_US - idle_us);
	return false;
}

void
cluster_fill(struct cluster *c)
{
	struct pool *pool;
	struct server *srv;
	int64_t turn_us;

	if (c->all->closing || c->all->handing)
		return;
	for (;;) {
		while ((pool = first_with_room(c)) != NULL)
			server_open(pool);
		/* For each server that is wanted, one has to go. Those that leave are on their
		 * way. */
		if (c->leaving >= wanted_in_vain(c, NULL, &turn_us) ||
		    (srv = oldest_to_spare(c)) == NULL || !may_be_taken(c, srv, turn_us))
			return;
		c->moved++;
		server_close(srv, OTHER_POOL);
	}
}

static bool
has_too_many(const struct cluster *c)
{
	return c->claimed - c->leaving > c->limit;
}

const char *
cluster_takes(const struct pool *pool)
{
	struct cluster *c = pool->group->cluster;
	const struct lease *own;
	int64_t turn_us, own_us;

	if (c == NULL || !can_spare(pool->group))
		return NULL;
	if (has_too_many(c))
		return TOO_MANY;
	/* The usual case: nobody waits in another pool. */
	if (c->waiting <= pool->turns.count || c->leaving >= wanted_in_vain(c, pool, &turn_us) ||
	    turn_us == INT64_MAX)
		return NULL;
	/* If nobody waits in its own pool, as if somebody came there now. */
	own = queue_at(pool, 0);
	own_us = own ? own->turn.time_us : loop_now_us(c->all->loop);
	/* That of one that needs a new connection is INT64_MIN. */
	if (own_us <= turn_us + CLUSTER_PATIENCE_US)
		return NULL;
	c->moved++;
	return OTHER_POOL;
}

bool
cluster_is_full(const struct pool *group)
{
	const struct cluster *c = group->cluster;

	return c && !cluster_has_room(group) && c->leaving == 0 && oldest_to_spare(c) == NULL;
}

/* ---- other limits ---- */

static struct server *
newest_connecting(const struct cluster *c)
{
	struct list_node *n, *last;

	LIST_EACH (n, &c->all->list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);

		last = list_last(&pool->servers[SERVER_CONNECTING]);
		if (pool->group->cluster == c && can_spare(pool->group) && last)
			return LIST_OBJ(last, struct server, node);
	}
	return NULL;
}

/* Servers at work are closed when they come back: cluster_takes(). */
static void
shrink(struct cluster *c)
{
	struct server *srv;

	count_again(c);
	while (has_too_many(c)) {
		if ((srv = oldest_to_spare(c)) != NULL)
			server_close(srv, TOO_MANY);
		else if ((srv = newest_connecting(c)) != NULL)
			server_give_up(srv, TOO_MANY);
		else
			return;
	}
}

void
clusters_shrink(struct pools *all)
{
	struct list_node *n;

	LIST_EACH (n, &all->clusters)
		shrink(LIST_OBJ(n, struct cluster, node));
	pools_serve_soon(all);
}
