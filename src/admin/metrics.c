#include "admin/metrics.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <libpq-fe.h>

#include "base/mem.h"
#include "base/units.h"
#include "pool/gate.h"

/* ---- the daemon ---- */

static void
write_number(const struct metrics_view *v, uint64_t value)
{
	exposition_number(v->out, value);
}

static void
write_build(const struct metrics_view *v, const struct metric *m)
{
	char libpq[32];
	int number = PQlibVersion();

	/* libpq 15.4 is 150004. */
	snprintf(libpq, sizeof libpq, "%d.%d", number / 10000, number % 10000);
	exposition_label(v->out, "version", PACKAGE_VERSION);
	exposition_label(v->out, "libpq", libpq);
	exposition_label(v->out, "libevent", event_get_version());
	exposition_label(v->out, "io", loop_ring(v->daemon->site.loop) ? "uring" : "epoll");
	exposition_number(v->out, 1);
	exposition_no_labels(v->out);
}

static void
write_start(const struct metrics_view *v, const struct metric *m)
{
	exposition_seconds(v->out, v->daemon->started_at * UNIT_S);
}

static void
write_phase(const struct metrics_view *v, const struct metric *m)
{
	static const unsigned numbers[] = {
	    [SITE_RUNNING] = 0,  [SITE_FINISHING] = 1, [SITE_EMPTYING] = 1,
	    [SITE_DRAINING] = 2, [SITE_STOPPING] = 3,  [SITE_STOPPED] = 4,
	};

	write_number(v, numbers[v->daemon->site.phase]);
}

static void
write_reload_refused(const struct metrics_view *v, const struct metric *m)
{
	write_number(v, v->daemon->reload_refused);
}

static void
write_cpu(const struct metrics_view *v, const struct metric *m)
{
	exposition_label(v->out, "mode", "user");
	exposition_seconds(v->out, v->process.user_us);
	exposition_no_labels(v->out);
	exposition_label(v->out, "mode", "system");
	exposition_seconds(v->out, v->process.system_us);
	exposition_no_labels(v->out);
}

static void
write_resident(const struct metrics_view *v, const struct metric *m)
{
	if (v->process.resident)
		write_number(v, v->process.resident);
}

static void
write_fds(const struct metrics_view *v, const struct metric *m)
{
	if (v->process.fds)
		write_number(v, v->process.fds);
}

static void
write_fds_limit(const struct metrics_view *v, const struct metric *m)
{
	if (v->process.fds_max != UINT64_MAX)
		write_number(v, v->process.fds_max);
}

static void
write_lag(const struct metrics_view *v, const struct metric *m)
{
	exposition_histogram(v->out, loop_lag(v->daemon->site.loop), EXPOSITION_FINE);
}

static void
write_texts(const struct metrics_view *v, const struct metric *m)
{
	write_number(v, v->daemon->site.pools.statements.texts.count);
}

static void
write_text_bytes(const struct metrics_view *v, const struct metric *m)
{
	write_number(v, v->daemon->site.pools.statements.bytes);
}

/* ---- sessions ---- */

/* States that have one name for people are one series. */
static void
write_sessions(const struct metrics_view *v, const struct metric *m)
{
	const struct list *in = v->daemon->site.in_state;

	for (unsigned i = 0; i < SESSION_CLOSED; i++) {
		const char *name = session_state_name((enum session_state)i);
		unsigned count = 0, first = i;

		for (unsigned k = 0; k < SESSION_CLOSED; k++)
			if (strcmp(session_state_name((enum session_state)k), name) == 0) {
				count += in[k].count;
				first = k < first ? k : first;
			}
		if (first < i)
			continue;
		exposition_label(v->out, "state", name);
		write_number(v, count);
		exposition_no_labels(v->out);
	}
}

static void
write_sessions_limit(const struct metrics_view *v, const struct metric *m)
{
	int64_t limit = v->daemon->site.conf->max_clients;

	write_number(v,
		     (uint64_t)(v->daemon->max_sessions < limit ? v->daemon->max_sessions : limit));
}

