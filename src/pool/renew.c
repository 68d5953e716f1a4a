#include "pool/renew.h"

#include "base/log.h"
#include "pool/keeper.h"
#include "pool/password.h"

#define MOVED   "the pool was moved"
#define SMALLER "the pool was made smaller"

void
renew_check(const struct conf *conf, struct conf_problems *problems)
{
	char why[512];

	for (unsigned i = 0; i < conf->npools; i++) {
		const struct conf_pool *pool = &conf->pools[i];
		struct conninfo *ci = pool_conninfo(pool, NULL, why, sizeof why);

		if (ci == NULL)
			conf_problem_add(problems, conf, conf_pool_source(pool, "conninfo"),
					 "pool \"%s\": conninfo: %s", pool->name, why);
		conninfo_free(ci);
	}
}

bool
renew_moves(const struct pool *pool, const struct conf_pool *conf)
{
	char why[512];
	struct conninfo *ci = pool_conninfo(conf, pool->role, why, sizeof why);
	bool moves = ci && (!conninfo_same(ci, pool->conninfo) || password_changes(pool, conf));

	conninfo_free(ci);
	return moves;
}

/* Makes sure that none of the servers of now is leased again. */
static void
retire_all(struct pool *pool)
{
	struct list *connecting = &pool->servers[SERVER_CONNECTING];
	struct list *idle = &pool->servers[SERVER_IDLE];
	struct list_node *n;

	for (int i = 0; i < SERVER_CLOSED; i++)
		LIST_EACH (n, &pool->servers[i])
			LIST_OBJ(n, struct server, node)->retiring = true;
	for (int i = 0; i < SERVER_CLOSED; i++)
		LIST_EACH (n, &pool->kept[i])
			LIST_OBJ(n, struct server, node)->retiring = true;
	/* Another attempt may be started for each that is given up; it goes to the end of the list,
	 * so only those of now are counted. */
	for (unsigned most = connecting->count; most > 0; most--)
		server_give_up(LIST_OBJ(list_first(connecting), struct server, node), MOVED);
	keeper_move(pool);
	while ((n = list_first(idle)) != NULL)
		server_close(LIST_OBJ(n, struct server, node), MOVED);
}

static void
change_place(struct pool *pool)
{
	char why[512];
	struct conninfo *ci = pool_conninfo(pool->conf, pool->role, why, sizeof why);

	if (ci == NULL) {
		/* The service file has changed since the conninfo was checked. */
		log_warnx("pool", pool->conf->name, "cannot be moved", LOG_QUOTED("why", why));
		return;
	}
	conninfo_free(pool->conninfo);
	pool->conninfo = ci;
	log_info("pool", pool->conf->name, "moved", LOG_NUMBER("servers", pool->count),
		 LOG_NUMBER("leased", pool->servers[SERVER_LEASED].count));
	pool_forget_place(pool);
	retire_all(pool);
}

static struct server *
last_connecting(struct pool *group)
{
	struct list_node *n, *last;

	LIST_EACH (n, &group->all->list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);

		last = list_last(&pool->servers[SERVER_CONNECTING]);
		if (pool->group == group && last)
			return LIST_OBJ(last, struct server, node);
	}
	return NULL;
}

/* Closes idle servers while there are too many. Servers at work are closed when they come back:
 * pool_server_ready(). */
static void
close_surplus(struct pool *group)
{
	while (group->total > group->conf->size) {
		struct server *srv = pool_oldest_idle(group, NULL);

		if (srv) {
			server_close(srv, SMALLER);
			continue;
		}
		srv = last_connecting(group);
		if (srv == NULL)
			return;
		server_give_up(srv, SMALLER);
	}
}

static void
drop_conf(void *conf)
{
	conf_pool_drop(conf);
}

void
renew_take(struct pool *group, const struct conf_pool *conf)
{
	struct list_node *n, *after;

	group->removed = false;
	group->all->changes++;
	LIST_EACH (n, &group->all->list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);

		if (pool->group != group)
			continue;
		/* The caller may still read it: freed at the end of the turn. */
		loop_defer(group->all->loop, drop_conf, (void *)pool->conf);
		pool->conf = conf_pool_keep(conf);
		pool->reads = conf->read_only && *conf->read_only;
	}
	LIST_EACH (n, &group->all->list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);

		if (pool->group != group)
			continue;
		if (renew_moves(pool, conf))
			change_place(pool);
		/* Whoever reloads after a change of the password means the new one. */
		password_renew(pool);
	}
	close_surplus(group);
	cluster_join(group);
	LIST_EACH_SAFE (n, after, &group->all->list)
		if (LIST_OBJ(n, struct pool, node)->group == group)
			pool_fill(LIST_OBJ(n, struct pool, node));
}

void
renew_remove(struct pool *group)
{
	group->removed = true;
	cluster_removed(group);
}

bool
renew_is_idle(const struct pool *pool)
{
	return pool->waiting.count == 0 && pool_busy(pool) == 0;
}
