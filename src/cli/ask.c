#include "cli/ask.h"

#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/clock.h"
#include "cli/interrupt.h"

extern char **environ;

struct ask {
	PGconn *conn;
	int64_t timeout_us;
	bool ending; /* the statement ends pgwithd: its notice of that is not printed */
};

/* ---- words ---- */

/* Writes a line to stderr. Control characters are made harmless: the text comes from the other
 * side, and must not steer the terminal. */
static void
say_clean(const char *front, const char *text, size_t bytes)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_add_clean(&b, text, bytes);
	fprintf(stderr, "%s%.*s\n", front, (int)b.len, b.len ? (const char *)buf_data(&b) : "");
	buf_clear(&b);
}

void
ask_say(const char *text)
{
	const char *front = "pgwith: ";

	while (*text) {
		size_t n;

		text += strspn(text, "\t ");
		n = strcspn(text, "\n");
		if (n > 0)
			say_clean(front, text, n);
		front = "  ";
		text += n + (text[n] == '\n');
	}
}

void
ask_say_error(const PGresult *r)
{
	const char *text = PQresultErrorMessage(r);
	static const char front[] = "ERROR:  ";

	ask_say(strncmp(text, front, sizeof front - 1) == 0 ? text + sizeof front - 1 : text);
}

enum ask_status
ask_status_of(const char *sqlstate)
{
	if (sqlstate == NULL)
		return ASK_UNREACHABLE;
	if (strncmp(sqlstate, "42501", 5) == 0 || strncmp(sqlstate, "28", 2) == 0)
		return ASK_REFUSED;
	if (strncmp(sqlstate, "42", 2) == 0 || strncmp(sqlstate, "0A", 2) == 0 ||
	    strncmp(sqlstate, "22", 2) == 0 || strncmp(sqlstate, "3D", 2) == 0)
		return ASK_USAGE;
	/* pgwithd is ending, or has no room for another session. */
	if (strncmp(sqlstate, "57P", 3) == 0 || strncmp(sqlstate, "53", 2) == 0)
		return ASK_UNREACHABLE;
	return ASK_TROUBLE;
}

/* ---- connecting ---- */

/* Passwords for the console, by the environment of pgwith: kept by ask_forget_environment(). */
static char *given_password, *given_passfile;

static void
keep_variable(char **kept, const char *name)
{
	const char *value = getenv(name);

	if (*kept == NULL && value && *value)
		*kept = mem_strdup(value);
}

/* PGWITH_* are variables of pgwith, not of libpq. */
void
ask_forget_environment(void)
{
	char **e = environ;

	keep_variable(&given_password, "PGPASSWORD");
	keep_variable(&given_passfile, "PGPASSFILE");
	while (*e) {
		size_t n = strcspn(*e, "=");

		if (strncmp(*e, "PG", 2) == 0 && strncmp(*e, "PGWITH", 6) != 0 && (*e)[n]) {
			char *name = mem_strndup(*e, n);

			unsetenv(name);
			free(name);
			e = environ;
		} else {
			e++;
		}
	}
}

static bool
is_directory(const char *text)
{
	return *text && strchr(text, ',') == NULL;
}

/* The role to come in as, if none was given: NULL, for which libpq takes the name of the operating
 * system's user. A user in a container often has none, and libpq gives up then: that is the number,
 * written into `number`. */
static const char *
default_role(char number[16])
{
	if (getpwuid(geteuid()))
		return NULL;
	snprintf(number, 16, "%u", (unsigned)geteuid());
	return number;
}

PGconn *
ask_start(const struct ask_whom *whom)
{
	char number[16];
	/* libpq takes a `host` for a directory only if it begins with a slash: a relative path is
	 * made absolute. */
	char *here = *whom->directory == '/' ? NULL : getcwd(NULL, 0);
	char *directory =
	    here ? mem_printf("%s/%s", here, whom->directory) : mem_strdup(whom->directory);
	const char *user = whom->user ? whom->user : default_role(number);
	const char *const keys[] = {"host",
				    "port",
				    "dbname",
				    "user",
				    "sslmode",
				    "gssencmode",
				    "fallback_application_name",
				    "client_encoding",
				    "password",
				    "passfile",
				    NULL};
	const char *values[] = {directory,
				whom->port,
				whom->database ? whom->database : "pgwith",
				user,
				"disable",
				"disable",
				whom->application ? whom->application : "pgwith",
				"UTF8",
				NULL,
				NULL,
				NULL};
	PGconn *conn = NULL;

	ask_forget_environment();
	values[8] = given_password;
	values[9] = given_passfile;
	if (is_directory(whom->directory))
		conn = PQconnectStartParams(keys, values, 0);
	if (conn && PQstatus(conn) != CONNECTION_BAD)
		PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
	free(directory);
	free(here);
	return conn;
}

