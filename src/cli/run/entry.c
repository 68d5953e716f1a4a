#include "cli/run/entry.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/clock.h"
#include "cli/interrupt.h"
#include "cli/run/answer.h"

/* Connects. NULL: *refused says whether pgwithd does not let us in there, and *why says why not,
 * which the caller frees. */
static PGconn *
connect_to(const struct ask_whom *whom, bool *refused, char **why)
{
	int64_t deadline = clock_us() + whom->timeout_us;
	PostgresPollingStatusType next = PGRES_POLLING_WRITING;
	PGconn *conn = ask_start(whom);
	const char *text = "the directory of the socket must not be empty or have a comma in its "
			   "name";

	*refused = false;
	*why = NULL;
	if (conn == NULL || PQstatus(conn) == CONNECTION_BAD)
		next = PGRES_POLLING_FAILED;
	while (next == PGRES_POLLING_READING || next == PGRES_POLLING_WRITING) {
		if (interrupt_wait(PQsocket(conn), next == PGRES_POLLING_READING ? POLLIN : POLLOUT,
				   deadline, -1) != CAME_ANSWER) {
			*why = mem_printf("pgwithd does not answer in %s/.s.PGSQL.%s",
					  whom->directory, whom->port);
			PQfinish(conn);
			return NULL;
		}
		next = PQconnectPoll(conn);
	}
	if (next == PGRES_POLLING_OK) {
		PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
		return conn;
	}
	if (conn) {
		enum ask_status status = ask_login_failure(conn, &text);

		*refused = status == ASK_REFUSED || status == ASK_USAGE;
	}
	*why = mem_strdup(text);
	PQfinish(conn);
	return NULL;
}

/* Every pool that may be tried, the best first: locks without a pool of their own need a session,
 * and it does not matter of which pool that is. */
struct pools {
	char **names;
	unsigned count;
};

static void
pools_add(struct pools *p, const char *name)
{
	p->names = mem_realloc(p->names, (p->count + 1) * sizeof *p->names);
	p->names[p->count++] = mem_strdup(name);
}

static void
pools_clear(struct pools *p)
{
	for (unsigned i = 0; i < p->count; i++)
		free(p->names[i]);
	free(p->names);
}

static bool
is_set(const PGresult *r, int row, const char *column)
{
	int at = PQfnumber(r, column);
	const char *value = at >= 0 ? PQgetvalue(r, row, at) : "";

	return *value == 't' || *value == '1';
}

/* Adds the pools that the console lists, but for `except`; pgwithd lists them for its
 * administrators only. If it cannot be asked, *why says why not. */
static void
ask_console(struct pools *pools, const struct ask_whom *whom, const char *except, char **why)
{
	struct ask_whom console = *whom;
	PGresult *r = NULL;
	PGconn *conn;
	bool refused;

	console.database = NULL;
	free(*why);
	conn = connect_to(&console, &refused, why);
	if (conn && PQsendQueryParams(conn, "SHOW DATABASES", 0, NULL, NULL, NULL, NULL, 0))
		r = answer_take(conn, clock_us() + whom->timeout_us, NULL);
	for (int row = 0; r && row < PQntuples(r) && PQresultStatus(r) == PGRES_TUPLES_OK; row++) {
		const char *name = PQgetvalue(r, row, 0);

		if (strcmp(name, "pgwith") != 0 && !is_set(r, row, "disabled") &&
		    !is_set(r, row, "paused") && !(except && strcmp(name, except) == 0))
			pools_add(pools, name);
	}
	PQclear(r);
	PQfinish(conn);
}

PGconn *
entry_find(const struct request *r, struct ask_whom *whom, const char *preferred)
{
	const char *asked = r->npools ? r->pools[0] : r->how->on;
	const char *named = asked ? asked : preferred;
	struct pools pools = {0};
	PGconn *conn = NULL;
	bool refused = true;
	char *why = NULL;

	if (named)
		pools_add(&pools, named);
	else
		ask_console(&pools, whom, NULL, &why);
	for (unsigned i = 0; conn == NULL && refused && i < pools.count; i++) {
		free(why);
		whom->database = pools.names[i];
		conn = connect_to(whom, &refused, &why);
		/* PGDATABASE may be no pool, but a database of another server. */
		if (conn == NULL && refused && i == 0 && named && asked == NULL) {
			char *more = NULL;

			ask_console(&pools, whom, named, &more);
			free(more);
		}
	}
	if (conn == NULL && why)
		ask_say(why);
	else if (conn == NULL)
		fprintf(stderr, "pgwith: which pool may you use? pgwithd tells only "
				"administrators: name one by $PGDATABASE\n");
	free(why);
	pools_clear(&pools);
	return conn;
}
