#include "pool/probe.h"

#include <string.h>

#include "base/units.h"
#include "pool/gate.h"

/* Could the error pass by itself? So it is if there is no answer, or the server is starting,
 * stopping or full: PostgreSQL 15 documentation, appendix A. */
static bool
may_pass(const char *sqlstate)
{
	return *sqlstate == 0 || strncmp(sqlstate, "53", 2) == 0 || strncmp(sqlstate, "57", 2) == 0;
}

void
probe_failed(struct pool *pool, const char *sqlstate)
{
	int64_t delay = pool->conf->retry_delay_us;

	pool->probe_us = 0;
	if (may_pass(sqlstate))
		pool->probe_us =
		    loop_now_us(pool->all->loop) + (delay > PROBE_US ? delay : PROBE_US);
}

void
probe_connected(struct pool *pool)
{
	struct list_node *n;

	pool->probe_us = 0;
	LIST_EACH (n, &pool->all->list) {
		struct pool *other = LIST_OBJ(n, struct pool, node);

		if (other->group != pool->group || other->probe_us == 0)
			continue;
		err_clear(&other->last_error);
		other->retry_us = other->probe_us = other->down_us = 0;
		other->attempts = 0;
	}
}

static bool
is_connecting(const struct pool *pool)
{
	const struct list_node *n;

	LIST_EACH (n, &pool->all->list) {
		const struct pool *other = LIST_OBJ(n, const struct pool, node);

		if (other->group == pool->group && other->servers[SERVER_CONNECTING].count > 0)
			return true;
	}
	return false;
}

void
probe_sweep(struct pool *pool, int64_t now)
{
	const struct pools *all = pool->all;

	if (pool->probe_us == 0 || now < pool->probe_us)
		return;
	/* If somebody waits, or min_size is not reached, pool_fill() tries anyway. */
	if (pool->last_error.id == ERR_NONE || pool->count > 0 || pool->waiting.count > 0 ||
	    pool->group->removed || pool->group->total >= pool->conf->size || all->closing ||
	    all->handing || gate_paused(pool) || gate_of(pool) != POOL_ENABLED ||
	    (pool->conf->role == CONF_ROLE_CLIENT && pool->role == NULL) || is_connecting(pool) ||
	    !cluster_has_room(pool->group))
		return;
	pool->probe_us = 0;
	server_open(pool);
}
