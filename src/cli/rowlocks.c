#include "cli/rowlocks.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/asuser.h"
#include "cli/cure.h"
#include "cli/direct.h"
#include "cli/started.h"

#define WHY_MAX 1024

/* Columns of the answer, in the order of the query below. Those of the table have "pool" and
 * "server" in front, and "failure" behind them: why the pool could not be asked. */
static const char *const columns[] = {
    "pid",    "application",        "role",        "locktype",    "relation", "wait_ms", "held_ms",
    "holder", "holder_application", "holder_role", "holder_state"};
#define COLUMNS (sizeof columns / sizeof *columns)
#define FAILURE (2 + COLUMNS)

/* PostgreSQL 15 documentation, 54.12 pg_locks, 9.26.1 pg_blocking_pids(). A parallel worker waits
 * for its leader. Who waits for a row waits for the transaction of its holder, with a lock of the
 * tuple that names the table. A role without rights sees pids and names, but no times and states of
 * others. */
static const char question[] =
    "SELECT DISTINCT ON (1, 8)"
    " coalesce(w.leader_pid, l.pid), w.application_name, w.usename, l.locktype,"
    " coalesce(CASE WHEN l.database = d.oid THEN l.relation::regclass::text END,"
    " (SELECT t.relation::regclass::text FROM pg_locks t WHERE t.pid = l.pid AND t.granted"
    " AND t.locktype = 'tuple' AND t.database = d.oid LIMIT 1)),"
    " (extract(epoch FROM clock_timestamp() - coalesce((to_jsonb(l)->>'waitstart')::timestamptz,"
    " w.query_start)) * 1000)::bigint,"
    " (extract(epoch FROM clock_timestamp() - h.xact_start) * 1000)::bigint,"
    " b.pid, h.application_name, h.usename, h.state"
    " FROM pg_locks l JOIN pg_database d ON d.datname = current_database()"
    " CROSS JOIN LATERAL unnest(pg_blocking_pids(l.pid)) AS b(pid)"
    " LEFT JOIN pg_stat_activity w ON w.pid = l.pid"
    " LEFT JOIN pg_stat_activity h ON h.pid = b.pid"
    " WHERE NOT l.granted AND b.pid <> coalesce(w.leader_pid, l.pid)"
    " ORDER BY 1, 8";

/* One pool that is asked. */
struct pool_ask {
	const struct conf_pool *pool;
	struct direct direct;
};

struct job {
	const struct conf *conf;
	const struct commands_how *how;
	const struct table *servers;
};

static void
add_failure(struct table *t, const char *pool, const char *why)
{
	const char *cells[FAILURE + 1] = {pool};
	char *line = mem_strdup(why);

	findings_join_lines(line);
	cells[FAILURE] = line;
	table_row(t, cells);
	free(line);
}

/* Adds the rows of a pool that is connected to. */
static void
ask_pool(struct table *t, const struct pool_ask *p)
{
	const char *cells[FAILURE + 1] = {p->pool->name};
	PGresult *identity, *r = NULL;
	char why[WHY_MAX] = "";

	/* Names are looked up in the system's own schema only. */
	PQclear(direct_query(&p->direct,
			     "SELECT set_config('search_path', 'pg_catalog', false),"
			     " set_config('statement_timeout', '5s', false)",
			     why, sizeof why));
	identity =
	    direct_query(&p->direct, "SELECT extract(epoch FROM pg_postmaster_start_time())::text",
			 why, sizeof why);
	if (identity)
		r = direct_query(&p->direct, question, why, sizeof why);
	if (r == NULL)
		add_failure(t, p->pool->name, why);
	else {
		cells[1] = PQgetvalue(identity, 0, 0);
		table_row(t, cells);
	}
	for (int row = 0; r && row < PQntuples(r); row++) {
		for (int i = 0; i < (int)COLUMNS; i++)
			cells[2 + i] = PQgetisnull(r, row, i) ? NULL : PQgetvalue(r, row, i);
		table_row(t, cells);
	}
	PQclear(r);
	PQclear(identity);
}

static void
finish_pool(struct table *t, struct pool_ask *p)
{
	char *why;

	direct_join(&p->direct);
	if (PQstatus(p->direct.conn) == CONNECTION_OK) {
		ask_pool(t, p);
	} else {
		const char *said = p->direct.why ? p->direct.why : "";
		const char *cure = cure_of(p->direct.sqlstate, said);

		why = mem_printf("%s%s%s", said, cure ? "; " : "", cure ? cure : "");
		add_failure(t, p->pool->name, why);
		free(why);
	}
	direct_clear(&p->direct);
}

/* The role of the pool's first leased server; NULL if it has none. */
static const char *
leased_as(const struct table *servers, const char *pool)
{
	for (unsigned i = 0; i < table_rows(servers); i++) {
		const char *name = table_cell(servers, i, "database");

		if (name && strcmp(name, pool) == 0 && table_cell(servers, i, "session"))
			return table_cell(servers, i, "user");
	}
	return NULL;
}