/* libpq 15 has no SQLSTATE for a login that failed. With verbose errors it stands in the message:
 * "... FATAL: 28000: text". */
enum ask_status
ask_login_failure(const PGconn *conn, const char **text)
{
	static char needed[512];
	const char *fatal, *state;

	*text = PQerrorMessage(conn);
	if (PQconnectionNeedsPassword(conn)) {
		snprintf(needed, sizeof needed,
			 "pgwithd asks for the password of the role \"%s\" (%s): "
			 "give it by PGPASSWORD, or by the line %s:%s:%s:%s:PASSWORD in "
			 "~/.pgpass or the file that PGPASSFILE names; --user names another role",
			 PQuser(conn), strcmp(PQdb(conn), "pgwith") == 0 ? "auth_console" : "auth",
			 PQhost(conn), PQport(conn), PQdb(conn), PQuser(conn));
		*text = needed;
		return ASK_REFUSED;
	}
	fatal = strstr(*text, "FATAL:  ");
	state = fatal ? fatal + strlen("FATAL:  ") : NULL;
	if (state == NULL || strlen(state) < 7 || state[5] != ':')
		return ASK_UNREACHABLE;
	*text = state + 7;
	return ask_status_of(state) == ASK_TROUBLE ? ASK_UNREACHABLE : ask_status_of(state);
}

static enum ask_status
login_failed(PGconn *conn)
{
	const char *text;
	enum ask_status status = ask_login_failure(conn, &text);

	ask_say(text);
	return status;
}

/* Prints notices and warnings with their severity. */
static void
on_notice(void *arg, const PGresult *r)
{
	const struct ask *a = arg;
	const char *severity = PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);

	if (a->ending && severity && strcmp(severity, "FATAL") == 0)
		return;
	ask_say(PQresultErrorMessage(r));
}

/* As ask_open(). With `ping` an error of pgwithd's own is as good as a login. */
static enum ask_status
open_session(const struct ask_whom *whom, bool ping, struct ask **ask)
{
	int64_t deadline = clock_us() + whom->timeout_us;
	PostgresPollingStatusType next = PGRES_POLLING_WRITING;
	enum ask_status status;
	PGconn *conn;

	*ask = NULL;
	if (!is_directory(whom->directory)) {
		fprintf(stderr, "pgwith: the directory of the socket must not be empty or have "
				"a comma in its name\n");
		return ASK_USAGE;
	}
	conn = ask_start(whom);
	if (conn == NULL || PQstatus(conn) == CONNECTION_BAD)
		next = PGRES_POLLING_FAILED;
	while (next == PGRES_POLLING_READING || next == PGRES_POLLING_WRITING) {
		enum came came =
		    interrupt_wait(PQsocket(conn), next == PGRES_POLLING_READING ? POLLIN : POLLOUT,
				   deadline, interrupt_watched());

		if (came == CAME_SIGNAL) {
			PQfinish(conn);
			return ASK_CANCELLED;
		}
		if (came == CAME_TIME) {
			fprintf(stderr, "pgwith: pgwithd does not answer in %s/.s.PGSQL.%s\n",
				whom->directory, whom->port);
			PQfinish(conn);
			return ASK_UNREACHABLE;
		}
		next = PQconnectPoll(conn);
	}
	if (next == PGRES_POLLING_OK) {
		PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
		*ask = mem_calloc(1, sizeof **ask);
		PQsetNoticeReceiver(conn, on_notice, *ask);
		(*ask)->conn = conn;
		(*ask)->timeout_us = whom->timeout_us;
		return ASK_GOOD;
	}
	if (ping && conn &&
	    (PQconnectionNeedsPassword(conn) || strstr(PQerrorMessage(conn), "FATAL:  ")))
		status = ASK_GOOD;
	else
		status = conn ? login_failed(conn) : ASK_UNREACHABLE;
	PQfinish(conn);
	return status;
}

enum ask_status
ask_open(const struct ask_whom *whom, struct ask **ask)
{
	return open_session(whom, false, ask);
}

enum ask_status
ask_ping(const struct ask_whom *whom)
{
	struct ask *ask;
	enum ask_status status = open_session(whom, true, &ask);

	ask_close(ask);
	return status;
}

