#include "admin/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/units.h"
#include "pool/gate.h"

/* ---- what tables have in common ---- */

void
show_ids_add(struct show_ids *ids, uint64_t id)
{
	if (ids->count == ids->room) {
		ids->room = ids->room ? 2 * ids->room : 64;
		ids->list = mem_realloc(ids->list, ids->room * sizeof *ids->list);
	}
	ids->list[ids->count++] = id;
}

void
show_ids_clear(struct show_ids *ids)
{
	if (ids->own)
		ids->end(ids->own);
	free(ids->list);
	*ids = (struct show_ids){0};
}

bool
show_is_own(const struct session *own, const struct session *s)
{
	return own == NULL || (s->peer.uid == own->peer.uid && s->peer.role &&
			       strcmp(s->peer.role, own->peer.role) == 0);
}

void
show_list_sessions(const struct daemon *d, const struct session *own, struct show_ids *ids)
{
	struct list_node *n;

	for (int i = 0; i < SESSION_CLOSED; i++)
		LIST_EACH (n, &d->site.in_state[i]) {
			const struct session *s = LIST_OBJ(n, struct session, node);

			if (show_is_own(own, s))
				show_ids_add(ids, s->id);
		}
}

void
show_time(struct rows *r, int64_t at)
{
	time_t t = (time_t)at;
	char text[64];
	struct tm tm;

	localtime_r(&t, &tm);
	strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %Z", &tm);
	rows_text(r, text);
}

int64_t
show_wall(const struct daemon *d, int64_t us)
{
	return time(NULL) - (loop_now_us(d->site.loop) - us) / UNIT_S;
}

/* ---- pools ---- */

static const struct column pools_columns[] = {
    {"database", COLUMN_TEXT},
    {"user", COLUMN_TEXT},
    {"cl_active", COLUMN_INT},
    {"cl_waiting", COLUMN_INT},
    {"cl_active_cancel_req", COLUMN_INT},
    {"cl_waiting_cancel_req", COLUMN_INT},
    {"sv_active", COLUMN_INT},
    {"sv_active_cancel", COLUMN_INT},
    {"sv_being_canceled", COLUMN_INT},
    {"sv_idle", COLUMN_INT},
    {"sv_used", COLUMN_INT},
    {"sv_tested", COLUMN_INT},
    {"sv_login", COLUMN_INT},
    {"maxwait", COLUMN_INT},
    {"maxwait_us", COLUMN_INT},
    {"pool_mode", COLUMN_TEXT},
    /* ours */
    {"cl_idle", COLUMN_INT},
    {"sv_cleaning", COLUMN_INT},
    {"size", COLUMN_INT},
    {"min_size", COLUMN_INT},
    {"max_waiting", COLUMN_INT},
    {"waits", COLUMN_BIGINT},
    {"wait_fails", COLUMN_BIGINT},
    {"opened", COLUMN_BIGINT},
    {"open_fails", COLUMN_BIGINT},
    {"cleanups", COLUMN_BIGINT},
    {"broken", COLUMN_BIGINT},
    {"cancels", COLUMN_BIGINT},
    {"last_error", COLUMN_TEXT},
    {"paused", COLUMN_INT},
    {"disabled", COLUMN_INT},
    {"draining", COLUMN_INT},
    {"sv_retiring", COLUMN_INT},
    {"statements", COLUMN_BIGINT},
    {"statement_fails", COLUMN_BIGINT},
    {"removed", COLUMN_INT},
    {"down_since", COLUMN_TEXT},
    {"cluster", COLUMN_TEXT},
    {"cl_limited", COLUMN_INT},
    {"read_only", COLUMN_TEXT},
    {"cl_waiting_lock", COLUMN_INT},
    {"lock_wait_ms", COLUMN_BIGINT},
};

/* What is in no list of a pool: how many sessions of it are idle, how many wait for a lock or
 * semaphore, and since when the first of these waits; 0: none does. All pools are counted in one
 * walk. */
struct tally {
	const struct pool *pool;
	unsigned idle, locked;
	int64_t locked_since_us;
};

static int
by_pool(const void *a, const void *b)
{
	const struct tally *x = a, *y = b;

	return ((uintptr_t)x->pool > (uintptr_t)y->pool) -
	       ((uintptr_t)x->pool < (uintptr_t)y->pool);
}