/* Runs as the daemon's user. */
static void
ask_all(struct table *t, void *arg)
{
	const struct job *job = arg;
	struct pool_ask asks[DIRECT_AT_ONCE];
	unsigned n = 0;

	for (unsigned i = 0; i < job->conf->npools; i++) {
		const struct conf_pool *pool = &job->conf->pools[i];
		const char *role = leased_as(job->servers, pool->name);
		bool as_client = pool->role == CONF_ROLE_CLIENT;

		if (role) {
			asks[n] =
			    (struct pool_ask){.pool = pool,
					      .direct = {.pool = pool,
							 .user = as_client ? role : NULL,
							 .application = "pgwith waits",
							 .timeout_us = job->how->whom.timeout_us}};
			direct_start(&asks[n++].direct);
		}
		if (n == DIRECT_AT_ONCE || i + 1 == job->conf->npools) {
			for (unsigned k = 0; k < n; k++)
				finish_pool(t, &asks[k]);
			n = 0;
		}
	}
}

/* ---- the configuration, and the user ---- */

/* The configuration that pgwithd should have read. NULL, and stderr says why. */
static struct conf *
load_conf(const struct conf_input *input)
{
	struct conf_problems problems;
	struct conf *conf = conf_read(input, &problems);

	for (unsigned i = 0; conf == NULL && i < problems.count; i++) {
		char *text = conf_problem_text(&problems.list[i]);

		fprintf(stderr, "pgwith: --with-server: %s\n", text);
		free(text);
	}
	if (conf == NULL)
		fprintf(stderr, "pgwith: --with-server connects to PostgreSQL as the pools do, and "
				"reads how in the configuration: ask as root or as the user of "
				"pgwithd, or name the file (--config)\n");
	conf_problems_clear(&problems);
	return conf;
}

static bool
find_user(const struct commands_how *how, struct ask *ask, const char *path, struct asuser *u)
{
	struct ucred cred;

	if (!ask_peer(ask, &cred)) {
		fprintf(stderr, "pgwith: --with-server: it is not known whose pgwithd answers\n");
		return false;
	}
	if (asuser_is_stranger(cred.uid, how->whom.directory, path)) {
		fprintf(stderr,
			"pgwith: --with-server: everybody may listen in %s, and uid %u does, who "
			"may be anybody: PostgreSQL is not asked as that user\n",
			how->whom.directory, (unsigned)cred.uid);
		return false;
	}
	asuser_of_process(u, cred.pid, cred.uid, cred.gid);
	return true;
}

static struct table *
new_table(void)
{
	struct table *t = table_new();

	table_column(t, "pool", TABLE_TEXT);
	table_column(t, "server", TABLE_TEXT);
	for (unsigned i = 0; i < COLUMNS; i++)
		table_column(t, columns[i], TABLE_TEXT);
	table_column(t, "failure", TABLE_TEXT);
	return t;
}

/* Moves the rows of pools that were asked to a table of their own, and says on stderr why the
 * others were not. */
static struct table *
say_failures(struct table *all, bool *complete)
{
	struct table *t = table_empty(all);
	const char *cells[FAILURE + 1];

	for (unsigned row = 0; row < table_rows(all); row++) {
		const char *failure = table_at(all, row, FAILURE);

		for (unsigned i = 0; i <= FAILURE; i++)
			cells[i] = table_at(all, row, i);
		if (failure == NULL) {
			table_row(t, cells);
			continue;
		}
		*complete = false;
		fprintf(stderr,
			"pgwith: pool %s: its PostgreSQL cannot be asked who waits for whom: %s\n",
			cells[0], failure);
	}
	table_free(all);
	return t;
}

struct table *
rowlocks_ask(const struct commands_how *how, struct ask *ask, const struct table *servers,
	     bool *complete)
{
	struct table *t = new_table();
	struct job job = {.how = how, .servers = servers};
	struct asuser user = {.uid = (uid_t)-1};
	struct started started;
	char *absolute, why[WHY_MAX];
	const char *path;

	*complete = false;
	started_find(&started, how);
	path = started.input.path ? started.input.path : CONF_COMMAND_LINE;
	/* As the daemon's user we may have another working directory. */
	absolute = realpath(path, NULL);
	job.conf = load_conf(&started.input);
	if (job.conf && find_user(how, ask, absolute ? absolute : path, &user)) {
		*complete = asuser_rows(&user, t, ask_all, &job, why, sizeof why);
		if (!*complete)
			fprintf(stderr, "pgwith: --with-server: %s\n", why);
	}
	asuser_clear(&user);
	conf_free((struct conf *)job.conf);
	free(absolute);
	started_clear(&started);
	return say_failures(t, complete);
}
