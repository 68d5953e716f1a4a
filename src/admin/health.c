#include "admin/health.h"

#include <stdio.h>
#include <string.h>

#include "admin/show.h"
#include "base/units.h"
#include "base/utf8.h"
#include "pool/gate.h"
#include "session/application.h"
#include "session/doing.h"

#define NAME_MAX_BYTES 64 /* of an application_name in a verdict */

/* ---- is it ready? ---- */

/* Copies the text of an error, and its detail if that fits, and frees the error. Returns false. */
static bool
refused_by(struct err *e, char *out)
{
	if (e->detail)
		snprintf(out, HEALTH_TEXT, "%s (%s)", e->message, e->detail);
	else
		snprintf(out, HEALTH_TEXT, "%s", e->message);
	err_clear(e);
	return false;
}

/* Has the pool an idle server, or one that is free soon, or may it open one? */
static bool
has_room(const struct pool *pool)
{
	const struct list *servers = pool->servers;

	return servers[SERVER_IDLE].count + servers[SERVER_CHECKING].count +
		       servers[SERVER_CLEANING].count + servers[SERVER_CONNECTING].count >
		   0 ||
	       (int64_t)pool->group->total < pool->conf->size ||
	       pool_oldest_idle(pool->group, NULL);
}

/* Did no server come back for as long as a client would wait? Then a client that came now would
 * get the error of wait_timeout. Leased servers are in the order of their leases, the last one
 * newest. */
static bool
nothing_comes_back(const struct pool *pool)
{
	int64_t limit = pool->conf->wait_timeout_us;
	const struct list_node *last = list_last(&pool->servers[SERVER_LEASED]);

	if (limit == 0 || has_room(pool))
		return false;
	return last && loop_now_us(pool->all->loop) -
			       LIST_OBJ(last, const struct server, node)->lease->since_us >=
			   limit;
}

/* Would a client of this pool be served? If not, `out` says why. */
static bool
part_is_ready(struct pool *pool, char *out)
{
	struct err e;

	if (pool->servers[SERVER_IDLE].count > 0)
		return true;
	if (pool->down_us && pool->last_error.id != ERR_NONE) {
		err_copy(&e, &pool->last_error);
		return refused_by(&e, out);
	}
	if (pool_refuses(pool, &e))
		return refused_by(&e, out);
	if (nothing_comes_back(pool)) {
		pool_wait_error(pool, pool->conf->wait_timeout_us, &e);
		return refused_by(&e, out);
	}
	return true;
}

/* Is there a reason that holds for all pools of the group? */
static bool
group_refuses(const struct daemon *d, const struct pool *group, char *out)
{
	struct err e;

	if (d->site.phase != SITE_RUNNING || group->all->closing)
		err_make(&e, ERR_SHUTDOWN);
	else if (group->removed)
		err_make(&e, ERR_NO_POOL, group->conf->name);
	else if (gate_refuses(group, &e))
		;
	else if (group->all->handing) {
		snprintf(out, HEALTH_TEXT, "a new pgwithd takes over: clients wait until it has");
		return true;
	} else if (gate_paused(group)) {
		snprintf(out, HEALTH_TEXT, "the pool is paused: an administrator can RESUME it");
		return true;
	} else
		return false;
	refused_by(&e, out);
	return true;
}

static bool
is_ready(const struct daemon *d, const struct pool *group, char *out)
{
	struct list_node *n;
	unsigned parts = 0;

	*out = 0;
	if (group_refuses(d, group, out))
		return false;
	LIST_EACH (n, &group->all->list) {
		struct pool *part = LIST_OBJ(n, struct pool, node);

		if (part->group != group || (part == group && group->conf->role != CONF_ROLE_FIXED))
			continue;
		parts++;
		if (part_is_ready(part, out)) {
			*out = 0;
			return true;
		}
	}
	return parts == 0;
}

/* ---- in words ---- */

/* The sums of a group, and who is first in them. */
struct sums {
	unsigned leased, waiting;
	const struct lease *longest; /* the lease that is held longest; or NULL */
	int64_t waits_since_us;
};

static struct sums
sums_of(const struct pool *group)
{
	struct sums sums = {0};
	struct list_node *n;

	LIST_EACH (n, &group->all->list) {
		const struct pool *part = LIST_OBJ(n, const struct pool, node);
		const struct list_node *held = list_first(&part->servers[SERVER_LEASED]);
		const struct list_node *waits = list_first(&part->waiting);
		int64_t since;

		if (part->group != group)
			continue;
		sums.leased += part->servers[SERVER_LEASED].count;
		sums.waiting += part->waiting.count;
		if (held) {
			const struct lease *l = LIST_OBJ(held, const struct server, node)->lease;

			if (l && (sums.longest == NULL || l->since_us < sums.longest->since_us))
				sums.longest = l;
		}
		if (waits) {
			since = LIST_OBJ(waits, const struct lease, node)->since_us;
			if (sums.waits_since_us == 0 || since < sums.waits_since_us)
				sums.waits_since_us = since;
		}
	}
	return sums;
}

/* session 12 (app, pid 4242) holds for 42 s, idle in transaction */
static void
say_holder(const struct lease *l, int64_t now_us, char *out, size_t out_size)
{
	const struct session *s = l->owner;
	const char *name = application_name(&s->context);
	char text[32];

	if (name == NULL || *name == 0)
		name = s->peer.role ? s->peer.role : "?";
	snprintf(out, out_size, "; session %llu (%.*s, pid %d) holds for %s, %s",
		 (unsigned long long)s->id, (int)utf8_fit(name, strlen(name), NAME_MAX_BYTES), name,
		 (int)s->peer.pid, units_elapsed_str(now_us - l->since_us, text, sizeof text),
		 doing_state(s, l->srv));
}

static void
say_verdict(const struct pool *group, struct health *h)
{
	struct sums sums = sums_of(group);
	int64_t now = loop_now_us(group->all->loop);
	char text[32], waiting[80] = "", holder[256] = "";

	if (sums.waiting > 0)
		snprintf(waiting, sizeof waiting, ", %u waiting, oldest %s", sums.waiting,
			 units_elapsed_str(now - sums.waits_since_us, text, sizeof text));
	if (sums.longest && (sums.waiting > 0 || !h->ready))
		say_holder(sums.longest, now, holder, sizeof holder);
	snprintf(h->verdict, sizeof h->verdict, "%s: %u of %lld leased%s%s%s%s", group->conf->name,
		 sums.leased, (long long)group->conf->size, waiting, holder, h->ready ? "" : "; ",
		 h->reason);
}

void
health_of(const struct daemon *d, const struct pool *pool, struct health *h)
{
	h->ready = is_ready(d, pool->group, h->reason);
	say_verdict(pool->group, h);
}

/* ---- SHOW HEALTH ---- */

static const struct column health_columns[] = {
    {"pool", COLUMN_TEXT},
    {"ready", COLUMN_BOOL},
    {"reason", COLUMN_TEXT},
    {"verdict", COLUMN_TEXT},
};

static void
fill_health(const struct daemon *d, struct rows *r)
{
	struct list_node *n;

	LIST_EACH (n, &d->site.pools.list) {
		const struct pool *pool = LIST_OBJ(n, const struct pool, node);
		struct health h;

		if (pool->group != pool)
			continue;
		health_of(d, pool, &h);
		rows_begin(r);
		rows_text(r, pool->conf->name);
		rows_bool(r, h.ready);
		rows_text(r, h.ready ? NULL : h.reason);
		rows_text(r, h.verdict);
		rows_end(r);
	}
}

const struct show show_health = SHOW_TABLE(health_columns, fill_health);