static struct tally *
tally_of(struct tally *t, unsigned npools, const struct pool *pool)
{
	struct tally key = {.pool = pool};

	return bsearch(&key, t, npools, sizeof *t, by_pool);
}

static void
count_locked(const struct daemon *d, struct tally *t, unsigned npools)
{
	const struct list_node *n, *m;

	LIST_EACH (n, &d->site.locks.list)
		LIST_EACH (m, &LIST_OBJ(n, const struct lock, node)->waiting) {
			const struct lock_hold *h = LIST_OBJ(m, const struct lock_hold, node);
			const struct session *s = idmap_get(&d->site.sessions, h->session);
			struct tally *found = s ? tally_of(t, npools, s->pool) : NULL;

			if (found == NULL)
				continue;
			if (found->locked++ == 0 || h->since_us < found->locked_since_us)
				found->locked_since_us = h->since_us;
		}
}

static struct tally *
count_sessions(const struct daemon *d)
{
	unsigned npools = d->site.pools.list.count, i = 0;
	struct tally *t = mem_calloc(npools + 1, sizeof *t);
	struct list_node *n;

	LIST_EACH (n, &d->site.pools.list)
		t[i++].pool = LIST_OBJ(n, struct pool, node);
	qsort(t, npools, sizeof *t, by_pool);
	LIST_EACH (n, &d->site.in_state[SESSION_IDLE]) {
		struct tally *found =
		    tally_of(t, npools, LIST_OBJ(n, const struct session, node)->pool);

		if (found)
			found->idle++;
	}
	count_locked(d, t, npools);
	return t;
}

/* CancelRequests of clients that are under way. */
static unsigned
count_cancels(const struct pool *pool)
{
	struct list_node *n;
	unsigned cancels = 0;

	LIST_EACH (n, &pool->servers[SERVER_LEASED])
		cancels += LIST_OBJ(n, struct server, node)->cancels;
	return cancels;
}

static unsigned
being_cancelled(const struct pool *pool)
{
	struct list_node *n;
	unsigned count = 0;

	LIST_EACH (n, &pool->servers[SERVER_CLEANING])
		count += LIST_OBJ(n, struct server, node)->cancels > 0;
	return count;
}

/* Servers that will be closed when they are returned. */
static unsigned
count_retiring(const struct pool *pool)
{
	struct list_node *n;
	unsigned count = 0;

	for (int i = 0; i < SERVER_CLOSED; i++)
		LIST_EACH (n, &pool->servers[i])
			count += LIST_OBJ(n, struct server, node)->retiring;
	LIST_EACH (n, &pool->kept[SERVER_IDLE])
		count += LIST_OBJ(n, struct server, node)->retiring;
	return count;
}

/* Is it the pool that stands for all its roles, and has no server itself? */
static bool
stands_for_roles(const struct pool *pool)
{
	return pool->group == pool && pool->conf->role == CONF_ROLE_CLIENT;
}