static void
write_connections(const struct metrics_view *v, const struct metric *m)
{
	write_number(v, v->daemon->sessions_ever);
}

static void
write_refused(const struct metrics_view *v, const struct metric *m)
{
	write_number(v, v->daemon->site.refused);
}

static void
write_logins(const struct metrics_view *v, const struct metric *m)
{
	const struct failures *f = &v->daemon->site.failures;

	exposition_label(v->out, "result", "proved");
	write_number(v, f->proved);
	exposition_no_labels(v->out);
	exposition_label(v->out, "result", "wrong");
	write_number(v, f->wrong);
	exposition_no_labels(v->out);
}

static void
write_errors(const struct metrics_view *v, const struct metric *m)
{
	for (int id = ERR_NONE + 1; id < ERR_N; id++) {
		exposition_label(v->out, "error", err_kind(id)->name);
		exposition_label(v->out, "sqlstate", err_kind(id)->sqlstate);
		write_number(v, v->daemon->site.errors[id].count);
		exposition_no_labels(v->out);
	}
}

/* ---- pools ---- */

/* A sum of struct pool_stats; `at`: the offset of the member. */
static void
write_pool_sum(const struct metrics_view *v, const struct metric *m)
{
	for (unsigned i = v->from; i < v->to; i++) {
		const struct sums_pool *p = &v->sums.pools[i];

		exposition_label(v->out, "pool", p->name);
		write_number(v, *(const uint64_t *)((const char *)&p->stats + m->at));
		exposition_no_labels(v->out);
	}
}

/* The next pool that is there, from the i-th on and before v->to; NULL if there is none. */
static const struct sums_pool *
pool_from(const struct metrics_view *v, unsigned *i)
{
	while (*i < v->to && v->sums.pools[*i].group == NULL)
		++*i;
	return *i < v->to ? &v->sums.pools[(*i)++] : NULL;
}

/* Walks those that are there of the pools that are to be written. */
#define EACH_POOL(v, p) for (unsigned i_ = (v)->from; ((p) = pool_from((v), &i_)) != NULL;)

/* A count of struct sums_pool; `at`: the offset of the member. */
static void
write_pool_count(const struct metrics_view *v, const struct metric *m)
{
	const struct sums_pool *p;

	EACH_POOL(v, p)
	{
		exposition_label(v->out, "pool", p->name);
		write_number(v, *(const unsigned *)((const char *)p + m->at));
		exposition_no_labels(v->out);
	}
}

/* A time of struct sums_pool; `at`: the offset of the member. */
static void
write_pool_time(const struct metrics_view *v, const struct metric *m)
{
	const struct sums_pool *p;

	EACH_POOL(v, p)
	{
		exposition_label(v->out, "pool", p->name);
		exposition_seconds(v->out, *(const int64_t *)((const char *)p + m->at));
		exposition_no_labels(v->out);
	}
}

/* A number of struct conf_pool; `at`: the offset of the member. */
static void
write_pool_option(const struct metrics_view *v, const struct metric *m)
{
	const struct sums_pool *p;

	EACH_POOL(v, p)
	{
		const int64_t *option = (const int64_t *)((const char *)p->group->conf + m->at);

		exposition_label(v->out, "pool", p->name);
		write_number(v, (uint64_t)*option);
		exposition_no_labels(v->out);
	}
}

static void
write_servers(const struct metrics_view *v, const struct metric *m)
{
	static const char *const names[] = {
	    [SERVER_CONNECTING] = "connecting", [SERVER_IDLE] = "idle",
	    [SERVER_LEASED] = "leased",         [SERVER_CHECKING] = "checking",
	    [SERVER_CLEANING] = "cleaning",
	};

	const struct sums_pool *p;

	EACH_POOL(v, p)
	for (int state = 0; state < SERVER_CLOSED; state++) {
		exposition_label(v->out, "pool", p->name);
		exposition_label(v->out, "state", names[state]);
		write_number(v, p->servers[state]);
		exposition_no_labels(v->out);
	}
}

