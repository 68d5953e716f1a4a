#include "pool/sweep.h"

#include "pool/gate.h"
#include "pool/keeper.h"
#include "pool/probe.h"

/* The first lease of the queue that has waited since `then` or longer. The queue is in order of
 * time, but for the leases at its front that need a new server. */
static struct lease *
first_overdue(const struct pool *pool, int64_t then)
{
	struct list_node *n;

	LIST_EACH (n, &pool->waiting) {
		struct lease *l = LIST_OBJ(n, struct lease, node);

		if (l->since_us + l->paused_us <= then)
			return l;
		if (!l->fresh)
			return NULL;
	}
	return NULL;
}

static void
sweep_waiting(struct pool *pool, int64_t now)
{
	int64_t limit = pool->conf->wait_timeout_us;
	struct lease *l;

	if (limit == 0 || gate_paused(pool))
		return;
	while ((l = first_overdue(pool, now - limit)) != NULL) {
		struct err e;

		pool_wait_error(pool, l, limit, &e);
		lease_fail(l, &e);
		err_clear(&e);
	}
}

static void
sweep_connecting(struct pool *pool, int64_t now)
{
	struct list_node *n, *after;

	LIST_EACH_SAFE (n, after, &pool->servers[SERVER_CONNECTING]) {
		struct server *srv = LIST_OBJ(n, struct server, node);

		if (now - srv->since_us < pool->conf->connect_timeout_us)
			return; /* the list is in order of their start */
		if (srv->asking)
			continue; /* password_timeout is for that */
		server_connect_late(srv);
	}
}

static void
sweep_cleaning(struct pool *pool)
{
	struct list_node *n, *after;

	LIST_EACH_SAFE (n, after, &pool->servers[SERVER_CLEANING])
		server_step(LIST_OBJ(n, struct server, node));
}

/* Must the idle server be closed because of its age? A server that is due gives way to sessions
 * that wait, and to the successor of another one that was closed, until it is as old as it may
 * be. */
static bool
is_too_old(const struct pool *pool, const struct server *srv, int64_t now)
{
	if (!pool_is_over_lifetime(pool, srv))
		return false;
	return now - srv->connected_us >= pool->conf->max_lifetime_us ||
	       (pool->servers[SERVER_CONNECTING].count == 0 && pool->waiting.count == 0);
}

static void
sweep_idle(struct pool *pool, int64_t now)
{
	const struct conf_pool *conf = pool->conf;
	struct list_node *n, *before;
	bool closed = false;

	/* Begin with the least recently used. Only one is closed in each sweep, so that servers
	 * that were opened all at once are not closed all at once. */
	for (n = pool->servers[SERVER_IDLE].head.prev; n != &pool->servers[SERVER_IDLE].head;
	     n = before) {
		struct server *srv = LIST_OBJ(n, struct server, node);

		before = n->prev;
		if (!closed && is_too_old(pool, srv, now)) {
			closed = true;
			server_close(srv, "max_lifetime");
		} else if (!closed && conf->idle_timeout_us > 0 &&
			   pool->count > pool_least_servers(pool) &&
			   now - srv->idle_us >= conf->idle_timeout_us) {
			closed = true;
			server_close(srv, "idle_timeout");
		} else if (conf->check_interval_us > 0 && !pool->all->handing &&
			   now - srv->used_us >= server_spread_us(srv, conf->check_interval_us)) {
			server_check(srv);
		}
	}
	pool->all->aged |= closed;
	LIST_EACH_SAFE (n, before, &pool->servers[SERVER_CHECKING]) {
		struct server *srv = LIST_OBJ(n, struct server, node);

		if (now - srv->since_us >= conf->connect_timeout_us)
			server_close(srv, "no sign of life");
	}
}

void
sweep_pools(struct pools *all)
{
	int64_t now = loop_now_us(all->loop);
	struct list_node *n, *after;

	all->aged = false;
	clusters_sweep(all, now);
	LIST_EACH_SAFE (n, after, &all->list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);

		sweep_connecting(pool, now);
		sweep_cleaning(pool);
		sweep_idle(pool, now);
		sweep_waiting(pool, now);
		pool_stats_sweep(pool, now);
		pool_fill(pool);
		probe_sweep(pool, now);
		keepers_sweep(pool, now);
	}
}

/* Are all its servers idle, and as many as there should be, and does nobody wait for one? */
static bool
is_at_rest(const struct pool *pool)
{
	return pool->count == pool->servers[SERVER_IDLE].count && pool->waiting.count == 0 &&
	       pool->count >= pool_least_servers(pool) && pool->down_us == 0 &&
	       pool->retry_us == 0 && pool->probe_us == 0 && gate_of(pool) != POOL_DRAINED &&
	       !pool->group->removed && !keeper_is_busy(pool);
}

bool
sweep_is_due_soon(const struct pools *all)
{
	struct list_node *n;

	LIST_EACH (n, &all->list)
		if (!is_at_rest(LIST_OBJ(n, const struct pool, node)))
			return true;
	return all->aged || all->closing || all->handing;
}