static void
pool_row(const struct daemon *d, const struct pool *pool, const struct tally *tally, struct rows *r)
{
	const struct list *servers = pool->servers;
	unsigned cancels = count_cancels(pool);
	int64_t since_us = lease_oldest_wait(pool);
	int64_t wait = since_us ? loop_now_us(pool->all->loop) - since_us : 0;

	rows_begin(r);
	rows_text(r, pool->conf->name);
	/* The row of all roles has no name of one: exporters tell rows apart by both columns. */
	rows_text(r, stands_for_roles(pool) ? "" : conninfo_get(pool->conninfo, "user"));
	/* as many as leased servers: each lease has one session */
	rows_number(r, servers[SERVER_LEASED].count);
	rows_number(r, pool->waiting.count);
	rows_number(r, cancels);
	rows_number(r, 0);
	rows_number(r, servers[SERVER_LEASED].count);
	rows_number(r, cancels);
	rows_number(r, being_cancelled(pool));
	rows_number(r, servers[SERVER_IDLE].count);
	rows_number(r, 0);
	rows_number(r, servers[SERVER_CHECKING].count);
	rows_number(r, servers[SERVER_CONNECTING].count);
	rows_number(r, wait / UNIT_S);
	rows_number(r, wait % UNIT_S);
	rows_text(r, conf_mode_name(pool->conf->mode));
	rows_number(r, tally->idle);
	rows_number(r, servers[SERVER_CLEANING].count);
	rows_number(r, pool->conf->size);
	rows_number(r, pool->conf->min_size);
	rows_number(r, pool->conf->max_waiting);
	rows_number(r, (int64_t)pool->stats.waits);
	rows_number(r, (int64_t)pool->stats.wait_fails);
	rows_number(r, (int64_t)pool->stats.opened);
	rows_number(r, (int64_t)pool->stats.open_fails);
	rows_number(r, (int64_t)pool->stats.cleanups);
	rows_number(r, (int64_t)pool->stats.broken);
	rows_number(r, (int64_t)pool->stats.cancels);
	rows_text(r, pool->last_error.id == ERR_NONE ? NULL : pool->last_error.message);
	rows_number(r, gate_paused(pool));
	rows_number(r, gate_of(pool) != POOL_ENABLED);
	rows_number(r, gate_of(pool) == POOL_DRAINED);
	rows_number(r, count_retiring(pool));
	rows_number(r, (int64_t)pool->stats.statements);
	rows_number(r, (int64_t)pool->stats.statement_fails);
	rows_number(r, pool->group->removed);
	if (pool->down_us)
		show_time(r, show_wall(d, pool->down_us));
	else
		rows_null(r);
	rows_text(r, pool->group->cluster ? pool->group->cluster->name : NULL);
	rows_number(r, pool->waiting.count - pool->turns.count);
	rows_text(r, pool->reads ? pool->conf->read_only : NULL);
	rows_number(r, tally->locked);
	rows_number(r, tally->locked
			   ? (loop_now_us(pool->all->loop) - tally->locked_since_us) / UNIT_MS
			   : 0);
	rows_end(r);
}

static void
fill_pools(const struct daemon *d, struct rows *r)
{
	struct tally *t = count_sessions(d);
	struct list_node *n;

	LIST_EACH (n, &d->site.pools.list) {
		const struct pool *pool = LIST_OBJ(n, struct pool, node);

		pool_row(d, pool, tally_of(t, d->site.pools.list.count, pool), r);
	}
	free(t);
}

const struct show show_pools = SHOW_TABLE(pools_columns, fill_pools);

/* ---- databases ---- */

static const struct column databases_columns[] = {
    {"name", COLUMN_TEXT},
    {"host", COLUMN_TEXT},
    {"port", COLUMN_INT},
    {"database", COLUMN_TEXT},
    {"force_user", COLUMN_TEXT},
    {"pool_size", COLUMN_INT},
    {"min_pool_size", COLUMN_INT},
    {"reserve_pool", COLUMN_INT},
    {"pool_mode", COLUMN_TEXT},
    {"max_connections", COLUMN_INT},
    {"current_connections", COLUMN_INT},
    {"paused", COLUMN_INT},
    {"disabled", COLUMN_INT},
    /* ours */
    {"max_waiting", COLUMN_INT},
    {"wait_timeout_ms", COLUMN_BIGINT},
    {"server_version", COLUMN_TEXT},
};

/* As in PgBouncer, a database is one row, whatever roles its servers log in as. */
static void
database_row(const struct pool *pool, struct rows *r)
{
	/* libpq takes a list of ports; the column has the first. */
	const char *port = conninfo_get(pool->conninfo, "port");

	rows_begin(r);
	rows_text(r, pool->conf->name);
	rows_text(r, conninfo_get(pool->conninfo, "host"));
	rows_number(r, port ? strtol(port, NULL, 10) : 5432);
	rows_text(r, conninfo_get(pool->conninfo, "dbname"));
	rows_text(r, conninfo_get(pool->conninfo, "user"));
	rows_number(r, pool->conf->size);
	rows_number(r, pool->conf->min_size);
	rows_number(r, 0);
	rows_text(r, conf_mode_name(pool->conf->mode));
	rows_number(r, pool->conf->size);
	rows_number(r, pool->total);
	rows_number(r, gate_paused(pool));
	rows_number(r, gate_of(pool) != POOL_ENABLED);
	rows_number(r, pool->conf->max_waiting);
	rows_number(r, pool->conf->wait_timeout_us / UNIT_MS);
	rows_text(r, pools_told(pool->all, pool->conf->name, "server_version"));
	rows_end(r);
}