static void
write_pool_flag(const struct metrics_view *v, const char *name, bool value)
{
	exposition_label(v->out, "pool", name);
	write_number(v, value);
	exposition_no_labels(v->out);
}

static void
write_paused(const struct metrics_view *v, const struct metric *m)
{
	const struct sums_pool *p;

	EACH_POOL(v, p)
	write_pool_flag(v, p->name, gate_paused(p->group));
}

static void
write_disabled(const struct metrics_view *v, const struct metric *m)
{
	const struct sums_pool *p;

	EACH_POOL(v, p)
	write_pool_flag(v, p->name, gate_of(p->group) != POOL_ENABLED);
}

static void
write_removed(const struct metrics_view *v, const struct metric *m)
{
	const struct sums_pool *p;

	EACH_POOL(v, p)
	write_pool_flag(v, p->name, p->group->removed);
}

static void
write_down(const struct metrics_view *v, const struct metric *m)
{
	const struct sums_pool *p;

	EACH_POOL(v, p)
	write_pool_flag(v, p->name, p->down);
}

/* Times of struct pool_tally; `at`: which of them. */
static void
write_pool_times(const struct metrics_view *v, const struct metric *m)
{
	for (unsigned i = v->from; i < v->to; i++) {
		exposition_label(v->out, "pool", v->sums.pools[i].name);
		exposition_histogram(
		    v->out, pool_tally_times(v->sums.pools[i].tally, (enum pool_time)m->at),
		    EXPOSITION_FINE);
		exposition_no_labels(v->out);
	}
}

static void
write_server_errors(const struct metrics_view *v, const struct metric *m)
{
	for (unsigned i = v->from; i < v->to; i++) {
		const struct pool_tally *tally = v->sums.pools[i].tally;

		for (unsigned k = 0; k <= tally->nerrors; k++) {
			bool other = k == tally->nerrors;

			exposition_label(v->out, "pool", v->sums.pools[i].name);
			exposition_label(v->out, "sqlstate",
					 other ? "other" : tally->errors[k].sqlstate);
			write_number(v, other ? tally->other_errors : tally->errors[k].count);
			exposition_no_labels(v->out);
		}
	}
}

/* ---- single roles of pools with role = client ---- */

static unsigned
leased_by_role(const struct pool *pool)
{
	return pool->servers[SERVER_LEASED].count;
}

static unsigned
waiting_of_role(const struct pool *pool)
{
	return pool->waiting.count;
}

static unsigned (*const role_counts[])(const struct pool *) = {leased_by_role, waiting_of_role};

/* `at`: an index of role_counts[]. */
static void
write_roles(const struct metrics_view *v, const struct metric *m)
{
	const struct list_node *n;
	unsigned roles = 0;

	LIST_EACH (n, &v->daemon->site.pools.list) {
		const struct pool *pool = LIST_OBJ(n, const struct pool, node);

		if (pool->role == NULL || (pool->waiting.count == 0 && pool_busy(pool) == 0))
			continue;
		if (roles++ == METRICS_ROLES_MAX)
			return;
		exposition_label(v->out, "pool", pool->conf->name);
		exposition_label(v->out, "role", pool->role);
		write_number(v, role_counts[m->at](pool));
		exposition_no_labels(v->out);
	}
}

/* ---- clusters, and roles and uids with limits ---- */

static void
write_clusters(const struct metrics_view *v, const struct metric *m)
{
	const struct list_node *n;

	LIST_EACH (n, &v->daemon->site.pools.clusters) {
		const struct cluster *c = LIST_OBJ(n, const struct cluster, node);

		exposition_label(v->out, "cluster", c->name);
		write_number(v, *(const unsigned *)((const char *)c + m->at));
		exposition_no_labels(v->out);
	}
}

