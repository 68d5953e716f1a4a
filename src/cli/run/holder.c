#include "cli/run/holder.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/utf8.h"
#include "cli/clock.h"
#include "cli/run/answer.h"
#include "cli/run/entry.h"
#include "cli/run/run.h"

/* pgwithd tells a client of a scope that has expired by the answer to its next statement: so it is
 * asked that often. */
#define ASK_EACH_US UNIT_S

#define LOST   "the connection to pgwithd is lost"
#define SILENT "a signal has come, and pgwithd does not answer"

struct holder {
	PGconn *conn;
	unsigned held;      /* how many scopes are open; 0: nothing can be lost */
	int64_t ask_us;     /* when to ask */
	bool asked;         /* the answer has not come */
	int64_t timeout_us; /* of a login, and of answers that nothing else delays */
	char *tokens;       /* of the transactions, with commas; "" if there are none */
	char *why;          /* why something is not held; or NULL */
	char *last_words;   /* the last error that came without a question; or NULL */
	/* By the last answer: the pools whose transactions no session has joined, with commas, or
	 * NULL; how many sessions of the program have worked outside; the program of the first. */
	char *unjoined, *outsider;
	uint64_t outside;
};

/* ---- entering ---- */

/* One clause with a duration; "" if that is negative. A number is in milliseconds. */
static const char *
clause(char *out, size_t size, const char *word, int64_t us)
{
	snprintf(out, size, us < 0 ? "" : " %s %lld", word, (long long)((us + 999) / UNIT_MS));
	return out;
}

/* The statement that enters the item; its name is the parameter $1. The caller frees. */
static char *
item_statement(const struct request_item *item, const char *on, const char *wait,
	       const char *deadline)
{
	char *pool = on ? ask_name(on) : NULL, *text;
	char limit[32] = "";

	if (item->kind == REQUEST_SEMAPHORE)
		snprintf(limit, sizeof limit, " LIMIT %u", item->limit);
	text = mem_printf("ENTER %s $1%s%s%s%s%s%s",
			  item->kind == REQUEST_SEMAPHORE ? "SEMAPHORE" : "LOCK",
			  item->kind == REQUEST_SHARED_LOCK ? " SHARED" : "", limit,
			  pool ? " ON " : "", pool ? pool : "", wait, deadline);
	free(pool);
	return text;
}

/* The statement that begins a transaction on the pool; `number`: of those that the program works
 * in, which begin with 1; 0: the one that holds PostgreSQL's locks. The caller frees. */
static char *
transaction_statement(const struct request *r, const char *pool, unsigned number, const char *wait,
		      const char *deadline)
{
	char *name = ask_name(pool), *text;
	const char *isolation = number ? r->isolation : NULL;
	char as[32] = "pgwith run";

	if (number == 0)
		snprintf(as, sizeof as, "pgwith run: locks");
	else if (number > 1)
		snprintf(as, sizeof as, "pgwith run %u", number);
	/* NEW: if it is the pool of --on as well, it is no savepoint in that transaction. */
	text = mem_printf("ENTER \"%s\" ON %s%s%s%s%s%s%s", as, name, number ? " NEW JOINABLE" : "",
			  number && r->how->reads_only ? " READ ONLY" : "",
			  isolation ? " ISOLATION LEVEL " : "", isolation ? isolation : "", wait,
			  deadline);
	free(name);
	return text;
}

/* Is the text that of such an error? The format of its message, with any text in the place of each
 * argument. */
static bool
is_of_kind(enum err_id id, const char *sqlstate, const char *text)
{
	const struct err_kind *kind = err_kind(id);
	char pattern[256];
	size_t n = 0;

	for (const char *p = kind->message; *p && n < sizeof pattern - 1; p++)
		if (*p == '%' && p[1]) {
			pattern[n++] = '*';
			p++;
		} else {
			pattern[n++] = *p;
		}
	pattern[n] = '\0';
	return strcmp(sqlstate, kind->sqlstate) == 0 && fnmatch(pattern, text, 0) == 0;
}

/* Does the error of ENTER say that the wait is over? An SQLSTATE alone does not tell that from a
 * cancel, or from a PostgreSQL that has no connection left. */
