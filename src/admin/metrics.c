#include "admin/metrics.h"

#include <string.h>

#include <event2/event.h>
#include <libpq-fe.h>

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
	write_number(v, v->daemon->site.phase);
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

	write_number(v, (uint64_t)(v->daemon->max_sessions < limit ? v->daemon->max_sessions
								   : limit));
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
	for (unsigned i = 0; i < v->sums.count; i++) {
		const struct sums_pool *p = &v->sums.pools[i];

		exposition_label(v->out, "pool", p->name);
		write_number(v, *(const uint64_t *)((const char *)&p->stats + m->at));
		exposition_no_labels(v->out);
	}
}

/* A count of struct sums_pool; `at`: the offset of the member. */
static void
write_pool_count(const struct metrics_view *v, const struct metric *m)
{
	for (unsigned i = 0; i < v->sums.count; i++) {
		const struct sums_pool *p = &v->sums.pools[i];

		exposition_label(v->out, "pool", p->name);
		write_number(v, *(const unsigned *)((const char *)p + m->at));
		exposition_no_labels(v->out);
	}
}

/* A time of struct sums_pool; `at`: the offset of the member. */
static void
write_pool_time(const struct metrics_view *v, const struct metric *m)
{
	for (unsigned i = 0; i < v->sums.count; i++) {
		const struct sums_pool *p = &v->sums.pools[i];

		exposition_label(v->out, "pool", p->name);
		exposition_seconds(v->out, *(const int64_t *)((const char *)p + m->at));
		exposition_no_labels(v->out);
	}
}