static void
write_cluster_limits(const struct metrics_view *v, const struct metric *m)
{
	const struct list_node *n;

	LIST_EACH (n, &v->daemon->site.pools.clusters) {
		const struct cluster *c = LIST_OBJ(n, const struct cluster, node);

		exposition_label(v->out, "cluster", c->name);
		write_number(v, (uint64_t)c->limit);
		exposition_no_labels(v->out);
	}
}

static void
write_cluster_moves(const struct metrics_view *v, const struct metric *m)
{
	const struct list_node *n;

	LIST_EACH (n, &v->daemon->site.pools.clusters) {
		const struct cluster *c = LIST_OBJ(n, const struct cluster, node);

		exposition_label(v->out, "cluster", c->name);
		write_number(v, c->moved);
		exposition_no_labels(v->out);
	}
}

/* `at`: the offset of the number in struct party. */
static void
write_parties(const struct metrics_view *v, const struct metric *m)
{
	const struct hash *all = &v->daemon->site.pools.parties.table;
	unsigned parties = 0;

	for (size_t i = 0; i < hash_chains(all); i++)
		for (const struct hash_node *n = hash_chain(all, i); n; n = n->next) {
			const struct party *p = HASH_OBJ(n, const struct party, hashed);

			if (parties++ == METRICS_ROLES_MAX)
				return;
			exposition_label(v->out, "kind", conf_party_name(p->kind));
			exposition_label(v->out, "name", p->name);
			write_number(v, *(const unsigned *)((const char *)p + m->at));
			exposition_no_labels(v->out);
		}
}

/* ---- scopes and locks ---- */

struct scopes_to {
	const struct metrics_view *view;
	size_t at;
};

static void
write_outcomes_of(void *arg, const struct timing_row *row)
{
	const struct scopes_to *to = arg;
	struct exposition *out = to->view->out;

	for (int i = 0; i < TIMING_NOUTCOMES; i++) {
		exposition_label(out, "pool", row->pool);
		exposition_label(out, "scope", row->scope);
		exposition_label(out, "outcome", timing_outcome_name((enum timing_outcome)i));
		exposition_number(out, row->outcomes[i]);
		exposition_no_labels(out);
	}
}

static void
write_outcomes(const struct metrics_view *v, const struct metric *m)
{
	struct scopes_to to = {v, 0};

	timing_each(&v->daemon->site.timing, write_outcomes_of, &to);
}

static void
write_phase_of(void *arg, const struct timing_row *row)
{
	const struct scopes_to *to = arg;
	struct exposition *out = to->view->out;

	if (row->phases[to->at] == NULL)
		return;
	exposition_label(out, "pool", row->pool);
	exposition_label(out, "scope", row->scope);
	exposition_histogram(out, row->phases[to->at], EXPOSITION_COARSE);
	exposition_no_labels(out);
}

/* `at`: an enum timing_phase. */
static void
write_scope_times(const struct metrics_view *v, const struct metric *m)
{
	struct scopes_to to = {v, m->at};

	timing_each(&v->daemon->site.timing, write_phase_of, &to);
}

/* Sums of all locks and semaphores; `at`: the offset of the member. */
static void
write_locks(const struct metrics_view *v, const struct metric *m)
{
	write_number(v, *(const unsigned *)((const char *)&v->locks + m->at));
}

static void
write_lock_wait(const struct metrics_view *v, const struct metric *m)
{
	exposition_seconds(v->out, v->locks.wait_us);
}

static void
write_lock_hold(const struct metrics_view *v, const struct metric *m)
{
	exposition_seconds(v->out, v->locks.hold_us);
}

/* ---- the table ---- */

#define POOL_SUM(n, u, member, h)                                                   \
	{                                                                           \
		"pgwith_pool_" n, EXPOSITION_COUNTER, u, "pool", h, write_pool_sum, \
		    offsetof(struct pool_stats, member)                             \
	}
