#include "daemon/reload.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "daemon/daemon.h"
#include "daemon/descriptors.h"
#include "daemon/service.h"
#include "executor/executor.h"
#include "pool/renew.h"
#include "session/context.h"
#include "session/limited.h"
#include "session/passwords.h"
#include "session/shown.h"
#include "session/users.h"

#define DETAIL_MAX   4000 /* bytes of problems that a client is told */
#define PROBLEMS_MAX 20   /* the same */

/* ---- what is different ---- */

struct changing {
	struct daemon *daemon;
	const struct reload_listener *told;
	unsigned changes;
};

/* Is the option one of the socket, and has the service manager made that? */
static bool
is_of_socket_unit(const struct daemon *d, const struct conf_difference *diff)
{
	static const char *const options[] = {"listen", "port", "socket_mode", "socket_owner",
					      "socket_group"};

	for (unsigned i = 0; i < sizeof options / sizeof *options; i++)
		if (strcmp(diff->option, options[i]) == 0)
			return d->site.listen && listen_adopted(d->site.listen);
	return false;
}

static void
needs_restart(const struct changing *c, const struct conf_difference *diff)
{
	const char *needs =
	    is_of_socket_unit(c->daemon, diff)
		? "the unit of the socket (pgwithd.socket) to be changed and restarted"
		: "a restart";
	char *text = mem_printf("option %s of [%s] stays \"%s\": \"%s\" needs %s", diff->option,
				diff->section, diff->was, diff->is, needs);

	log_warnx("pgwithd", LOG_ALONE, "option needs a restart",
		  LOG_QUOTED("section", diff->section), LOG_TEXT("option", diff->option),
		  LOG_QUOTED("is", diff->was), LOG_QUOTED("wanted", diff->is),
		  LOG_QUOTED("needs", needs));
	if (c->told->tell)
		c->told->tell(c->told->arg, text);
	free(text);
}

static void
on_difference(void *arg, const struct conf_difference *diff)
{
	struct changing *c = arg;

	if (diff->refused) {
		needs_restart(c, diff);
		return;
	}
	c->changes++;
	/* Statements are not logged. */
	if (diff->was == NULL)
		log_info("pgwithd", LOG_ALONE, "statements changed",
			 LOG_QUOTED("section", diff->section), LOG_TEXT("option", diff->option));
	else
		log_info("pgwithd", LOG_ALONE, "option changed",
			 LOG_QUOTED("section", diff->section), LOG_TEXT("option", diff->option),
			 LOG_QUOTED("was", diff->was), LOG_QUOTED("is", diff->is));
}

/* ---- what sessions hold ---- */

/* Returns the pool if it stands for its group, or NULL. That of a joined scope is in no
 * configuration. */
static struct pool *
group_at(struct list_node *n)
{
	struct pool *pool = LIST_OBJ(n, struct pool, node);

	return pool->group == pool && pool->own_conf == NULL ? pool : NULL;
}

static bool
has_limits(const struct conf_pool *conf)
{
	return conf->scope_deadline_us || conf->idle_in_scope_timeout_us || conf->query_timeout_us;
}

/* The session's pool is about to get the options `next`. Keeps for the session what it was told at
 * login, if the pool moves to another server; and frees its open transaction from limits that the
 * pool did not have when it began. */
static void
prepare_session(struct session *s, struct pool *pool, const struct conf_pool *next, bool moves)
{
	if (moves && s->pool == pool && session_was_let_in(s))
		context_moves(s);
	if (s->hold->lease.pool == pool && !has_limits(pool->conf) && has_limits(next))
		activity_limit(&s->activity)->exempt_us = s->hold->lease.xact_us;
}

static void
prepare_sessions(struct daemon *d, struct pool *group, const struct conf_pool *next)
{
	struct list_node *n, *m;

	LIST_EACH (n, &d->site.pools.list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);
		bool moves = pool->group == group && renew_moves(pool, next);

		if (pool->group != group || (!moves && has_limits(pool->conf) == has_limits(next)))
			continue;
		for (int i = 0; i < SESSION_CLOSING; i++)
			LIST_EACH (m, &d->site.in_state[i])
				prepare_session(LIST_OBJ(m, struct session, node), pool, next,
						moves);
	}
}