int
ask_listener(const struct ask_whom *whom, struct ucred *cred)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	socklen_t bytes = sizeof *cred;
	int fd, e = 0;

	*cred = (struct ucred){.pid = 0};
	if ((size_t)snprintf(addr.sun_path, sizeof addr.sun_path, "%s/.s.PGSQL.%s", whom->directory,
			     whom->port) >= sizeof addr.sun_path)
		return ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, cred, &bytes) < 0)
		e = errno;
	if (fd >= 0)
		close(fd);
	return e;
}

bool
ask_peer(const struct ask *a, struct ucred *cred)
{
	socklen_t bytes = sizeof *cred;

	return getsockopt(PQsocket(a->conn), SOL_SOCKET, SO_PEERCRED, cred, &bytes) == 0;
}

void
ask_limit(struct ask *a, int64_t timeout_us)
{
	if (timeout_us < a->timeout_us)
		a->timeout_us = timeout_us;
}

bool
ask_is_lost(const struct ask *a)
{
	return PQstatus(a->conn) != CONNECTION_OK;
}

void
ask_close(struct ask *a)
{
	if (a)
		PQfinish(a->conn);
	free(a);
}

/* ---- asking ---- */

static enum table_kind
kind_of(Oid type)
{
	switch (type) { /* pg_type.dat */
	case 20:
	case 21:
	case 23:
	case 700:
	case 701:
	case 1700:
		return TABLE_NUMBER;
	case 16:
		return TABLE_BOOL;
	default:
		return TABLE_TEXT;
	}
}

struct table *
ask_table(const PGresult *r)
{
	struct table *t = table_new();
	int n = PQnfields(r), rows = PQntuples(r);
	const char **cells = mem_calloc((size_t)n + 1, sizeof *cells);

	for (int i = 0; i < n; i++)
		table_column(t, PQfname(r, i), kind_of(PQftype(r, i)));
	for (int row = 0; row < rows; row++) {
		for (int i = 0; i < n; i++)
			cells[i] = PQgetisnull(r, row, i) ? NULL : PQgetvalue(r, row, i);
		table_row(t, cells);
	}
	free(cells);
	return t;
}

/* How long to wait for an answer. */
struct patience {
	int64_t deadline; /* 0: none */
	int signals;      /* -1: a signal ends the process */
	bool leave;       /* a signal ends the wait; the statement is not cancelled */
	int64_t grace_us; /* ... so long after it */
	bool left;        /* a signal has come */
	bool cancelled;   /* we have sent a cancel for the statement */
	bool timed_out;   /* ... because its time limit had passed */
	int64_t timeout_us;
};

/* After a time limit or a signal: cancels the statement, but only once. False if there is nothing
 * more to wait for. */
static bool
give_up(struct ask *a, struct patience *p, enum came why)
{
	PGcancel *cancel;
	char text[256];

	if (p->leave) {
		if (why == CAME_TIME || p->left)
			return false;
		p->left = true;
		p->signals = -1;
		if (p->grace_us && p->deadline > clock_us() + p->grace_us)
			p->deadline = clock_us() + p->grace_us;
		return p->grace_us > 0;
	}
	if (why == CAME_SIGNAL)
		interrupt_take();
	if (p->signals < 0 || p->cancelled)
		return false;
	p->cancelled = true;
	p->timed_out = why != CAME_SIGNAL;
	p->deadline = clock_us() + p->timeout_us;
	/* a second signal ends the process, even if PQcancel() waits for a daemon that hangs */
	interrupt_release();
	cancel = PQgetCancel(a->conn);
	if (cancel == NULL || !PQcancel(cancel, text, sizeof text))
		/* The cancel did not arrive: do not wait for its answer. */
		p->deadline = clock_us();
	PQfreeCancel(cancel);
	return true;
}

/* The result of the statement; NULL if it does not come in time. */
static PGresult *
wait_result(struct ask *a, struct patience *p)
{
	PGresult *first = NULL, *r;

	do {
		while (PQisBusy(a->conn)) {
			enum came came =
			    interrupt_wait(PQsocket(a->conn), POLLIN, p->deadline, p->signals);

			if (came != CAME_ANSWER && give_up(a, p, came))
				continue;
			if (came != CAME_ANSWER) {
				PQclear(first);
				return NULL;
			}
			if (!PQconsumeInput(a->conn))
				break; /* PQgetResult() has the reason */
		}
		r = PQgetResult(a->conn);
		if (first == NULL)
			first = r;
		else
			PQclear(r);
	} while (r);
	return first;
}