#define POOL_COUNT(n, member, h)                                                     \
	{                                                                            \
		"pgwith_pool_" n, EXPOSITION_GAUGE, "", "pool", h, write_pool_count, \
		    offsetof(struct sums_pool, member)                               \
	}
#define POOL_TIME(n, member, h)                                                            \
	{                                                                                  \
		"pgwith_pool_" n, EXPOSITION_GAUGE, "seconds", "pool", h, write_pool_time, \
		    offsetof(struct sums_pool, member)                                     \
	}
#define POOL_OPTION(n, member, h)                                                     \
	{                                                                             \
		"pgwith_pool_" n, EXPOSITION_GAUGE, "", "pool", h, write_pool_option, \
		    offsetof(struct conf_pool, member)                                \
	}
#define POOL_TIMES(n, which, h)                                                                 \
	{                                                                                       \
		"pgwith_pool_" n, EXPOSITION_HISTOGRAM, "seconds", "pool", h, write_pool_times, \
		    (which)                                                                     \
	}
#define SCOPE_TIMES(n, which, h)                                                     \
	{                                                                            \
		"pgwith_scope_" n, EXPOSITION_HISTOGRAM, "seconds", "pool,scope", h, \
		    write_scope_times, (which)                                       \
	}
#define LOCKS(n, member, h)                                            \
	{                                                              \
		"pgwith_" n, EXPOSITION_GAUGE, "", "", h, write_locks, \
		    offsetof(struct metrics_locks, member)             \
	}
#define GAUGE(n, u, l, h, function)                                 \
	{                                                           \
		"pgwith_" n, EXPOSITION_GAUGE, u, l, h, function, 0 \
	}
#define COUNTER(n, u, l, h, function)                                 \
	{                                                             \
		"pgwith_" n, EXPOSITION_COUNTER, u, l, h, function, 0 \
	}

