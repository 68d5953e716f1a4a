#include "pool/probe.h"

#include <string.h>

#include "base/log.h"
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
		/* One line of the log tells that all of them can connect again. */
		if (other->failing_us &&
		    (pool->failing_us == 0 || other->failing_us < pool->failing_us)) {
			pool->failing_us = other->failing_us;
			pool->attempts = other->attempts;
		}
		other->failing_us = 0;
		err_clear(&other->last_error);
		other->retry_us = other->probe_us = other->down_us = 0;
		other->attempts = 0;
	}
}

/* ---- what is logged ---- */

void
probe_say_again(struct pool *pool)
{
	if (pool->failing_us)
		log_info("pool", pool->conf->name, "can connect again",
			 LOG_S("after", loop_now_us(pool->all->loop) - pool->failing_us),
			 LOG_NUMBER("attempts", pool->attempts));
	pool->failing_us = 0;
}

/* Is the pool down, and tries again by itself or for those who wait? */
static bool
goes_on_trying(const struct pool *pool)
{
	return pool->last_error.id != ERR_NONE && !pool->group->removed && !gate_paused(pool) &&
	       (pool_is_down(pool) || (pool->down_us && pool->waiting.count > 0));
}

/* Do both fail, and for the same reason? */
static bool
fails_alike(const struct pool *pool, const struct pool *other)
{
	return other->group == pool->group && goes_on_trying(other) &&
	       strcmp(other->last_error.message, pool->last_error.message) == 0;
}

/* What the attempt failed for: the messages of these errors name the pool first, in quotes. */
static const char *
reason_of_failure(const struct pool *pool)
{
	return strchr(pool->last_error.message, '"') + strlen(pool->conf->name) + strlen("\"\": ");
}

/* Logs it for all pools of the group that fail for the reason of this one, if it is the first of
 * them. */
static void
say_still(const struct pool *pool, int64_t now)
{
	int64_t since_us = pool->failing_us;
	unsigned alike = 0, waiting = 0, attempts = 0;
	const struct list_node *n;

	LIST_EACH (n, &pool->all->list) {
		const struct pool *other = LIST_OBJ(n, const struct pool, node);

		if (!fails_alike(pool, other))
			continue;
		if (alike++ == 0 && other != pool)
			return;
		waiting += other->waiting.count;
		attempts += other->attempts;
		if (other->failing_us && other->failing_us < since_us)
			since_us = other->failing_us;
	}
	log_warnx("pool", pool->conf->name, "still cannot connect",
		  LOG_QUOTED("why", reason_of_failure(pool)), LOG_S("after", now - since_us),
		  LOG_NUMBER("attempts", attempts), LOG_NUMBER("waiting", waiting));
}

static void
say_group(struct pool *pool, int64_t now)
{
	struct pool *group = pool->group;
	const struct list_node *n;

	if (!goes_on_trying(pool) || now - pool->failing_us < PROBE_TELL_US ||
	    now - group->told_us < PROBE_TELL_US)
		return;
	group->told_us = now;
	LIST_EACH (n, &pool->all->list)
		if (LIST_OBJ(n, const struct pool, node)->group == group &&
		    goes_on_trying(LIST_OBJ(n, const struct pool, node)))
			say_still(LIST_OBJ(n, const struct pool, node), now);
}

/* ---- the next try ---- */

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

	say_group(pool, now);
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