static enum ask_status
say_failure(const struct ask *a, const PGresult *r, const struct patience *p)
{
	const char *sqlstate = PQresultErrorField(r, PG_DIAG_SQLSTATE);

	/* For a statement that ends pgwithd, a lost connection (no SQLSTATE) and 57P01 (pgwithd is
	 * ending) are success. */
	if (a->ending && (sqlstate == NULL || strcmp(sqlstate, "57P01") == 0))
		return ASK_GOOD;
	if (p->timed_out && sqlstate && strcmp(sqlstate, "57014") == 0)
		fprintf(stderr,
			"pgwith: timed out: the time of --timeout is over, and the command was "
			"not waited for to its end\n"
			"HINT: what it has begun goes on\n");
	else
		ask_say_error(r);
	if (p->cancelled && sqlstate && strcmp(sqlstate, "57014") == 0)
		return ASK_CANCELLED;
	return ask_status_of(sqlstate);
}

/* Sends the statement; `format` of its rows: 0 text, 1 binary. On success *answer is the result,
 * which the caller clears; it may be NULL, if the statement ends pgwithd. */
static enum ask_status
send_and_wait(struct ask *a, const char *statement, int format, struct patience *p,
	      PGresult **answer)
{
	enum ask_status status;
	PGresult *r;

	*answer = NULL;
	/* The extended protocol takes one statement only: a word of the command line cannot add a
	 * second one. */
	if (!PQsendQueryParams(a->conn, statement, 0, NULL, NULL, NULL, NULL, format)) {
		ask_say(PQerrorMessage(a->conn));
		return ASK_UNREACHABLE;
	}
	r = wait_result(a, p);
	switch (r ? PQresultStatus(r) : PGRES_BAD_RESPONSE) {
	case PGRES_TUPLES_OK:
	case PGRES_COMMAND_OK:
	case PGRES_EMPTY_QUERY:
		*answer = r;
		return ASK_GOOD;
	case PGRES_FATAL_ERROR:
		status = say_failure(a, r, p);
		break;
	default:
		if (!p->left)
			fprintf(stderr, "pgwith: pgwithd does not answer\n");
		status = p->left ? ASK_CANCELLED : ASK_UNREACHABLE;
	}
	PQclear(r);
	return status;
}

static enum ask_status
ask_rows(struct ask *a, const char *statement, struct patience *p, struct table **answer)
{
	PGresult *r;
	enum ask_status status = send_and_wait(a, statement, 0, p, &r);

	*answer = NULL;
	if (status == ASK_GOOD)
		*answer = r ? ask_table(r) : table_new();
	PQclear(r);
	return status;
}

enum ask_status
ask_for(struct ask *a, const char *statement, struct table **answer)
{
	struct patience p = {
	    .deadline = clock_us() + a->timeout_us, .signals = interrupt_watched(), .leave = true};

	return ask_rows(a, statement, &p, answer);
}

enum ask_status
ask_bytes(struct ask *a, const char *statement, void **data, size_t *bytes)
{
	struct patience p = {.deadline = clock_us() + a->timeout_us,
			     .signals = interrupt_watched(),
			     .leave = true,
			     .grace_us = ASK_GRACE_US};
	PGresult *r;
	enum ask_status status = send_and_wait(a, statement, 1, &p, &r);

	*data = NULL;
	*bytes = 0;
	if (status == ASK_GOOD && PQntuples(r) == 1 && PQnfields(r) == 1) {
		*bytes = (size_t)PQgetlength(r, 0, 0);
		*data = mem_alloc(*bytes + 1);
		memcpy(*data, PQgetvalue(r, 0, 0), *bytes);
	}
	PQclear(r);
	return status;
}

enum ask_status
ask_wait(struct ask *a, const char *statement, int64_t limit_us, struct table **answer)
{
	struct patience p = {.deadline = limit_us ? clock_us() + limit_us : 0,
			     .signals = interrupt_fd(),
			     .timeout_us = a->timeout_us};

	return ask_rows(a, statement, &p, answer);
}

enum ask_status
ask_end(struct ask *a, const char *statement, int64_t limit_us, struct table **answer)
{
	a->ending = true;
	return ask_wait(a, statement, limit_us, answer);
}

/* ---- quoting ---- */

/* The text in quotes; quotes inside are doubled, as in SQL. */
static char *
quoted(const char *text, char quote)
{
	char *out = mem_alloc(2 * strlen(text) + 3), *p = out;

	*p++ = quote;
	for (; *text; text++) {
		if (*text == quote)
			*p++ = quote;
		*p++ = *text;
	}
	*p++ = quote;
	*p = 0;
	return out;
}

char *
ask_name(const char *text)
{
	return quoted(text, '"');
}

char *
ask_value(const char *text)
{
	return quoted(text, '\'');
}