static void
fill_databases(const struct daemon *d, struct rows *r)
{
	struct list_node *n;

	LIST_EACH (n, &d->site.pools.list) {
		const struct pool *pool = LIST_OBJ(n, struct pool, node);

		if (pool->group == pool)
			database_row(pool, r);
	}
}

const struct show show_databases = SHOW_TABLE(databases_columns, fill_databases);

/* ---- lists ---- */

static const struct column lists_columns[] = {
    {"list", COLUMN_TEXT},
    {"items", COLUMN_INT},
};

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The number of roles that have a session now. */
static unsigned
count_roles(const struct daemon *d)
{
	const char **roles = mem_calloc(d->site.sessions.count + 1, sizeof *roles);
	unsigned n = 0, distinct = 0;
	struct list_node *node;

	for (int i = 0; i < SESSION_CLOSED; i++)
		LIST_EACH (node, &d->site.in_state[i]) {
			const char *role = LIST_OBJ(node, struct session, node)->peer.role;

			if (role)
				roles[n++] = role;
		}
	qsort(roles, n, sizeof *roles, by_text);
	for (unsigned i = 0; i < n; i++)
		distinct += i == 0 || strcmp(roles[i], roles[i - 1]) != 0;
	free(roles);
	return distinct;
}

static unsigned
count_databases(const struct daemon *d)
{
	struct list_node *n;
	unsigned count = 0;

	LIST_EACH (n, &d->site.pools.list)
		count += LIST_OBJ(n, struct pool, node)->group == LIST_OBJ(n, struct pool, node);
	return count;
}

static unsigned
count_servers(const struct daemon *d, enum server_state state)
{
	struct list_node *n;
	unsigned count = 0;

	LIST_EACH (n, &d->site.pools.list)
		count += LIST_OBJ(n, struct pool, node)->servers[state].count;
	return count;
}

/* The number of servers whose host name is being looked up. */
static unsigned
count_resolving(const struct daemon *d)
{
	struct list_node *n, *m;
	unsigned count = 0;

	LIST_EACH (n, &d->site.pools.list)
		LIST_EACH (m, &LIST_OBJ(n, struct pool, node)->servers[SERVER_CONNECTING])
			count += LIST_OBJ(m, struct server, node)->resolving;
	return count;
}

static void
add_item(struct rows *r, const char *name, int64_t items)
{
	rows_begin(r);
	rows_text(r, name);
	rows_number(r, items);
	rows_end(r);
}

static void
fill_lists(const struct daemon *d, struct rows *r)
{
	const struct list *in = d->site.in_state;
	unsigned login = in[SESSION_STARTUP].count + in[SESSION_LOOKUP].count +
			 in[SESSION_PASSWORD].count + in[SESSION_LOGIN].count;

	add_item(r, "databases", count_databases(d));
	add_item(r, "users", count_roles(d));
	add_item(r, "pools", d->site.pools.list.count);
	add_item(r, "free_clients", 0); /* nothing is kept of clients that have gone */
	add_item(r, "used_clients", (int64_t)d->site.sessions.count - login);
	add_item(r, "login_clients", login);
	add_item(r, "free_servers", 0);
	add_item(r, "used_servers", (int64_t)d->site.pools.servers.count);
	add_item(r, "dns_names", 0); /* the system's resolver keeps names, pgwithd does not */
	add_item(r, "dns_zones", 0);
	add_item(r, "dns_queries", count_resolving(d));
	add_item(r, "dns_pending", 0);
	add_item(r, "idle_clients", in[SESSION_IDLE].count);
	add_item(r, "waiting_clients", in[SESSION_WAITING].count);
	add_item(r, "active_clients",
		 in[SESSION_GREETING].count + in[SESSION_SETUP].count + in[SESSION_ACTIVE].count);
	add_item(r, "cancel_clients", in[SESSION_CANCEL].count);
	add_item(r, "console_clients", in[SESSION_CONSOLE].count + in[SESSION_CONSOLE_BUSY].count);
	add_item(r, "scope_clients", in[SESSION_SCOPE].count);
	add_item(r, "leaving_clients", in[SESSION_LEAVING].count);
	add_item(r, "closing_clients", in[SESSION_CLOSING].count);
	add_item(r, "connecting_servers", count_servers(d, SERVER_CONNECTING));
	add_item(r, "idle_servers", count_servers(d, SERVER_IDLE));
	add_item(r, "leased_servers", count_servers(d, SERVER_LEASED));
	add_item(r, "checking_servers", count_servers(d, SERVER_CHECKING));
	add_item(r, "cleaning_servers", count_servers(d, SERVER_CLEANING));
	add_item(r, "locks", d->site.locks.list.count);
	add_item(r, "work_pending", threads_pending(d->threads));
}

