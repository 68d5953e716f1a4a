#include "admin/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "daemon/drain.h"
#include "daemon/kill.h"
#include "pool/gate.h"

/* ---- which pools ---- */

/* Is it a group's own pool, and is the group the one that the command names? If it names none,
 * every group is meant. */
static bool
is_meant(const struct command_call *call, const struct pool *pool)
{
	return pool->group == pool && pool->own_conf == NULL &&
	       (call->stmt->nargs == 0 || strcmp(call->stmt->args[0], pool->conf->name) == 0);
}

/* The pool that the command names; NULL with the error in *e. */
static struct pool *
named_pool(const struct command_call *call, struct err *e)
{
	struct pool *pool = gate_find(&call->daemon->site.pools, call->stmt->args[0]);
	char text[COMMAND_ARG_MAX + 8];

	if (pool == NULL) {
		snprintf(text, sizeof text, "\"%s\"", call->stmt->args[0]);
		err_make(e, ERR_CONSOLE_UNKNOWN, "pool", text);
		err_hint(e, "SHOW DATABASES lists the pools");
	}
	return pool;
}

int
control_check(const struct command_call *call, struct err *e)
{
	return call->stmt->nargs > 0 && named_pool(call, e) == NULL ? -E_NOTFOUND : 0;
}

static void __attribute__((format(printf, 2, 3)))
set_notice(const struct command_call *call, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	*call->notice = mem_vprintf(fmt, ap);
	va_end(ap);
}

static int
undone_meanwhile(const struct command_call *call, const char *by, struct err *e)
{
	char text[64];

	snprintf(text, sizeof text, "%s was undone meanwhile, by %s", call->stmt->command->words,
		 by);
	err_make(e, ERR_CONSOLE_STATE, text);
	return -E_STATE;
}

/* ---- PAUSE, RESUME ---- */

/* Who has held a server connection of these pools longest, for people; "" if nobody holds one. */
static void
held_longest(const struct command_call *call, char *out, size_t out_size)
{
	const struct server *longest = NULL;
	struct list_node *n, *first;

	LIST_EACH (n, &call->daemon->site.pools.list) {
		const struct pool *pool = LIST_OBJ(n, struct pool, node);

		first = list_first(&pool->servers[SERVER_LEASED]);
		if (first && is_meant(call, pool->group) &&
		    (longest == NULL ||
		     LIST_OBJ(first, struct server, node)->since_us < longest->since_us))
			longest = LIST_OBJ(first, struct server, node);
	}
	*out = 0;
	if (longest)
		longest->lease->ops->describe(longest->lease, out, out_size);
}

/* Puts into the notice what the command will wait for. */
static void
say_servers(const struct command_call *call, unsigned count)
{
	char who[256];

	if (count == 0)
		return;
	held_longest(call, who, sizeof who);
	set_notice(call, "waiting for %u server connection%s%s%s", count, count == 1 ? "" : "s",
		   *who ? "; held longest by " : "", who);
}

/* The same if it waits for none, but connections that listen stay. */
static void
say_kept(const struct command_call *call)
{
	unsigned count = 0;
	struct list_node *n;

	LIST_EACH (n, &call->daemon->site.pools.list) {
		const struct pool *pool = LIST_OBJ(n, struct pool, node);

		if (is_meant(call, pool->group))
			count += pool->kept[SERVER_IDLE].count;
	}
	if (count > 0)
		set_notice(call, "%u server connection%s that listen%s for sessions stay%s", count,
			   count == 1 ? "" : "s", count == 1 ? "s" : "", count == 1 ? "s" : "");
}

int
control_pause(const struct command_call *call, struct err *e)
{
	struct list_node *n;
	unsigned servers = 0, already = 0, pools = 0;

	if (control_check(call, e) < 0)
		return -E_NOTFOUND;
	LIST_EACH (n, &call->daemon->site.pools.list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);

		if (!is_meant(call, pool))
			continue;
		pools++;
		already += gate_paused(pool);
		gate_pause(pool);
		servers += gate_servers(pool);
	}
	if (servers > 0)
		say_servers(call, servers);
	else if (already == pools)
		set_notice(call, "already paused");
	else
		say_kept(call);
	return 0;
}

int
control_paused(const struct command_call *call, struct err *e)
{
	struct list_node *n;
	unsigned servers = 0, paused = 0, pools = 0;

	LIST_EACH (n, &call->daemon->site.pools.list) {
		const struct pool *pool = LIST_OBJ(n, struct pool, node);

		if (!is_meant(call, pool))
			continue;
		pools++;
		/* A pool that a reload has added since need not be paused. */
		if (!gate_paused(pool))
			continue;
		paused++;
		servers += gate_servers(pool);
	}
	if (pools > 0 && paused == 0)
		return undone_meanwhile(call, "RESUME", e);
	return servers > 0 ? -E_AGAIN : 0;
}

int
control_resume(const struct command_call *call, struct err *e)
{
	struct list_node *n;
	unsigned resumed = 0;

	if (control_check(call, e) < 0)
		return -E_NOTFOUND;
	LIST_EACH (n, &call->daemon->site.pools.list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);

		if (is_meant(call, pool))
			resumed += gate_resume(pool);
	}
	if (resumed == 0)
		set_notice(call,
			   call->stmt->nargs ? "the pool is not paused" : "no pool is paused");
	return 0;
}

/* ---- DISABLE, ENABLE, DRAIN ---- */