static bool
is_over(const PGresult *error)
{
	static const enum err_id over[] = {ERR_SCOPE_LOCK_WAIT, ERR_SCOPE_LOCK_HELD,
					   ERR_WAIT_TIMEOUT,    ERR_NOT_FREE,
					   ERR_QUEUE_FULL,      ERR_SCOPE_DEADLINE};
	const char *sqlstate = PQresultErrorField(error, PG_DIAG_SQLSTATE);
	const char *text = PQresultErrorField(error, PG_DIAG_MESSAGE_PRIMARY);

	for (unsigned i = 0; sqlstate && text && i < sizeof over / sizeof *over; i++)
		if (is_of_kind(over[i], sqlstate, text))
			return true;
	return false;
}

/* Runs a statement of ENTER with the parameter $1, or none. `limit_us`: how long the answer may
 * take; 0: no limit. False: *status is the exit status. */
static bool
enter(struct holder *h, const struct request *r, const char *statement, const char *parameter,
      int64_t limit_us, int *status)
{
	PGresult *answer = NULL;
	bool good = false;

	if (PQsendQueryParams(h->conn, statement, parameter ? 1 : 0, NULL, &parameter, NULL, NULL,
			      0))
		answer = answer_take(h->conn, limit_us ? clock_us() + limit_us : 0, NULL);
	*status = RUN_FAILED;
	if (answer == NULL) {
		fprintf(stderr, "pgwith: pgwithd does not answer in %s/.s.PGSQL.%s\n",
			r->how->whom.directory, r->how->whom.port);
	} else if (PQresultStatus(answer) != PGRES_COMMAND_OK) {
		bool over = is_over(answer);

		if (!over || !r->how->quiet)
			ask_say_error(answer);
		*status = over ? r->how->wait_status : RUN_FAILED;
	} else {
		good = true;
	}
	PQclear(answer);
	return good;
}

/* What is left of a limit, and not less than `least`; -1: there is none. */
static int64_t
left_of(int64_t limit_us, int64_t spent_us, int64_t least)
{
	return limit_us < 0 ? -1 : limit_us > spent_us + least ? limit_us - spent_us : least;
}

/* What is being entered, and how long it may take. */
struct entering {
	struct holder *h;
	const struct request *r;
	int64_t began_us;    /* when pgwith run began */
	int64_t deadline_us; /* the limit of everything; -1: there is none, or it is told already */
	int *status;
};

/* Enters a transaction (item NULL) or an item. The deadline is that of what is entered first, and
 * is around everything else. */
static bool
enter_one(struct entering *e, const struct request_item *item, const char *pool, unsigned number)
{
	int64_t spent_us = clock_us() - e->began_us, wait_us;
	char wait[48], deadline[48], *statement;
	bool good;

	/* A transaction may need a new server connection, also if nobody has a lock: so --wait
	 * alone does not limit the wait for that. */
	wait_us = left_of(e->r->how->wait_us, spent_us, item ? 0 : e->h->timeout_us);
	clause(wait, sizeof wait, "WAIT", wait_us);
	clause(deadline, sizeof deadline, "DEADLINE", left_of(e->deadline_us, spent_us, UNIT_MS));
	statement = item ? item_statement(item, pool, wait, deadline)
			 : transaction_statement(e->r, pool, number, wait, deadline);
	good = enter(e->h, e->r, statement, item ? item->name : NULL,
		     wait_us < 0 ? 0 : wait_us + e->h->timeout_us, e->status);
	free(statement);
	e->deadline_us = -1;
	e->h->held += good;
	return good;
}

/* Enters everything: locks and semaphores first, since a transaction should not be open while those
 * are waited for. False: *status is the exit status. */
static bool
enter_all(struct holder *h, const struct request *r, int64_t began_us, int *status)
{
	struct entering e = {.h = h,
			     .r = r,
			     .began_us = began_us,
			     .deadline_us = r->how->deadline_us ? r->how->deadline_us : -1,
			     .status = status};

	/* PostgreSQL's locks are held by one transaction. */
	if (r->how->on && !enter_one(&e, NULL, r->how->on, 0))
		return false;
	for (unsigned i = 0; i < r->nitems; i++)
		if (!enter_one(&e, &r->items[i], r->how->on, 0))
			return false;
	for (unsigned i = 0; i < r->ntransactions; i++)
		if (!enter_one(&e, NULL, r->pools[i], i + 1))
			return false;
	return true;
}

