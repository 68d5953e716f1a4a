#include "cli/top/feed.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/clock.h"
#include "cli/top/lines.h"

#define TO(state) (1u << (state))

static const struct {
	const char *name;
	unsigned next;
} states[FEED_NSTATES] = {
    [FEED_DOWN] = {"down", TO(FEED_CONNECTING)},
    [FEED_CONNECTING] = {"connecting", TO(FEED_READY) | TO(FEED_DOWN)},
    [FEED_READY] = {"ready", TO(FEED_ASKING) | TO(FEED_DOWN)},
    [FEED_ASKING] = {"asking", TO(FEED_READY) | TO(FEED_DOWN)},
};

struct feed {
	const struct ask_whom *whom;
	enum feed_state state;
	PGconn *conn; /* NULL in DOWN */
	/* DOWN: of the next attempt. CONNECTING, ASKING: the time limit. READY: 0 */
	int64_t due_us;
	PostgresPollingStatusType wants; /* CONNECTING: what libpq waits for */
	bool sending;                    /* ASKING: bytes of the statement are left */
	PGresult *result;                /* ASKING: what has come so far; or NULL */
	struct table *answer;
	char *error;
	enum ask_status status;
};

bool
feed_may_move(enum feed_state from, enum feed_state to)
{
	return states[from].next & TO(to);
}

static void
set_state(struct feed *f, enum feed_state state)
{
	if (!feed_may_move(f->state, state))
		log_fatal("feed", LOG_ALONE, "illegal move",
			  LOG_MOVE(states[f->state].name, states[state].name));
	f->state = state;
}

struct feed *
feed_new(const struct ask_whom *whom)
{
	struct feed *f = mem_calloc(1, sizeof *f);

	f->whom = whom;
	f->due_us = 1; /* at once */
	return f;
}

static void
drop(struct feed *f)
{
	PQclear(f->result);
	f->result = NULL;
	PQfinish(f->conn);
	f->conn = NULL;
}

void
feed_free(struct feed *f)
{
	if (f == NULL)
		return;
	drop(f);
	table_free(f->answer);
	free(f->error);
	free(f);
}

enum feed_state
feed_state(const struct feed *f)
{
	return f->state;
}

int64_t
feed_due_us(const struct feed *f)
{
	return f->due_us;
}

int
feed_fd(const struct feed *f, short *events)
{
	bool out = f->state == FEED_CONNECTING ? f->wants == PGRES_POLLING_WRITING : f->sending;

	*events = (short)((out ? POLLOUT : 0) | (!out || f->state == FEED_ASKING ? POLLIN : 0));
	return f->conn ? PQsocket(f->conn) : -1;
}

struct table *
feed_take(struct feed *f)
{
	struct table *t = f->answer;

	f->answer = NULL;
	return t;
}

const char *
feed_error(const struct feed *f)
{
	return f->error ? f->error : "";
}

enum ask_status
feed_status(const struct feed *f)
{
	return f->status;
}

/* ---- errors ---- */

/* Keeps the first line of the text, without what libpq writes in front of it. */
static void
note_error(struct feed *f, const char *text, enum ask_status status)
{
	static const char *const fronts[] = {"ERROR:  ", "FATAL:  "};
	char *line;
	size_t n;

	for (unsigned i = 0; i < sizeof fronts / sizeof *fronts; i++)
		if (strncmp(text, fronts[i], strlen(fronts[i])) == 0)
			text += strlen(fronts[i]);
	n = strcspn(text, "\n");
	line = mem_strndup(text, n);
	free(f->error);
	f->error = lines_fitted(line, 0);
	free(line);
	f->status = status;
}

static enum feed_news
lose(struct feed *f, int64_t now_us, const char *why, enum ask_status status)
{
	note_error(f, why, status);
	drop(f);
	set_state(f, FEED_DOWN);
	f->due_us = now_us + FEED_AGAIN_US;
	return FEED_LOST;
}

/* ---- connecting ---- */

static void
no_notice(void *arg, const PGresult *r)
{
}

static bool
is_ready(PGconn *conn, short events)
{
	struct pollfd p = {.fd = PQsocket(conn), .events = events};

	return poll(&p, 1, 0) > 0;
}

static enum feed_news
connect_failed(struct feed *f, int64_t now_us)
{
	const char *text;
	enum ask_status status;

	if (f->conn == NULL)
		return lose(f, now_us,
			    "the directory of the socket must not be empty or have a comma in its "
			    "name",
			    ASK_USAGE);
	status = ask_login_failure(f->conn, &text);
	return lose(f, now_us, text, status);
}