/* The option application_name of the group has changed. */
static void
rename_sessions(struct daemon *d, const struct pool *group)
{
	struct list_node *n;

	for (int i = 0; i < SESSION_CLOSING; i++)
		LIST_EACH (n, &d->site.in_state[i]) {
			struct session *s = LIST_OBJ(n, struct session, node);

			if (s->pool && s->pool->group == group)
				shown_renew(s);
		}
}

/* Returns the lease that the session waits for, or NULL. */
static struct lease *
waits_for_lease(const struct session *s)
{
	const struct work *work = s->rare->work;
	const struct scope *f = work ? work->frame : NULL;

	if (s->own->lease.state == LEASE_WAITING)
		return (struct lease *)&s->own->lease;
	return f && f->lease && f->lease->state == LEASE_WAITING ? f->lease : NULL;
}

/* When a pool gets smaller, sessions that wait already may come to wait for each other. If this one
 * is in such a circle, its wait fails. */
static void
break_circle(struct daemon *d, struct session *s)
{
	struct lease *l = waits_for_lease(s);
	char *circle;
	struct err e;

	if (l == NULL || !waits_closed(&d->site.waits, s->id, &circle))
		return;
	err_make(&e, ERR_SCOPE_DEADLOCK, "pool", l->pool->conf->name);
	err_detail(&e, "%s", circle);
	free(circle);
	lease_fail(l, &e);
	err_clear(&e);
}

static void
break_circles(struct daemon *d)
{
	unsigned count = 0, room = d->site.in_state[SESSION_WAITING].count +
				   d->site.in_state[SESSION_SCOPE].count;
	uint64_t *ids = mem_calloc(room + 1, sizeof *ids);
	struct list_node *n;

	/* Ending a wait changes the lists, so the ids are collected first. */
	LIST_EACH (n, &d->site.in_state[SESSION_WAITING])
		ids[count++] = LIST_OBJ(n, struct session, node)->id;
	LIST_EACH (n, &d->site.in_state[SESSION_SCOPE])
		ids[count++] = LIST_OBJ(n, struct session, node)->id;
	for (unsigned i = 0; i < count; i++) {
		struct session *s = idmap_get(&d->site.sessions, ids[i]);

		if (s)
			break_circle(d, s);
	}
	free(ids);
}

/* ---- one configuration instead of another ---- */

static void
free_conf(void *conf)
{
	conf_free(conf);
}

static void
add_pool(struct daemon *d, const struct conf_pool *conf)
{
	char why[256] = "";

	if (pool_new(&d->site.pools, conf, why, sizeof why) == NULL)
		log_warnx("pool", conf->name, "cannot be added", LOG_QUOTED("why", why));
	else
		log_info("pool", conf->name, "added", LOG_NUMBER("size", conf->size));
}

/* Returns the group of that name, removed or not; or NULL. */
static struct pool *
find_group(struct daemon *d, const char *name)
{
	struct list_node *n;

	LIST_EACH (n, &d->site.pools.list) {
		struct pool *group = group_at(n);

		if (group && strcmp(group->conf->name, name) == 0)
			return group;
	}
	return NULL;
}

static void
change_pools(struct daemon *d, const struct conf *next)
{
	struct list_node *n;

	for (unsigned i = 0; i < next->npools; i++) {
		struct pool *group = find_group(d, next->pools[i].name);
		bool renamed;

		if (group == NULL) {
			add_pool(d, &next->pools[i]);
			continue;
		}
		if (group->removed)
			log_info("pool", group->conf->name, "is back");
		prepare_sessions(d, group, &next->pools[i]);
		renamed =
		    strcmp(group->conf->application_name, next->pools[i].application_name) != 0;
		renew_take(group, &next->pools[i]);
		if (renamed)
			rename_sessions(d, group);
	}
	LIST_EACH (n, &d->site.pools.list) {
		struct pool *group = group_at(n);

		if (group == NULL || group->removed || conf_pool(next, group->conf->name))
			continue;
		log_info("pool", group->conf->name, "removed", LOG_NUMBER("servers", group->total),
			 LOG_NUMBER("waiting", group->waiting.count));
		renew_remove(group);
	}
}