/* clang-format off */
static const struct metric table[] = {
	{"pgwith_build", EXPOSITION_INFO, "", "version,libpq,libevent,io",
	 "Always 1: the versions of pgwithd and of its libraries, and whether it waits by io_uring or by epoll.",
	 write_build, 0},
	GAUGE("start_time_seconds", "seconds", "", "When the process began, in seconds since 1970.", write_start),
	GAUGE("phase", "", "", "0 running, 1 finishing or emptying, 2 draining, 3 stopping: how far the end of the daemon has come.", write_phase),
	GAUGE("reload_refused", "", "", "1 if the last reload was refused.", write_reload_refused),
	COUNTER("cpu_seconds", "seconds", "mode", "Processor time of the process.", write_cpu),
	GAUGE("resident_memory_bytes", "bytes", "", "Memory of the process that is in RAM.", write_resident),
	GAUGE("open_descriptors", "", "", "Descriptors that are open.", write_fds),
	GAUGE("descriptors_limit", "", "", "Descriptors that may be open.", write_fds_limit),
	{"pgwith_loop_lag_seconds", EXPOSITION_HISTOGRAM, "seconds", "",
	 "How late the event loop came to a timer of its own, ten times a second, or once while nothing happens: so long it kept clients waiting.", write_lag, 0},
	GAUGE("statement_texts", "", "", "Texts of prepared statements that sessions and servers share.", write_texts),
	GAUGE("statement_texts_bytes", "bytes", "", "Memory of these texts.", write_text_bytes),

	GAUGE("sessions", "", "state", "Client connections, by state.", write_sessions),
	GAUGE("sessions_limit", "", "", "Client connections that may be there: max_clients, or what the descriptors allow.", write_sessions_limit),
	COUNTER("connections", "", "", "Client connections that have come.", write_connections),
	COUNTER("logins_refused", "", "", "Logins that were refused.", write_refused),
	COUNTER("password_logins", "", "result", "Logins by password, by their result: proved, wrong.", write_logins),
	COUNTER("errors", "", "error,sqlstate", "Errors of pgwithd itself that clients were told.", write_errors),

	POOL_OPTION("size", size, "Server connections at most: the option size."),
	POOL_OPTION("queue_limit", max_waiting, "Sessions that may wait for a server connection in one queue: the option max_waiting."),
	{"pgwith_pool_servers", EXPOSITION_GAUGE, "", "pool,state", "Server connections, by state.", write_servers, 0},
	POOL_COUNT("pinned_servers", pinned, "Server connections that sessions keep between transactions, for LISTEN, temporary tables and the like. Those of mode session are not counted."),
	POOL_COUNT("idle_sessions", idle, "Sessions that have no server connection and want none."),
	POOL_COUNT("waiting_sessions", waiting, "Sessions that wait for a server connection."),
	POOL_COUNT("longest_queue", longest_queue, "Sessions in the longest queue of the pool: with role = client each role has a queue of its own, of queue_limit sessions."),
	POOL_TIME("oldest_wait_seconds", wait_us, "How long the first session in the queue has waited for a server connection."),
	POOL_TIME("oldest_transaction_seconds", hold_us, "How long the oldest transaction has gone on."),
	GAUGE("pool_paused", "", "pool", "1 if an administrator has paused the pool.", write_paused),
	GAUGE("pool_disabled", "", "pool", "1 if an administrator lets nobody new in.", write_disabled),
	GAUGE("pool_removed", "", "pool", "1 if a reload has removed the pool, and sessions still use it.", write_removed),
	GAUGE("pool_down", "", "pool", "1 if there is no server connection and none can be opened.", write_down),

	POOL_SUM("transactions", "", xacts, "Transactions. A statement outside of a transaction counts as one."),
	POOL_SUM("queries", "", queries, "Requests of clients that were answered."),
	POOL_SUM("received_bytes", "bytes", received, "Bytes that have come from clients."),
	POOL_SUM("sent_bytes", "bytes", sent, "Bytes that were sent to clients."),
	POOL_SUM("waits", "", waits, "Requests for a server connection that had to wait."),
	POOL_SUM("wait_failures", "", wait_fails, "Waits that ended by an error."),
	POOL_SUM("servers_opened", "", opened, "Server connections that have logged in."),
	POOL_SUM("server_open_failures", "", open_fails, "Attempts to open a server connection that have failed."),
	POOL_SUM("servers_closed", "", closed, "Server connections that were closed, for any reason."),
	POOL_SUM("servers_broken", "", broken, "Server connections that were closed because they were lost, or their cleanup failed."),
	POOL_SUM("cleanups", "", cleanups, "Cleanups of server connections that have ended well."),
	POOL_SUM("cancels", "", cancels, "Cancel requests that were sent to PostgreSQL."),
	POOL_SUM("read_only_sent", "", reads_apart, "Transactions that only read and were sent to the pool of the option read_only."),
	POOL_SUM("read_only_kept", "", reads_kept, "Transactions that only read and stayed, because their session had written (read_your_writes), that pool could not be reached, or a standby refuses them (SERIALIZABLE)."),
	POOL_SUM("vanished_clients", "", vanished, "Clients that have gone without a word (killed, crashed, timed out) in the middle of a query, a transaction or a scope."),
	POOL_SUM("cleanup_statements", "", statements, "Statements of scopes that were left to be run in cleanup."),
	POOL_SUM("cleanup_statement_failures", "", statement_fails, "Those of them that failed, or could not be run."),
	POOL_SUM("parses", "", parses_seen, "Parse messages without a name whose text had come before, with statement_cache."),
	POOL_SUM("parses_served", "", parses_served, "Those of them that no server had to carry out."),
	POOL_SUM("parses_redone", "", parses_redone, "Those of them that a server had to carry out after all, since the columns of the result had changed."),
	COUNTER("pool_server_errors", "", "pool,sqlstate", "Errors of PostgreSQL that clients were told. Of one pool 64 SQLSTATEs have series of their own, all further ones are other.", write_server_errors),

	POOL_TIMES("wait_seconds", POOL_WAIT, "How long sessions waited for a server connection: those that had to wait, whatever came of it."),
	POOL_TIMES("hold_seconds", POOL_HOLD, "How long transactions lasted, from their first request to their end: for so long each needs a server connection."),
	POOL_TIMES("statement_seconds", POOL_STATEMENT, "How long PostgreSQL took, from a request to the end of its answer."),
	POOL_TIMES("cleanup_seconds", POOL_CLEANUP, "How long cleanups of server connections took that ended well."),
	POOL_TIMES("login_seconds", POOL_LOGIN, "How long it took to open a server connection."),

	{"pgwith_role_leased_servers", EXPOSITION_GAUGE, "", "pool,role",
	 "Server connections that sessions of one role have, in pools with role = client. Only of roles that have one or wait for one, 200 at most.", write_roles, 0},
	{"pgwith_role_waiting_sessions", EXPOSITION_GAUGE, "", "pool,role",
	 "Sessions of that role that wait for a server connection.", write_roles, 1},

	GAUGE("cluster_limit", "", "cluster", "Server connections of all pools of a cluster together, at most: server_limit.", write_cluster_limits),
	{"pgwith_cluster_servers", EXPOSITION_GAUGE, "", "cluster",
	 "Server connections of these pools, those that are closed and that PostgreSQL has not let go yet counted.", write_clusters, offsetof(struct cluster, held)},
	{"pgwith_cluster_leaving_servers", EXPOSITION_GAUGE, "", "cluster",
	 "Those of them that are closed.", write_clusters, offsetof(struct cluster, leaving)},
	{"pgwith_cluster_waiting_sessions", EXPOSITION_GAUGE, "", "cluster",
	 "Sessions that wait for a server connection of these pools, but for those that max_servers keeps from one.", write_clusters, offsetof(struct cluster, waiting)},
	COUNTER("cluster_servers_moved", "", "cluster", "Server connections that were closed so that another pool of the cluster could open one.", write_cluster_moves),
	{"pgwith_limited_clients", EXPOSITION_GAUGE, "", "kind,name",
	 "Sessions of a role or uid that has limits. 200 of these at most.", write_parties, offsetof(struct party, clients)},
	{"pgwith_limited_servers", EXPOSITION_GAUGE, "", "kind,name",
	 "Server connections that these sessions have.", write_parties, offsetof(struct party, servers)},

	{"pgwith_scopes", EXPOSITION_COUNTER, "", "pool,scope,outcome",
	 "Scopes that have ended, by their name and how they ended. Of locks and semaphores the pool is empty. What has no row of its own any more is in the scope (others), without a pool.", write_outcomes, 0},
	SCOPE_TIMES("wait_seconds", TIMING_WAIT, "How long ENTER waited for a server connection, lock or semaphore."),
	SCOPE_TIMES("enter_seconds", TIMING_ENTER, "How long ENTER took from then on, until the scope was open."),
	SCOPE_TIMES("hold_seconds", TIMING_HOLD, "How long scopes were open."),
	SCOPE_TIMES("cleanup_seconds", TIMING_CLEANUP, "How long it took from the end of a scope until all was released."),

	LOCKS("locks", names, "Names of locks and semaphores that are in use."),
	LOCKS("lock_holders", holders, "Holds of locks and semaphores."),
	LOCKS("lock_waiting_sessions", waiting, "Sessions that wait for a lock or semaphore."),
	GAUGE("lock_oldest_wait_seconds", "seconds", "", "How long the longest of these waits has lasted.", write_lock_wait),
	GAUGE("lock_oldest_hold_seconds", "seconds", "", "How long the lock or semaphore that is held for longest has been held.", write_lock_hold),
};
/* clang-format on */

const struct metric *
metrics_table(unsigned *count)
{
	*count = sizeof table / sizeof *table;
	return table;
}
