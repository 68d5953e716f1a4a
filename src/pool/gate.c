#include "pool/gate.h"

#include <string.h>

#include "pool/keeper.h"

/* Calls fn for each pool of the group. */
static void
for_each_part(struct pool *pool, void (*fn)(struct pool *))
{
	struct pool *group = pool->group;
	struct list_node *n, *after;

	LIST_EACH_SAFE (n, after, &group->all->list) {
		struct pool *part = LIST_OBJ(n, struct pool, node);

		if (part->group == group)
			fn(part);
	}
}

/* ---- servers ---- */

/* Another attempt may be started for each that is given up; it goes to the end of the list, so only
 * those of now are counted. */
static void
give_up_connecting(struct pool *pool)
{
	struct list *l = &pool->servers[SERVER_CONNECTING];

	for (unsigned n = l->count; n > 0; n--)
		server_give_up(LIST_OBJ(list_first(l), struct server, node), "no longer wanted");
}

static void
close_idle(struct pool *pool, const char *why)
{
	struct list_node *n;

	while ((n = list_first(&pool->servers[SERVER_IDLE])) != NULL)
		server_close(LIST_OBJ(n, struct server, node), why);
}

static void
retire(struct list *servers)
{
	struct list_node *n;

	LIST_EACH (n, servers)
		LIST_OBJ(n, struct server, node)->retiring = true;
}

static void
reconnect(struct pool *pool)
{
	retire(&pool->servers[SERVER_LEASED]);
	retire(&pool->servers[SERVER_CHECKING]);
	retire(&pool->servers[SERVER_CLEANING]);
	give_up_connecting(pool);
	close_idle(pool, "reconnect");
	/* Until another one has taken over, which is tried again. */
	retire(&pool->kept[SERVER_IDLE]);
	keeper_move(pool);
	/* Leases that go on with their servers have texts parsed anew, too. */
	pool->group->defined = ++pool->all->statements.tick;
}

void
gate_reconnect(struct pool *pool)
{
	for_each_part(pool, reconnect);
}

/* ---- pause ---- */

static void
close_unused(struct pool *pool)
{
	give_up_connecting(pool);
	close_idle(pool, "paused");
	keeper_pause(pool);
}

void
gate_pause(struct pool *pool)
{
	struct pool *group = pool->group;

	if (!group->paused) {
		group->paused = true;
		group->paused_us = loop_now_us(group->all->loop);
	}
	for_each_part(group, close_unused);
}

/* Counts the pause for those who wait, so that wait_timeout leaves it out. */
static void
count_pause(struct pool *pool)
{
	int64_t now = loop_now_us(pool->all->loop), began = pool->group->paused_us;
	struct list_node *n;

	LIST_EACH (n, &pool->waiting) {
		struct lease *l = LIST_OBJ(n, struct lease, node);

		l->paused_us += now - (l->since_us > began ? l->since_us : began);
	}
}

bool
gate_resume(struct pool *pool)
{
	struct pool *group = pool->group;

	if (!group->paused)
		return false;
	for_each_part(group, count_pause);
	group->paused = false;
	for_each_part(group, pool_fill);
	for_each_part(group, keeper_resume);
	return true;
}

/* ---- who comes in ---- */

void
gate_set(struct pool *pool, enum pool_gate gate)
{
	pool->group->gate = gate;
}

bool
gate_refuses(const struct pool *pool, struct err *e)
{
	if (gate_of(pool) == POOL_ENABLED)
		return false;
	err_make(e, ERR_POOL_DISABLED, pool->conf->name,
		 gate_of(pool) == POOL_DISABLED ? "disabled" : "drained");
	return true;
}

/* ---- counts ---- */

unsigned
gate_servers(const struct pool *pool)
{
	return pool->group->total;
}

unsigned
gate_retiring(const struct pool *pool)
{
	const struct pools *all = pool->all;
	unsigned count = 0;
	struct list_node *n, *m;

	LIST_EACH (n, &all->list) {
		const struct pool *part = LIST_OBJ(n, struct pool, node);

		if (part->group != pool->group)
			continue;
		for (int i = 0; i < SERVER_CLOSED; i++)
			LIST_EACH (m, &part->servers[i])
				count += LIST_OBJ(m, struct server, node)->retiring;
		LIST_EACH (m, &part->kept[SERVER_IDLE])
			count += LIST_OBJ(m, struct server, node)->retiring;
	}
	return count;
}

struct pool *
gate_find(const struct pools *all, const char *name)
{
	struct list_node *n;

	LIST_EACH (n, &all->list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);

		if (pool->group == pool && pool->own_conf == NULL &&
		    strcmp(pool->conf->name, name) == 0)
			return pool;
	}
	return NULL;
}