/* Takes `next` over. Returns how many options have changed. */
static unsigned
take_over(struct daemon *d, struct conf *next, const struct reload_listener *told)
{
	struct changing c = {d, told, 0};
	char why[256];
	struct list_node *n;

	conf_take_over(next, d->site.conf, on_difference, &c);
	LIST_EACH (n, &d->site.pools.list)
		if (group_at(n))
			conf_take_pool(next, group_at(n)->conf, on_difference, &c);
	/* The caller may still read the old one. */
	loop_defer(d->site.loop, free_conf, d->site.conf);
	d->site.conf = next;
	limited_renew(&d->site);
	change_pools(d, next);
	clusters_shrink(&d->site.pools);
	descriptors_count(d);
	passwords_configured(d->site.passwords, next);
	log_set_level(d->verbose ? LOG_DEBUG : next->log_level);
	log_set_format(next->log_format);
	break_circles(d);
	if (!d->site.console->configured(&d->site, why, sizeof why) && told->tell)
		told->tell(told->arg, why);
	return c.changes;
}

static int
refuse_reload(struct err *e, const char *why)
{
	log_warnx("pgwithd", LOG_ALONE, "reload refused", LOG_QUOTED("why", why));
	err_make(e, ERR_CONSOLE_RELOAD, why);
	return -E_STATE;
}

/* Every problem is logged; a client is told the first ones. */
static void
say_problems(const struct conf_problems *problems, struct err *e)
{
	char *all = mem_strdup(""), *summary;

	for (unsigned i = 0; i < problems->count; i++) {
		char *text = conf_problem_text(&problems->list[i]), *more;

		log_warnx("pgwithd", LOG_ALONE, "reload refused", LOG_QUOTED("why", text));
		if (i < PROBLEMS_MAX && strlen(all) + strlen(text) < DETAIL_MAX) {
			more = mem_printf("%s%s%s", all, i ? "\n" : "", text);
			free(all);
			all = more;
		}
		free(text);
	}
	summary = mem_printf("%u problem%s", problems->count, problems->count == 1 ? "" : "s");
	err_make(e, ERR_CONSOLE_RELOAD, summary);
	err_detail(e, "%s", all);
	free(summary);
	free(all);
}

/* Is the file a pipe, as with pgwithd -c /dev/stdin? Opening a FIFO would wait for a writer. */
static bool
is_pipe(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISFIFO(st.st_mode);
}

static int
read_and_take(struct daemon *d, const struct reload_listener *told, struct err *e)
{
	struct conf_problems problems;
	struct conf *next;
	unsigned changes;

	if (d->input->path && is_pipe(d->input->path))
		return refuse_reload(e, "its file is a pipe, which can be read only once");
	next = conf_read(d->input, &problems);
	if (next)
		renew_check(next, &problems);
	if (problems.count > 0) {
		say_problems(&problems, e);
		conf_problems_clear(&problems);
		conf_free(next);
		return -E_SYNTAX;
	}
	changes = take_over(d, next, told);
	users_forget(d->site.users);
	log_info("pgwithd", LOG_ALONE, "reloaded", LOG_NUMBER("pools", next->npools),
		 LOG_NUMBER("scopes", next->nscopes), LOG_NUMBER("changed", changes),
		 LOG_TEXT("file", next->path ? next->path : ""));
	return 0;
}

int
reload(struct daemon *d, const struct reload_listener *told, struct err *e)
{
	int r;

	if (d->site.phase != SITE_RUNNING)
		return refuse_reload(e, "pgwithd is shutting down");
	service_reloading(d);
	r = read_and_take(d, told, e);
	service_reloaded(d, r == 0);
	return r;
}