/* A number of struct conf_pool; `at`: the offset of the member. */
static void
write_pool_option(const struct metrics_view *v, const struct metric *m)
{
	for (unsigned i = 0; i < v->sums.count; i++) {
		const struct conf_pool *conf = v->sums.pools[i].group->conf;

		exposition_label(v->out, "pool", v->sums.pools[i].name);
		write_number(v, (uint64_t) * (const int64_t *)((const char *)conf + m->at));
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

	for (unsigned i = 0; i < v->sums.count; i++)
		for (int state = 0; state < SERVER_CLOSED; state++) {
			exposition_label(v->out, "pool", v->sums.pools[i].name);
			exposition_label(v->out, "state", names[state]);
			write_number(v, v->sums.pools[i].servers[state]);
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
	for (unsigned i = 0; i < v->sums.count; i++)
		write_pool_flag(v, v->sums.pools[i].name, gate_paused(v->sums.pools[i].group));
}

static void
write_disabled(const struct metrics_view *v, const struct metric *m)
{
	for (unsigned i = 0; i < v->sums.count; i++)
		write_pool_flag(v, v->sums.pools[i].name,
				gate_of(v->sums.pools[i].group) != POOL_ENABLED);
}

/* ---- the table ---- */

#define POOL_SUM(n, u, member, h) \
	{"pgwith_pool_" n, EXPOSITION_COUNTER, u, "pool", h, write_pool_sum, \
	 offsetof(struct pool_stats, member)}
#define POOL_COUNT(n, member, h) \
	{"pgwith_pool_" n, EXPOSITION_GAUGE, "", "pool", h, write_pool_count, \
	 offsetof(struct sums_pool, member)}
#define POOL_TIME(n, member, h) \
	{"pgwith_pool_" n, EXPOSITION_GAUGE, "seconds", "pool", h, write_pool_time, \
	 offsetof(struct sums_pool, member)}
#define POOL_OPTION(n, member, h) \
	{"pgwith_pool_" n, EXPOSITION_GAUGE, "", "pool", h, write_pool_option, \
	 offsetof(struct conf_pool, member)}
#define GAUGE(n, u, l, h, function) {"pgwith_" n, EXPOSITION_GAUGE, u, l, h, function, 0}
#define COUNTER(n, u, l, h, function) {"pgwith_" n, EXPOSITION_COUNTER, u, l, h, function, 0}

/* clang-format off */
static const struct metric table[] = {
	{"pgwith_build", EXPOSITION_INFO, "", "version,libpq,libevent,io",
	 "Always 1: the versions of pgwithd and of its libraries, and whether it waits by io_uring or by epoll.",
	 write_build, 0},
	GAUGE("start_time_seconds", "seconds", "", "When the process began, in seconds since 1970.", write_start),
	GAUGE("phase", "", "", "0 running, 1 emptying, 2 draining, 3 stopping: how far the end of the daemon has come.", write_phase),
	GAUGE("reload_refused", "", "", "1 if the last reload was refused.", write_reload_refused),
	COUNTER("cpu_seconds", "seconds", "mode", "Processor time of the process.", write_cpu),
	GAUGE("resident_memory_bytes", "bytes", "", "Memory of the process that is in RAM.", write_resident),
	GAUGE("open_descriptors", "", "", "Descriptors that are open.", write_fds),
	GAUGE("descriptors_limit", "", "", "Descriptors that may be open.", write_fds_limit),
	GAUGE("statement_texts", "", "", "Texts of prepared statements that sessions and servers share.", write_texts),
	GAUGE("statement_texts_bytes", "bytes", "", "Memory of these texts.", write_text_bytes),

	GAUGE("sessions", "", "state", "Client connections, by state.", write_sessions),
	GAUGE("sessions_limit", "", "", "Client connections that may be there: max_clients, or what the descriptors allow.", write_sessions_limit),
	COUNTER("connections", "", "", "Client connections that have come.", write_connections),
	COUNTER("logins_refused", "", "", "Logins that were refused.", write_refused),
	COUNTER("errors", "", "error,sqlstate", "Errors of pgwithd itself that clients were told.", write_errors),

	POOL_OPTION("size", size, "Server connections at most: the option size."),
	POOL_OPTION("queue_limit", max_waiting, "Sessions that may wait for a server connection: the option max_waiting."),
	{"pgwith_pool_servers", EXPOSITION_GAUGE, "", "pool,state", "Server connections, by state.", write_servers, 0},
	POOL_COUNT("pinned_servers", pinned, "Server connections that sessions keep between transactions, for LISTEN, temporary tables and the like. Those of mode session are not counted."),
	POOL_COUNT("idle_sessions", idle, "Sessions that have no server connection and want none."),
	POOL_COUNT("waiting_sessions", waiting, "Sessions that wait for a server connection."),
	POOL_TIME("oldest_wait_seconds", wait_us, "How long the first session in the queue has waited for a server connection."),
	POOL_TIME("oldest_transaction_seconds", hold_us, "How long the oldest transaction has gone on."),
	GAUGE("pool_paused", "", "pool", "1 if an administrator has paused the pool.", write_paused),
	GAUGE("pool_disabled", "", "pool", "1 if an administrator lets nobody new in.", write_disabled),

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
	POOL_SUM("cleanup_statements", "", statements, "Statements of scopes that were left to be run in cleanup."),
	POOL_SUM("cleanup_statement_failures", "", statement_fails, "Those of them that failed, or could not be run."),
	POOL_SUM("parses", "", parses_seen, "Parse messages without a name whose text had come before, with statement_cache."),
	POOL_SUM("parses_served", "", parses_served, "Those of them that no server had to carry out."),
	POOL_SUM("parses_redone", "", parses_redone, "Those of them that a server had to carry out after all, since the columns of the result had changed."),
};
/* clang-format on */

#define TABLE_COUNT (sizeof table / sizeof *table)

const struct metric *
metrics_table(unsigned *count)
{
	*count = TABLE_COUNT;
	return table;
}

/* ---- the text ---- */

void
metrics_write(const struct daemon *d, bool openmetrics, struct buf *out)
{
	struct exposition x;
	struct metrics_view v = {.daemon = d, .out = &x};

	exposition_init(&x, out, openmetrics);
	sums_take(&v.sums, d);
	process_look(&v.process);
	for (unsigned i = 0; i < TABLE_COUNT; i++) {
		const struct metric *m = &table[i];

		exposition_family(&x, m->name, m->type, m->unit, m->help);
		m->write(&v, m);
	}
	sums_clear(&v.sums);
	exposition_end(&x);
}

void
metrics_page(const struct daemon *d, const struct http_request *request, struct http_answer *answer)
{
	bool openmetrics = strstr(request->accept, "application/openmetrics-text") != NULL;

	answer->type = openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
				   : "text/plain; version=0.0.4; charset=utf-8";
	metrics_write(d, openmetrics, &answer->body);
}