static int
set_gate(const struct command_call *call, enum pool_gate gate, const char *already, struct err *e)
{
	struct pool *pool = named_pool(call, e);

	if (pool == NULL)
		return -E_NOTFOUND;
	if (gate_of(pool) == gate)
		set_notice(call, "the pool is %s already", already);
	gate_set(pool, gate);
	return 0;
}

int
control_disable(const struct command_call *call, struct err *e)
{
	return set_gate(call, POOL_DISABLED, "disabled", e);
}

int
control_enable(const struct command_call *call, struct err *e)
{
	return set_gate(call, POOL_ENABLED, "enabled", e);
}

int
control_drain(const struct command_call *call, struct err *e)
{
	struct pool *pool = named_pool(call, e);
	unsigned users;

	if (pool == NULL)
		return -E_NOTFOUND;
	gate_set(pool, POOL_DRAINED);
	drain_resting(call->daemon);
	users = drain_users(call->daemon, pool);
	if (users > 0)
		set_notice(call, "waiting for %u session%s", users, users == 1 ? "" : "s");
	return 0;
}

int
control_drained(const struct command_call *call, struct err *e)
{
	const struct pool *pool = gate_find(&call->daemon->site.pools, call->stmt->args[0]);

	if (pool == NULL)
		return 0;
	if (gate_of(pool) != POOL_DRAINED)
		return undone_meanwhile(call, "ENABLE or DISABLE", e);
	return drain_users(call->daemon, pool) > 0 ? -E_AGAIN : 0;
}

/* ---- RECONNECT, WAIT_CLOSE ---- */

int
control_reconnect(const struct command_call *call, struct err *e)
{
	struct list_node *n;

	if (control_check(call, e) < 0)
		return -E_NOTFOUND;
	LIST_EACH (n, &call->daemon->site.pools.list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);

		if (is_meant(call, pool))
			gate_reconnect(pool);
	}
	return 0;
}

int
control_closed(const struct command_call *call, struct err *e)
{
	struct list_node *n;

	LIST_EACH (n, &call->daemon->site.pools.list) {
		const struct pool *pool = LIST_OBJ(n, struct pool, node);

		if (is_meant(call, pool) && gate_retiring(pool) > 0)
			return -E_AGAIN;
	}
	return 0;
}

/* ---- KILL ---- */

static int
unknown_id(const char *what, const char *id, struct err *e)
{
	err_make(e, ERR_CONSOLE_UNKNOWN, what, id);
	err_hint(e, "the ids are in column id of SHOW CLIENTS and SHOW SERVERS");
	return -E_NOTFOUND;
}

/* Reads an id; 0, which nobody has, if it is none. */
static uint64_t
read_id(const char *text)
{
	char *end;
	unsigned long long id;

	errno = 0;
	id = strtoull(text, &end, 10);
	return *text < '0' || *text > '9' || *end || errno ? 0 : id;
}

/* The session that the command names; NULL with the error in *e. A session that the caller must not
 * see counts as not there. */
static struct session *
session_named(const struct command_call *call, struct err *e)
{
	const char *text = call->stmt->args[0];
	const struct session *own =
	    level_own(call->session, call->level, call->stmt->command->others);
	struct session *s = idmap_get(&call->daemon->site.sessions, read_id(text));

	if (s == NULL || session_gone(s) || !show_is_own(own, s)) {
		unknown_id(own ? "session of yours" : "session", text, e);
		return NULL;
	}
	return s;
}

int
control_kill_session(const struct command_call *call, struct err *e)
{
	struct session *s = session_named(call, e);

	if (s == NULL)
		return -E_NOTFOUND;
	kill_session(s);
	return 0;
}

int
control_kill_scope(const struct command_call *call, struct err *e)
{
	struct session *s = session_named(call, e);

	if (s == NULL)
		return -E_NOTFOUND;
	return kill_scope(s, call->stmt->nargs > 1 ? call->stmt->args[1] : NULL, e);
}

int
control_kill_server(const struct command_call *call, struct err *e)
{
	const char *text = call->stmt->args[0];
	struct server *srv = idmap_get(&call->daemon->site.pools.servers, read_id(text));

	if (srv == NULL)
		return unknown_id("server connection", text, e);
	kill_server(srv);
	return 0;
}

int
control_kill_pool(const struct command_call *call, struct err *e)
{
	struct pool *pool = named_pool(call, e);
	unsigned told;

	if (pool == NULL)
		return -E_NOTFOUND;
	told = kill_pool(call->daemon, pool);
	set_notice(call, "%u session%s", told, told == 1 ? " was told" : "s were told");
	return 0;
}

/* ---- SHUTDOWN ---- */

static void
stop(void *arg)
{
	daemon_stop(arg);
}

int
control_shutdown(const struct command_call *call, struct err *e)
{
	daemon_drain(call->daemon);
	return 0;
}

int
control_shutdown_now(const struct command_call *call, struct err *e)
{
	/* Later, when this command has been answered. */
	loop_defer(call->daemon->site.loop, stop, call->daemon);
	return 0;
}

int
control_after_scopes(const struct command_call *call, struct err *e)
{
	daemon_drain_scopes(call->daemon);
	return 0;
}

int
control_after_clients(const struct command_call *call, struct err *e)
{
	daemon_drain_clients(call->daemon);
	return 0;
}

int
control_stopped(const struct command_call *call, struct err *e)
{
	return call->daemon->site.phase >= SITE_STOPPING ? 0 : -E_AGAIN;
}
