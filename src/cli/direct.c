#include "cli/direct.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/program.h"
#include "base/units.h"
#include "cli/clock.h"
#include "conf/pwcommand.h"
#include "pool/resolve.h"

/* Is it the line that PQERRORS_VERBOSE adds at the end, with the place in the server's source? */
static bool
is_location(const char *line, size_t bytes)
{
	while (bytes > 0 && line[bytes - 1] >= '0' && line[bytes - 1] <= '9')
		bytes--;
	return bytes > 3 && strncmp(line + bytes - 3, ".c:", 3) == 0;
}

/* Keeps libpq's message about a failure, for people, and its SQLSTATE. */
static void
note_failure(struct direct *d, const char *message)
{
	char *words = mem_strdup(""), *more, *cut = mem_strdup(message);

	conninfo_cut_sqlstate(cut, d->sqlstate);
	for (const char *at = cut; *at; at += strcspn(at, "\n"), at += *at == '\n') {
		size_t n = strcspn(at, "\n");

		if (is_location(at, n))
			continue;
		more = mem_printf("%s%s%.*s", words, *words ? "\n" : "", (int)n, at);
		free(words);
		words = more;
	}
	free(cut);
	free(d->why);
	d->why = words;
}

/* Waits until libpq can go on. False if `deadline_us` has passed. */
static bool
wait_for(PGconn *conn, PostgresPollingStatusType next, int64_t deadline_us)
{
	struct pollfd p = {.fd = PQsocket(conn),
			   .events = next == PGRES_POLLING_READING ? POLLIN : POLLOUT};
	int64_t left = deadline_us - clock_us();

	return left > 0 && poll(&p, 1, (int)(left / UNIT_MS) + 1) != 0;
}

/* Tries the hosts one after the other until one answers, as the daemon does. */
static void
connect_to_hosts(struct direct *d, struct conninfo_params *p, int64_t limit_us)
{
	PostgresPollingStatusType next;
	char why[256], text[32];
	int64_t deadline;

	for (;;) {
		deadline = clock_us() + limit_us;
		d->conn = PQconnectStartParams((const char *const *)p->keywords,
					       (const char *const *)p->values, 0);
		next = PQstatus(d->conn) == CONNECTION_BAD ? PGRES_POLLING_FAILED
							   : PGRES_POLLING_WRITING;
		PQsetErrorVerbosity(d->conn, PQERRORS_VERBOSE);
		while (next == PGRES_POLLING_READING || next == PGRES_POLLING_WRITING) {
			if (PQstatus(d->conn) == CONNECTION_MADE &&
			    conninfo_params_check_peer(p, PQsocket(d->conn), why, sizeof why) < 0) {
				note_failure(d, why);
				return;
			}
			if (!wait_for(d->conn, next, deadline))
				break;
			next = PQconnectPoll(d->conn);
		}
		if (next == PGRES_POLLING_OK) {
			PQsetErrorVerbosity(d->conn, PQERRORS_DEFAULT);
			return;
		}
		if (next == PGRES_POLLING_FAILED) {
			note_failure(d, PQerrorMessage(d->conn));
			return;
		}
		snprintf(why, sizeof why, "connection to server at \"%s\": no answer within %s",
			 PQhost(d->conn), units_duration_str(limit_us, text, sizeof text));
		note_failure(d, why);
		if (conninfo_params_drop(p, PQhost(d->conn), PQhostaddr(d->conn), PQport(d->conn)) <
		    0)
			return;
		PQfinish(d->conn);
	}
}

/* May we run the command that the configuration names? Root does not, if somebody else may have
 * written the file. What no file says (-o) is that of a pgwithd which runs it itself. */
static bool
may_run(const struct conf_pool *pool, char *why, size_t why_size)
{
	const struct conf_source *from = conf_pool_source(pool, "password");
	const char *file = from->file ? pool->snapshot->files[from->file - 1] : "";
	struct stat st;

	if (geteuid() != 0 || stat(file, &st) < 0 ||
	    (st.st_uid == 0 && (st.st_mode & S_IWOTH) == 0))
		return true;
	snprintf(
	    why, why_size,
	    "its password command is not run by root, as others than root may write %s: ask as "
	    "the user of pgwithd",
	    file);
	return false;
}