/* Asks for the tokens of the transactions, which sessions of the program join. */
static bool
learn_tokens(struct holder *h, const struct request *r)
{
	PGresult *answer = NULL;
	unsigned found = 0;

	if (PQsendQueryParams(h->conn, "SHOW SCOPES", 0, NULL, NULL, NULL, NULL, 0))
		answer = answer_take(h->conn, clock_us() + h->timeout_us, NULL);
	for (int row = 0; answer && row < PQntuples(answer); row++) {
		int at = PQfnumber(answer, "token");
		char *all;

		if (at < 0 || PQgetisnull(answer, row, at))
			continue;
		all = mem_printf("%s%s%s", h->tokens, found++ ? "," : "",
				 PQgetvalue(answer, row, at));
		free(h->tokens);
		h->tokens = all;
	}
	PQclear(answer);
	if (found == r->ntransactions)
		return true;
	fprintf(stderr, "pgwith: pgwithd does not tell the token of a scope\n");
	return false;
}

/* Prints notices and warnings; keeps errors, as holder_why() tells them. */
static void
on_notice(void *arg, const PGresult *r)
{
	const char *severity = PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
	struct holder *h = arg;

	if (severity && text && (*severity == 'F' || *severity == 'E')) {
		free(h->last_words);
		h->last_words = mem_strdup(text);
	} else {
		ask_say(PQresultErrorMessage(r));
	}
}

/* The name by which the session is seen; PostgreSQL keeps 63 bytes. The caller frees. */
static char *
application_of(const char *program)
{
	const char *slash = strrchr(program, '/');
	const char *name = slash && slash[1] ? slash + 1 : program;

	return mem_printf("pgwith run %.*s", (int)utf8_fit(name, strlen(name), 50), name);
}

struct holder *
holder_open(const struct request *r, const char *user, const char *pool, int *status)
{
	int64_t began_us = clock_us();
	struct ask_whom whom = r->how->whom;
	struct holder *h;
	char *application;
	bool good;

	if (whom.user == NULL)
		whom.user = user;
	application = application_of(*r->how->program);
	whom.application = application;
	h = mem_calloc(1, sizeof *h);
	h->timeout_us = whom.timeout_us;
	h->tokens = mem_strdup("");
	h->conn = entry_find(r, &whom, pool);
	free(application);
	*status = RUN_FAILED;
	good = h->conn != NULL;
	if (good)
		PQsetNoticeReceiver(h->conn, on_notice, h);
	if (!good || !enter_all(h, r, began_us, status) || !learn_tokens(h, r)) {
		holder_close(h);
		return NULL;
	}
	h->ask_us = clock_us();
	return h;
}

/* ---- holding ---- */

struct environment_place
holder_place(const struct holder *h)
{
	return (struct environment_place){.host = PQhost(h->conn),
					  .port = PQport(h->conn),
					  .database = PQdb(h->conn),
					  .user = PQuser(h->conn),
					  .tokens = h->tokens};
}

int
holder_fd(const struct holder *h)
{
	return h->held ? PQsocket(h->conn) : -1;
}

int64_t
holder_ask_us(const struct holder *h)
{
	return h->asked || h->held == 0 ? 0 : h->ask_us;
}

const char *
holder_why(const struct holder *h)
{
	return h->why;
}

static void
lose(struct holder *h, const char *why)
{
	if (h->why == NULL)
		h->why = mem_strdup(why);
}

void
holder_ask(struct holder *h)
{
	if (h->asked || h->why)
		return;
	/* A pgwithd that takes its time to answer holds everything meanwhile: there is no limit. */
	h->asked = true;
	if (!PQsendQueryParams(h->conn, "SHOW SCOPES", 0, NULL, NULL, NULL, NULL, 0))
		lose(h, LOST);
}

/* Adds the pool to those that no session of the program has joined. */
static void
add_unjoined(struct holder *h, const char *pool)
{
	char *all =
	    h->unjoined ? mem_printf("%s, \"%s\"", h->unjoined, pool) : mem_printf("\"%s\"", pool);

	free(h->unjoined);
	h->unjoined = all;
}