static enum feed_news
begin(struct feed *f, int64_t now_us)
{
	if (now_us < f->due_us)
		return FEED_NOTHING;
	set_state(f, FEED_CONNECTING);
	f->due_us = now_us + f->whom->timeout_us;
	f->wants = PGRES_POLLING_WRITING;
	f->conn = ask_start(f->whom);
	if (f->conn == NULL || PQstatus(f->conn) == CONNECTION_BAD)
		return connect_failed(f, now_us);
	PQsetNoticeReceiver(f->conn, no_notice, NULL);
	return FEED_NOTHING;
}

static enum feed_news
go_on_connecting(struct feed *f, int64_t now_us)
{
	while (is_ready(f->conn, f->wants == PGRES_POLLING_READING ? POLLIN : POLLOUT)) {
		f->wants = PQconnectPoll(f->conn);
		if (f->wants == PGRES_POLLING_FAILED)
			return connect_failed(f, now_us);
		if (f->wants != PGRES_POLLING_OK)
			continue;
		PQsetErrorVerbosity(f->conn, PQERRORS_DEFAULT);
		PQsetnonblocking(f->conn, 1);
		set_state(f, FEED_READY);
		f->due_us = 0;
		return FEED_IN;
	}
	if (now_us >= f->due_us)
		return lose(f, now_us, "pgwithd does not answer", ASK_UNREACHABLE);
	return FEED_NOTHING;
}

/* ---- asking ---- */

void
feed_ask(struct feed *f, const char *statement, int64_t now_us)
{
	set_state(f, FEED_ASKING);
	f->due_us = now_us + f->whom->timeout_us;
	/* The extended protocol takes one statement only. If that fails, the connection is lost,
	 * and feed_go() finds so. */
	PQsendQueryParams(f->conn, statement, 0, NULL, NULL, NULL, NULL, 0);
	f->sending = PQflush(f->conn) == 1;
}

static enum feed_news
answered(struct feed *f, int64_t now_us)
{
	PGresult *r = f->result;
	const char *sqlstate = PQresultErrorField(r, PG_DIAG_SQLSTATE);
	ExecStatusType status = r ? PQresultStatus(r) : PGRES_BAD_RESPONSE;
	bool good = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;

	if (PQstatus(f->conn) == CONNECTION_BAD || (!good && sqlstate == NULL)) {
		const char *text = r ? PQresultErrorMessage(r) : PQerrorMessage(f->conn);
		char *copy = mem_strdup(*text ? text : "the connection was lost");
		enum feed_news news = lose(f, now_us, copy, ASK_UNREACHABLE);

		free(copy);
		return news;
	}
	set_state(f, FEED_READY);
	f->due_us = 0;
	if (good) {
		table_free(f->answer);
		f->answer = ask_table(r);
	} else {
		note_error(f, PQresultErrorMessage(r), ask_status_of(sqlstate));
	}
	PQclear(r);
	f->result = NULL;
	return good ? FEED_ANSWER : FEED_REFUSED;
}

static enum feed_news
go_on_asking(struct feed *f, int64_t now_us)
{
	if (f->sending)
		f->sending = PQflush(f->conn) == 1;
	if (!PQconsumeInput(f->conn))
		return answered(f, now_us);
	while (!PQisBusy(f->conn)) {
		PGresult *r = PQgetResult(f->conn);

		if (r == NULL)
			return answered(f, now_us);
		/* The last one counts: behind an answer, it may say that pgwithd ends. */
		PQclear(f->result);
		f->result = r;
	}
	if (now_us >= f->due_us)
		return lose(f, now_us, "pgwithd does not answer", ASK_UNREACHABLE);
	return FEED_NOTHING;
}

/* Between statements only the end of the connection can come, or a notice. */
static enum feed_news
listen_in(struct feed *f, int64_t now_us)
{
	if (!is_ready(f->conn, POLLIN))
		return FEED_NOTHING;
	if (PQconsumeInput(f->conn) && PQstatus(f->conn) != CONNECTION_BAD)
		return FEED_NOTHING;
	return answered(f, now_us);
}

enum feed_news
feed_go(struct feed *f, int64_t now_us)
{
	switch (f->state) {
	case FEED_DOWN:
		return begin(f, now_us);
	case FEED_CONNECTING:
		return go_on_connecting(f, now_us);
	case FEED_READY:
		return listen_in(f, now_us);
	case FEED_ASKING:
		return go_on_asking(f, now_us);
	case FEED_NSTATES:
		break;
	}
	return FEED_NOTHING;
}