/* Sets the pool's password. False, with a reason, if the command that tells it does not. */
static bool
give_password(struct conninfo *ci, const struct conf_pool *pool, char *why, size_t why_size)
{
	struct pwcommand_answer answer;
	struct program *program;
	char **more;
	bool good;

	if (pool->password == NULL || !pwcommand_is(pool->password)) {
		if (pool->password && *pool->password)
			conninfo_set_password(ci, pool->password);
		return true;
	}
	if (!may_run(pool, why, why_size))
		return false;
	more = conninfo_environment(ci, pool->name);
	program = pwcommand_program(pool->password, more);
	pwcommand_ask(pool->password, program, pool->password_timeout_us, NULL, &answer);
	good = answer.password != NULL;
	if (good)
		conninfo_set_password(ci, answer.password);
	else
		snprintf(why, why_size, "%s%s%.*s", answer.why, *answer.said ? ": " : "",
			 (int)strcspn(answer.said, "\n"), answer.said);
	pwcommand_answer_clear(&answer);
	program_free(program);
	conninfo_free_environment(more);
	return good;
}

static void *
connect_thread(void *arg)
{
	struct direct *d = arg;
	const struct conf_pool *pool = d->pool;
	int64_t longest = d->timeout_us;
	int64_t us = pool->connect_timeout_us < longest ? pool->connect_timeout_us : longest;
	struct conninfo_params p = {0};
	char why[512] = "";
	struct conninfo *ci = conninfo_new(pool->conninfo, why, sizeof why);

	if (ci && d->user)
		conninfo_set_user(ci, d->user);
	if (ci == NULL || !give_password(ci, pool, why, sizeof why) ||
	    conninfo_resolve(ci, &p, why, sizeof why) < 0) {
		note_failure(d, why);
	} else {
		conninfo_params_add(&p, "application_name", d->application);
		connect_to_hosts(d, &p, us);
	}
	conninfo_params_clear(&p);
	conninfo_free(ci);
	return NULL;
}

void
direct_start(struct direct *d)
{
	d->threaded = pthread_create(&d->thread, NULL, connect_thread, d) == 0;
	if (!d->threaded)
		connect_thread(d);
}

void
direct_join(struct direct *d)
{
	if (d->threaded)
		pthread_join(d->thread, NULL);
	d->threaded = false;
}

/* Waits for the end of the query. False if `deadline_us` has passed, or the connection is lost. */
static bool
wait_for_answer(PGconn *conn, int64_t deadline_us)
{
	while (PQisBusy(conn))
		if (!wait_for(conn, PGRES_POLLING_READING, deadline_us) || !PQconsumeInput(conn))
			return false;
	return true;
}

static int
send_statement(const struct direct *d, const char *sql, const char *argument)
{
	return argument ? PQsendQueryParams(d->conn, sql, 1, NULL, &argument, NULL, NULL, 0)
			: PQsendQuery(d->conn, sql);
}

PGresult *
direct_ask(const struct direct *d, const char *sql, const char *argument, char sqlstate[6],
	   char *why, size_t why_size)
{
	int64_t deadline = clock_us() + d->timeout_us;
	PGresult *r, *last = NULL;
	const char *state;
	char text[32];
	bool answered = false;

	if (send_statement(d, sql, argument))
		while ((answered = wait_for_answer(d->conn, deadline)) &&
		       (r = PQgetResult(d->conn)) != NULL) {
			PQclear(last);
			last = r;
		}
	if (answered && PQresultStatus(last) == PGRES_TUPLES_OK)
		return last;
	if (why && !answered && PQstatus(d->conn) == CONNECTION_OK && PQisBusy(d->conn))
		snprintf(why, why_size, "no answer within %s",
			 units_duration_str(d->timeout_us, text, sizeof text));
	else if (why)
		snprintf(why, why_size, "%s",
			 last ? PQresultErrorMessage(last) : PQerrorMessage(d->conn));
	state = PQresultErrorField(last, PG_DIAG_SQLSTATE);
	if (sqlstate)
		snprintf(sqlstate, 6, "%s", state ? state : "");
	PQclear(last);
	return NULL;
}

PGresult *
direct_query(const struct direct *d, const char *sql, char *why, size_t why_size)
{
	return direct_ask(d, sql, NULL, NULL, why, why_size);
}

void
direct_clear(struct direct *d)
{
	PQfinish(d->conn);
	free(d->why);
	d->conn = NULL;
	d->why = NULL;
}