const struct show show_lists = SHOW_TABLE(lists_columns, fill_lists);

/* ---- config ---- */

static const struct column config_columns[] = {
    {"key", COLUMN_TEXT},
    {"value", COLUMN_TEXT},
    {"default", COLUMN_TEXT},
    {"changeable", COLUMN_TEXT},
    /* ours */
    {"section", COLUMN_TEXT},
    {"source", COLUMN_TEXT},
    {"help", COLUMN_TEXT},
};

static void
fill_config(const struct daemon *d, struct rows *r)
{
	unsigned entries = conf_entries(d->site.conf);

	for (unsigned i = 0; i < entries; i++) {
		struct conf_entry e;

		conf_entry(d->site.conf, i, &e);
		rows_begin(r);
		rows_text(r, e.name);
		rows_text(r, e.value);
		rows_text(r, e.default_text);
		rows_text(r, e.changeable ? "yes" : "no");
		rows_text(r, e.section);
		rows_text(r, e.source);
		rows_text(r, e.help);
		rows_end(r);
		conf_entry_clear(&e);
	}
}

const struct show show_config = SHOW_TABLE(config_columns, fill_config);

/* ---- version, state ---- */

static const struct column version_columns[] = {{"version", COLUMN_TEXT}};

static void
fill_version(const struct daemon *d, struct rows *r)
{
	rows_begin(r);
	rows_text(r, "pgwithd " PACKAGE_VERSION);
	rows_end(r);
}

const struct show show_version = SHOW_TABLE(version_columns, fill_version);

static const struct column state_columns[] = {
    {"key", COLUMN_TEXT},
    {"value", COLUMN_TEXT},
};

static void __attribute__((format(printf, 3, 4)))
add_fact(struct rows *r, const char *key, const char *fmt, ...)
{
	va_list ap;
	char *value;

	va_start(ap, fmt);
	value = mem_vprintf(fmt, ap);
	va_end(ap);
	rows_begin(r);
	rows_text(r, key);
	rows_text(r, value);
	rows_end(r);
	free(value);
}

static bool
all_paused(const struct daemon *d)
{
	struct list_node *n;

	LIST_EACH (n, &d->site.pools.list)
		if (!gate_paused(LIST_OBJ(n, struct pool, node)))
			return false;
	return d->site.pools.list.count > 0;
}

static void
fill_state(const struct daemon *d, struct rows *r)
{
	add_fact(r, "active", "%s", d->site.phase == SITE_RUNNING ? "yes" : "no");
	add_fact(r, "paused", "%s", all_paused(d) ? "yes" : "no");
	add_fact(r, "suspended", "no");
	add_fact(r, "version", "%s", PACKAGE_VERSION);
	add_fact(r, "phase", "%s", daemon_phase_name(d));
	add_fact(r, "pid", "%d", (int)getpid());
	add_fact(r, "uptime_s", "%lld", (long long)(time(NULL) - d->started_at));
	add_fact(r, "io", "%s", loop_ring(d->site.loop) ? "uring" : "epoll");
	add_fact(r, "config_file", "%s", d->site.conf->path ? d->site.conf->path : "");
	add_fact(r, "sessions", "%u", site_sessions(&d->site));
	add_fact(r, "max_clients", "%lld", (long long)d->site.conf->max_clients);
	add_fact(r, "max_sessions", "%lld", (long long)d->max_sessions);
	add_fact(r, "sessions_ever", "%llu", (unsigned long long)d->sessions_ever);
	add_fact(r, "logins_refused", "%llu", (unsigned long long)d->site.refused);
}

const struct show show_state = SHOW_TABLE(state_columns, fill_state);