/* The rows of SHOW SCOPES: who has joined the transactions, and who works outside? A pgwithd that
 * is older does not tell. Of a transaction that is expired it is not told any more. */
static void
note_joins(struct holder *h, const PGresult *r)
{
	int pool = PQfnumber(r, "pool"), joins = PQfnumber(r, "joins");
	int outside = PQfnumber(r, "outside"), outsider = PQfnumber(r, "outsider");

	free(h->unjoined);
	h->unjoined = NULL;
	for (int row = 0; joins >= 0 && outsider >= 0 && row < PQntuples(r); row++) {
		uint64_t n;

		if (PQgetisnull(r, row, joins))
			continue;
		if (strcmp(PQgetvalue(r, row, joins), "0") == 0)
			add_unjoined(h, PQgetvalue(r, row, pool));
		/* Each transaction has counted all of them. */
		n = strtoull(PQgetvalue(r, row, outside), NULL, 10);
		if (n > h->outside)
			h->outside = n;
		if (n > 0 && h->outsider == NULL)
			h->outsider = mem_strdup(PQgetvalue(r, row, outsider));
	}
}

/* The rows of SHOW SCOPES: is one of them expired? When will one be? */
static void
judge(struct holder *h, const PGresult *r)
{
	int state = PQfnumber(r, "state"), left = PQfnumber(r, "deadline_ms");
	int name = PQfnumber(r, "name");
	int64_t now = clock_us();

	h->ask_us = now + ASK_EACH_US;
	note_joins(h, r);
	for (int row = 0; row < PQntuples(r); row++) {
		int64_t due_us;

		if (state >= 0 && strcmp(PQgetvalue(r, row, state), "expired") == 0) {
			char *why = mem_printf("\"%s\" has expired: its deadline has passed, or it "
					       "was killed",
					       PQgetvalue(r, row, name));

			lose(h, why);
			free(why);
		}
		if (left < 0 || PQgetisnull(r, row, left))
			continue;
		due_us = now + (int64_t)(strtod(PQgetvalue(r, row, left), NULL) * UNIT_MS);
		if (due_us < h->ask_us)
			h->ask_us = due_us > now + 10 * UNIT_MS ? due_us : now + 10 * UNIT_MS;
	}
}

bool
holder_read(struct holder *h)
{
	PGresult *r;

	/* The rest of what has come is parsed even if the connection has ended: those are the last
	 * words of pgwithd. */
	PQconsumeInput(h->conn);
	while (h->asked && !PQisBusy(h->conn)) {
		r = PQgetResult(h->conn);
		h->asked = r != NULL;
		if (r && PQresultStatus(r) == PGRES_TUPLES_OK)
			judge(h, r);
		else if (r && PQresultStatus(r) == PGRES_FATAL_ERROR)
			lose(h, PQresultErrorField(r, PG_DIAG_SQLSTATE)
				    ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY)
				    : LOST);
		PQclear(r);
	}
	/* What comes without a question is parsed by this. */
	if (!h->asked)
		PQisBusy(h->conn);
	if (PQstatus(h->conn) != CONNECTION_OK)
		lose(h, h->last_words ? h->last_words : LOST);
	return h->why == NULL;
}

/* ---- the end ---- */

/* Drops the answer to a question that is under way: it may have been read in part. False: it has
 * not come to its end. */
static bool
forget_question(struct holder *h, int64_t deadline, struct answer_cut *cut)
{
	if (h->asked)
		PQclear(answer_take(h->conn, deadline, cut));
	h->asked = false;
	return PQtransactionStatus(h->conn) != PQTRANS_ACTIVE;
}

/* Has a signal ended the wait for an answer? */
static bool
is_cut_short(const struct holder *h, const struct answer_cut *cut)
{
	return cut->until_us && PQstatus(h->conn) == CONNECTION_OK;
}