int
reload_set(struct daemon *d, const struct conf_change *change, struct err *e)
{
	char *why = NULL, *hint = NULL;
	struct conf_problems problems = {NULL, 0};
	struct conf *next;

	if (d->site.phase != SITE_RUNNING)
		return refuse_reload(e, "pgwithd is shutting down");
	next = conf_changed(d->site.conf, change, &why, &hint);
	if (next)
		renew_check(next, &problems);
	if (problems.count > 0) {
		why = mem_strdup(problems.list[0].text);
		conf_problems_clear(&problems);
		conf_free(next);
		next = NULL;
	}
	if (next) {
		log_info("pgwithd", LOG_ALONE, "set", LOG_TEXT("option", change->option),
			 LOG_TEXT("role", change->role));
		take_over(d, next, &(struct reload_listener){NULL, NULL});
		return 0;
	}
	err_make(e, ERR_CONSOLE_OPTION, why);
	if (hint)
		err_hint(e, "%s", hint);
	free(why);
	free(hint);
	return -E_SYNTAX;
}

/* ---- pools that were removed ---- */

static bool
session_uses(const struct session *s, const struct pool *pool)
{
	const struct list_node *n;

	if (s->pool == pool || s->own->lease.pool == pool)
		return true;
	if (s->rare->stack == NULL)
		return false;
	LIST_EACH (n, &s->rare->stack->frames)
		if (LIST_OBJ(n, const struct scope, node)->pool == pool)
			return true;
	return false;
}

static bool
is_used(const struct daemon *d, const struct pool *pool)
{
	const struct list_node *n;

	/* A joint whose members' server has been closed looks at its pool until it ends. */
	if (pool->joined)
		return true;
	if (!renew_is_idle(pool))
		return true;
	LIST_EACH (n, &d->site.pools.list)
		if (pool->group == pool && LIST_OBJ(n, const struct pool, node) != pool &&
		    LIST_OBJ(n, const struct pool, node)->group == pool)
			return true; /* the pools of its roles are freed first */
	for (int i = 0; i < SESSION_CLOSED; i++)
		LIST_EACH (n, &d->site.in_state[i])
			if (session_uses(LIST_OBJ(n, const struct session, node), pool))
				return true;
	return false;
}

/* ---- pools of roles that nobody uses ---- */

#define UNUSED_US UNIT_S /* from one look for them to the next */

static void
mark_used(struct pool *pool)
{
	if (pool)
		pool->used = true;
}

static void
mark_used_by(const struct session *s)
{
	const struct list_node *n;

	mark_used(s->pool);
	mark_used(s->own->lease.pool);
	if (s->rare->stack)
		LIST_EACH (n, &s->rare->stack->frames)
			mark_used(LIST_OBJ(n, const struct scope, node)->pool);
}

/* Frees pools of single roles that nobody uses. With role = client, each name that a client has
 * come with has a pool, even if there is no such role. The sessions are walked once for all pools,
 * and only if some pool has no server. */
static void
sweep_roles(struct daemon *d)
{
	int64_t now = loop_now_us(d->site.loop);
	struct list_node *n, *after;
	bool any = false;

	if (now - d->roles_us < UNUSED_US || d->site.pools.handing)
		return;
	d->roles_us = now;
	LIST_EACH (n, &d->site.pools.list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);

		pool->used = pool->joined || !pool_is_spent(pool);
		any |= !pool->used;
	}
	if (!any)
		return;
	for (int i = 0; i < SESSION_CLOSED; i++)
		LIST_EACH (n, &d->site.in_state[i])
			mark_used_by(LIST_OBJ(n, const struct session, node));
	LIST_EACH_SAFE (n, after, &d->site.pools.list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);

		if (pool->used || pool->group->removed)
			continue;
		log_debug("pool", pool->conf->name, "nobody is in", LOG_TEXT("role", pool->role));
		pool_free(pool);
	}
}

void
reload_sweep(struct daemon *d)
{
	struct list_node *n, *after;

	sweep_roles(d);

	LIST_EACH_SAFE (n, after, &d->site.pools.list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);

		if (!pool->group->removed || is_used(d, pool))
			continue;
		if (pool->group == pool && pool->own_conf == NULL)
			log_info("pool", pool->conf->name, "gone");
		pool_free(pool);
	}
}