/* Asks whether everything is held still, and waits for the answer. */
static bool
is_held(struct holder *h, struct answer_cut *cut)
{
	PGresult *r = NULL;

	if (forget_question(h, 0, cut))
		holder_ask(h);
	if (h->asked)
		r = answer_take(h->conn, 0, cut);
	h->asked = false;
	if (r && PQresultStatus(r) == PGRES_TUPLES_OK)
		judge(h, r);
	else if (r == NULL && is_cut_short(h, cut))
		lose(h, *h->tokens ? SILENT ": nothing is committed" : SILENT);
	else
		lose(h, h->last_words ? h->last_words : LOST);
	PQclear(r);
	return h->why == NULL;
}

/* Rolls back, as a signal has come before the commit. Returns the exit status. */
static int
roll_back(struct holder *h)
{
	ask_say("a signal has come before the commit: the transaction is rolled back");
	holder_leave(h);
	return RUN_REFUSED;
}

/* The answer to LEAVE ALL, or NULL. Returns the exit status. */
static int
left(struct holder *h, const PGresult *r, const struct answer_cut *cut)
{
	const char *why = r == NULL && is_cut_short(h, cut) ? SILENT : LOST;
	char *text;

	if (r && PQresultStatus(r) == PGRES_COMMAND_OK)
		return 0;
	/* An error of libpq's own has no SQLSTATE. */
	if (r && PQresultErrorField(r, PG_DIAG_SQLSTATE)) {
		ask_say_error(r);
		return *h->tokens ? RUN_REFUSED : RUN_LOST;
	}
	text = mem_printf("%s%s", why,
			  *h->tokens ? ": whether the transaction was committed is not known" : "");
	ask_say(text);
	free(text);
	return RUN_LOST;
}

int
holder_leave_well(struct holder *h, struct answer_cut *cut)
{
	PGresult *r = NULL;
	int status;

	if (h->held == 0)
		return 0;
	/* A signal that comes during the question is one that comes before the commit. */
	cut->keeps = true;
	if (!is_held(h, cut)) {
		ask_say(h->why);
		return RUN_LOST;
	}
	if (answer_is_cut(cut) && *h->tokens)
		return roll_back(h);
	cut->keeps = false;
	/* A commit takes as long as it takes. */
	if (PQsendQueryParams(h->conn, "LEAVE ALL", 0, NULL, NULL, NULL, NULL, 0))
		r = answer_take(h->conn, 0, cut);
	status = left(h, r, cut);
	PQclear(r);
	return status;
}

/* Asks once more who has joined the transactions. False: no answer has come in time. */
static bool
ask_last(struct holder *h, int64_t deadline)
{
	PGresult *r;

	holder_ask(h);
	if (!h->asked)
		return true;
	r = answer_take(h->conn, deadline, NULL);
	h->asked = false;
	if (r && PQresultStatus(r) == PGRES_TUPLES_OK)
		note_joins(h, r);
	PQclear(r);
	return r != NULL;
}

void
holder_leave(struct holder *h)
{
	int64_t limit_us = clock_us() + h->timeout_us;
	bool there = forget_question(h, limit_us, NULL);

	if (there && *h->tokens)
		there = ask_last(h, limit_us);
	if (there && h->held &&
	    PQsendQueryParams(h->conn, "LEAVE ALL ROLLBACK", 0, NULL, NULL, NULL, NULL, 0))
		PQclear(answer_take(h->conn, limit_us, NULL));
}

bool
holder_say_outside(const struct holder *h, const struct request *r)
{
	char *text = NULL;

	if (h->outside > 0 && !r->how->allows_outside)
		text = mem_printf("run: %llu connection%s of the program worked outside of the "
				  "transaction, and what was committed there stays; the first: %s",
				  (unsigned long long)h->outside, h->outside > 1 ? "s" : "",
				  h->outsider);
	else if (h->outside == 0 && h->unjoined && h->why == NULL && !r->how->quiet)
		text = mem_printf("run: no connection has joined the transaction of pool %s: what "
				  "the program wrote in a database, if anything, is not a part "
				  "of it",
				  h->unjoined);
	if (text)
		ask_say(text);
	free(text);
	return h->outside > 0 && !r->how->allows_outside;
}

void
holder_close(struct holder *h)
{
	if (h == NULL)
		return;
	free(h->unjoined);
	free(h->outsider);
	PQfinish(h->conn);
	free(h->tokens);
	free(h->why);
	free(h->last_words);
	free(h);
}
