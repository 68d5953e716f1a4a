#include "admin/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "admin/configure.h"
#include "admin/control.h"
#include "admin/scrape.h"
#include "admin/times.h"
#include "admin/trace.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/words.h"
#include "conf/option.h"
#include "conf/quote.h"

/* ---- commands ---- */

static int
run_begin(const struct command_call *call, struct err *e)
{
	*call->in_block = true;
	return 0;
}

static int
run_end(const struct command_call *call, struct err *e)
{
	*call->in_block = false;
	return 0;
}

/* Does nothing. Drivers send such commands and expect success. */
static int
run_nothing(const struct command_call *call, struct err *e)
{
	return 0;
}

static int
run_parameter(const struct command_call *call, struct err *e)
{
	rows_begin(call->rows);
	rows_text(call->rows, call->stmt->command->value);
	rows_end(call->rows);
	return 0;
}

static const struct column select_columns[] = {{"?column?", COLUMN_INT}};
static const struct show select_show = SHOW_TABLE(select_columns, NULL);

/* SELECT of a number, by which pools and frameworks test a connection. */
static int
run_select(const struct command_call *call, struct err *e)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(call->stmt->args[0], &end, 10);
	if (*end || errno || number < 0 || number > INT32_MAX) {
		err_make(e, ERR_CONSOLE_SYNTAX,
			 "the console has no tables: it can SELECT one whole number");
		return -E_SYNTAX;
	}
	rows_begin(call->rows);
	rows_number(call->rows, number);
	rows_end(call->rows);
	return 0;
}

static const struct column help_columns[] = {
    {"command", COLUMN_TEXT},
    {"level", COLUMN_TEXT},
    {"description", COLUMN_TEXT},
    {"others", COLUMN_TEXT},
};
static void fill_help(const struct daemon *, struct rows *);
static const struct show help_show = SHOW_TABLE(help_columns, fill_help);

/* clang-format off */
#define SHOW_AT(l, w, table, h) \
	{.words = "SHOW " w, .arguments = "", .level = (l), .tag = "SHOW", .show = &(table), \
	 .help = (h)}
#define SHOW(w, table, h) SHOW_AT(LEVEL_STATS, w, table, h)
/* At every level one sees one's own rows. The table is a SHOW_LIST: only list() is told whose. */
#define SHOW_OWN(w, table, h) \
	{.words = "SHOW " w, .arguments = "", .others = LEVEL_STATS, .tag = "SHOW", \
	 .show = &(table), .help = (h)}
/* Commands of administrators. WAITS: the answer comes when what they wait for has happened. */
#define WAITS(w, a, min, max, r, until, h) \
	{.words = (w), .arguments = (a), .min_args = (min), .max_args = (max), \
	 .level = LEVEL_ADMIN, .tag = (w), .run = (r), .wait = (until), .help = (h)}
#define CONTROL(w, a, min, max, r, h) WAITS(w, a, min, max, r, NULL, h)
#define KILL(w, a, min, max, l, r, h) \
	{.words = (w), .arguments = (a), .min_args = (min), .max_args = (max), .level = (l), \
	 .others = LEVEL_ADMIN, .tag = "KILL", .run = (r), .help = (h)}
/* Parameters that drivers and frameworks ask for. The values are those of PostgreSQL for a
 * connection at rest. */
#define PARAMETER(w, name, v) \
	{.words = "SHOW " w, .arguments = "", .tag = "SHOW", .run = run_parameter, \
	 .parameter = (name), .value = (v)}
/* Statements that drivers and frameworks send to a connection, which change nothing here. */
#define IGNORED(w, t, function) \
	{.words = (w), .arguments = "...", .max_args = COMMAND_ANY_ARGS, .tag = (t), \
	 .run = (function)}
/* clang-format on */

static const struct command commands[] = {
    SHOW("POOLS", show_pools, "clients and servers of each pool by state, the longest wait, sums"),
    SHOW_OWN("CLIENTS", show_clients, "every session: who, in which pool, in which state"),
    SHOW_OWN("SERVERS", show_servers, "every server connection: its state, and whom it works for"),
    SHOW_OWN("SCOPES", show_scopes, "every open scope and transaction of every session"),
    SHOW("LOCKS", show_locks, "who has which lock or semaphore, and who waits for it"),
    SHOW("HEALTH", show_health, "whether a client of each pool would be served now, and why not"),
    SHOW("HELD", show_held, "who holds a server, lock or semaphore now, the longest first"),
    SHOW_OWN("WAITS", show_waits, "who waits for what, and who holds it"),
    SHOW("DATABASES", show_databases, "the pools and where they lead"),
    SHOW("CLUSTERS", show_clusters,
	 "PostgreSQL servers that several pools reach, and their limit of server connections"),
    SHOW("LIMITS", show_limits, "roles and uids with limits: clients and servers of each"),
    SHOW("LISTS", show_lists, "counts of everything"),
    SHOW("STATS", show_stats, "sums since the start and averages of the last minute, by pool"),
    SHOW("STATS_TOTALS", show_stats_totals, "the sums alone"),
    SHOW("STATS_AVERAGES", show_stats_averages, "the averages alone"),
    SHOW("TOTALS", show_totals, "sums and averages of all pools together"),
    SHOW("SCOPE_STATS", show_scope_stats,
	 "how scopes ended and how long they took, by pool and name"),
    SHOW("CONFIG", show_config, "every option with its value, default and the line that set it"),
    SHOW("STATE", show_state, "the daemon itself: phase, uptime, limits"),
    SHOW("LOGINS", show_logins, "who has come with a wrong password, how often, and when last"),
    SHOW("ERRORS", show_errors, "how often clients were told which error of pgwithd, and when"),
    SHOW("MEM", show_mem, "what takes memory"),
    {.words = "SHOW TIMES",
     .arguments = "",
     .level = LEVEL_STATS,
     .tag = "SHOW",
     .show = &show_times,
     .run = times_show,
     .help = "how long waits, transactions, statements took, by pool"},
    {.words = "SHOW METRICS",
     .arguments = "",
     .level = LEVEL_STATS,
     .tag = "SHOW",
     .show = &show_metrics,
     .run = scrape_show,
     .go_on = scrape_show_go_on,
     .help = "all numbers as text, for Prometheus"},
    SHOW("SOCKETS", show_sockets, "both ends of all connections, and what their buffers hold"),
    SHOW_AT(LEVEL_ADMIN, "FDS", show_fds, "descriptors, and which belong together"),
    SHOW("USERS", show_users, "the roles that are in or listed, and what they may do here"),
    SHOW_AT(LEVEL_ANY, "VERSION", show_version, "the version of pgwithd"),
    {.words = "SHOW LEVEL",
     .arguments = "",
     .level = LEVEL_ANY,
     .tag = "SHOW",
     .show = &show_level,
     .run = level_show,
     .help = "your role, and what it may see and do here"},
    SHOW_AT(LEVEL_ANY, "HELP", help_show, "this list"),
    {.words = "SHOW", .arguments = "", .tag = "SHOW", .show = &help_show},

    WAITS("PAUSE", "[POOL]", 0, 1, control_pause, control_paused,
	  "lend no server connections; returns when all have been returned and closed"),
    CONTROL("RESUME", "[POOL]", 0, 1, control_resume, "end PAUSE"),
    CONTROL("DISABLE", "POOL", 1, 1, control_disable, "let nobody new in"),
    CONTROL("ENABLE", "POOL", 1, 1, control_enable, "end DISABLE or DRAIN"),
    WAITS("DRAIN", "POOL", 1, 1, control_drain, control_drained,
	  "DISABLE, and close each session when it is at rest; returns when none is left"),
    CONTROL("RECONNECT", "[POOL]", 0, 1, control_reconnect,
	    "replace all server connections, each when nobody uses it"),
    WAITS("WAIT_CLOSE", "[POOL]", 0, 1, control_check, control_closed,
	  "returns when RECONNECT has replaced them all"),
    KILL("KILL SESSION", "ID", 1, 1, LEVEL_ANY, control_kill_session, "end a session"),
    KILL("KILL SCOPE", "SESSION [NAME]", 1, 2, LEVEL_ANY, control_kill_scope,
	 "end a scope, or the innermost transaction, of a session, which goes on"),
    KILL("KILL SERVER", "ID", 1, 1, LEVEL_ADMIN, control_kill_server,
	 "cancel what runs on a server connection, and close it"),
    KILL("KILL POOL", "POOL", 1, 1, LEVEL_ADMIN, control_kill_pool, "end all sessions of a pool"),
    /* As PgBouncer says it. */
    KILL("KILL", "POOL", 1, 1, LEVEL_ADMIN, control_kill_pool, NULL),
    CONTROL("SHUTDOWN", "", 0, 0, control_shutdown,
	    "drain, whatever on_term says: transactions have shutdown_timeout, then it ends"),
    CONTROL("SHUTDOWN NOW", "", 0, 0, control_shutdown_now,
	    "end as by SIGINT: what runs is cancelled and rolled back"),
    WAITS("SHUTDOWN AFTER SCOPES", "", 0, 0, control_after_scopes, control_stopped,
	  "end when all transactions and scopes have ended"),
    WAITS("SHUTDOWN AFTER CLIENTS", "", 0, 0, control_after_clients, control_stopped,
	  "end when all clients have left"),
    /* As PgBouncer says it. */
    WAITS("SHUTDOWN WAIT_FOR_SERVERS", "", 0, 0, control_after_scopes, control_stopped, NULL),
    WAITS("SHUTDOWN WAIT_FOR_CLIENTS", "", 0, 0, control_after_clients, control_stopped, NULL),

    {.words = "TRACE",
     .arguments = "",
     .level = LEVEL_STATS,
     .tag = "TRACE",
     .show = &trace_show,
     .run = trace_run,
     .help = "record what happens, until this session ends; returns what is new"},

    PARAMETER("SERVER_VERSION", "server_version", "15.0 (pgwith " PACKAGE_VERSION ")"),
    PARAMETER("SERVER_VERSION_NUM", "server_version_num", "150000"),
    PARAMETER("SERVER_ENCODING", "server_encoding", "UTF8"),
    PARAMETER("CLIENT_ENCODING", "client_encoding", "UTF8"),
    PARAMETER("STANDARD_CONFORMING_STRINGS", "standard_conforming_strings", "on"),
    PARAMETER("DATESTYLE", "DateStyle", "ISO, MDY"),
    PARAMETER("TIMEZONE", "TimeZone", "UTC"),
    PARAMETER("SEARCH_PATH", "search_path", ""),
    PARAMETER("MAX_IDENTIFIER_LENGTH", "max_identifier_length", "63"),
    PARAMETER("TRANSACTION_ISOLATION", "transaction_isolation", "read committed"),
    PARAMETER("TRANSACTION ISOLATION LEVEL", "transaction_isolation", "read committed"),
    PARAMETER("DEFAULT_TRANSACTION_ISOLATION", "default_transaction_isolation", "read committed"),
    PARAMETER("TRANSACTION_READ_ONLY", "transaction_read_only", "off"),
    PARAMETER("DEFAULT_TRANSACTION_READ_ONLY", "default_transaction_read_only", "off"),
    PARAMETER("IN_HOT_STANDBY", "in_hot_standby", "off"),

    {.words = "SELECT",
     .arguments = "NUMBER",
     .min_args = 1,
     .max_args = 1,
     .tag = "SELECT 1",
     .show = &select_show,
     .run = run_select},
    {.words = "RELOAD",
     .arguments = "",
     .level = LEVEL_ADMIN,
     .tag = "RELOAD",
     .run = configure_reload,
     .help = "read the configuration again; wholly or, if anything in it is wrong, not at all"},
    {.words = "SET",
     .arguments =
	 "OPTION = VALUE [FOR POOL NAME | FOR SCOPE NAME | FOR CLUSTER NAME | FOR ROLE NAME | "
	 "FOR UID NUMBER]",
     .min_args = 1,
     .max_args = COMMAND_ANY_ARGS,
     .level = LEVEL_ADMIN,
     .as_written = true,
     .tag = "SET",
     .run = configure_set,
     .help = "change an option until the next RELOAD or restart"},
    /* Sent by drivers and frameworks without being asked. */
    {.words = "SET APPLICATION_NAME",
     .arguments = "...",
     .max_args = COMMAND_ANY_ARGS,
     .without_for = true,
     .tag = "SET",
     .run = run_nothing},
    IGNORED("SET BYTEA_OUTPUT", "SET", run_nothing),
    IGNORED("SET CLIENT_ENCODING", "SET", run_nothing),
    IGNORED("SET CLIENT_MIN_MESSAGES", "SET", run_nothing),
    IGNORED("SET CONSTRAINTS", "SET", run_nothing),
    IGNORED("SET DATESTYLE", "SET", run_nothing),
    IGNORED("SET DEFAULT_TRANSACTION_ISOLATION", "SET", run_nothing),
    IGNORED("SET DEFAULT_TRANSACTION_READ_ONLY", "SET", run_nothing),
    IGNORED("SET EXTRA_FLOAT_DIGITS", "SET", run_nothing),
    IGNORED("SET IDLE_IN_TRANSACTION_SESSION_TIMEOUT", "SET", run_nothing),
    IGNORED("SET INTERVALSTYLE", "SET", run_nothing),
    IGNORED("SET JIT", "SET", run_nothing),
    IGNORED("SET LOCAL", "SET", run_nothing),
    IGNORED("SET LOCK_TIMEOUT", "SET", run_nothing),
    IGNORED("SET NAMES", "SET", run_nothing),
    IGNORED("SET ROLE", "SET", run_nothing),
    IGNORED("SET SEARCH_PATH", "SET", run_nothing),
    IGNORED("SET SESSION", "SET", run_nothing),
    IGNORED("SET STANDARD_CONFORMING_STRINGS", "SET", run_nothing),
    IGNORED("SET STATEMENT_TIMEOUT", "SET", run_nothing),
    IGNORED("SET TIME ZONE", "SET", run_nothing),
    IGNORED("SET TIMEZONE", "SET", run_nothing),
    IGNORED("SET TRANSACTION", "SET", run_nothing),
    IGNORED("RESET", "RESET", run_nothing),
    IGNORED("DISCARD", "DISCARD ALL", run_nothing),
    IGNORED("DEALLOCATE", "DEALLOCATE", run_nothing),
    IGNORED("BEGIN", "BEGIN", run_begin),
    IGNORED("START TRANSACTION", "START TRANSACTION", run_begin),
    IGNORED("COMMIT", "COMMIT", run_end),
    IGNORED("END", "COMMIT", run_end),
    IGNORED("ROLLBACK", "ROLLBACK", run_end),
    IGNORED("ABORT", "ROLLBACK", run_end),
    IGNORED("SAVEPOINT", "SAVEPOINT", run_nothing),
    IGNORED("RELEASE", "RELEASE", run_nothing),
    IGNORED("ROLLBACK TO", "ROLLBACK", run_nothing),
};
#define COMMANDS (sizeof commands / sizeof *commands)

static void
fill_help(const struct daemon *d, struct rows *r)
{
	for (unsigned i = 0; i < COMMANDS; i++) {
		const struct command *c = &commands[i];
		char usage[128];

		if (c->help == NULL)
			continue;
		snprintf(usage, sizeof usage, "%s%s%s", c->words, *c->arguments ? " " : "",
			 c->arguments);
		rows_begin(r);
		rows_text(r, usage);
		rows_text(r, level_name(c->level));
		rows_text(r, c->help);
		rows_text(r, c->others > c->level ? level_name(c->others) : NULL);
		rows_end(r);
	}
}

const struct command *
command_at(unsigned i)
{
	return i < COMMANDS ? &commands[i] : NULL;
}

/* ---- levels ---- */

static int
denied(const struct command *c, struct err *e)
{
	err_make(e, ERR_CONSOLE_DENIED, c->words,
		 c->level == LEVEL_ADMIN ? "roles in admin_users"
					 : "roles in stats_users or admin_users");
	return -E_STATE;
}

/* ---- understanding ---- */

#define WORDS_MAX 4  /* words of a command, at most */
#define TYPED_MAX 60 /* bytes of an unknown command that are compared and quoted */

/* How many of the first tokens are the words of the command; 0 if they are not its words. */
static unsigned
words_match(const char *words, const struct sqltext_token *tokens, unsigned ntokens)
{
	unsigned n = 0;

	while (*words) {
		size_t length = strcspn(words, " ");

		if (n == ntokens || tokens[n].kind != SQLTEXT_NAME || tokens[n].length != length ||
		    strncasecmp(tokens[n].start, words, length) != 0)
			return 0;
		n++;
		words += length + (words[length] == ' ');
	}
	return n;
}

/* The command with the most words among those whose words stand first. `has_for`: a FOR stands
 * somewhere in the text. */
static const struct command *
find_command(const struct command *table, unsigned count, const struct sqltext_token *tokens,
	     unsigned ntokens, bool has_for, unsigned *taken)
{
	const struct command *best = NULL;

	*taken = 0;
	for (unsigned i = 0; i < count; i++) {
		unsigned n = words_match(table[i].words, tokens, ntokens);

		if (n > *taken && !(table[i].without_for && has_for)) {
			best = &table[i];
			*taken = n;
		}
	}
	return best;
}

/* Does another command begin with the words of this one? Then the token behind them may be a
 * mistyped word rather than an argument. */
static bool
is_front(const struct command *c, const struct command *table, unsigned count)
{
	size_t length = strlen(c->words);

	for (unsigned i = 0; i < count; i++)
		if (strncmp(table[i].words, c->words, length) == 0 && table[i].words[length] == ' ')
			return true;
	return false;
}

/* The listed command that may have been meant, or NULL. */
static const char *
nearest_command(const char *typed, const struct command *table, unsigned count)
{
	const char **words = mem_calloc(2 * count, sizeof *words), **last = words + count, *found;
	unsigned n = 0;

	for (unsigned i = 0; i < count; i++)
		if (table[i].help)
			words[n++] = table[i].words;
	found = words_nearest(typed, words, n);
	/* Somebody may have left out the first words: POOLS instead of SHOW POOLS. */
	if (found == NULL) {
		const char *word;

		for (unsigned i = 0; i < n; i++)
			last[i] = strrchr(words[i], ' ') ? strrchr(words[i], ' ') + 1 : words[i];
		word = words_nearest(typed, last, n);
		for (unsigned i = 0; i < n; i++)
			if (word == last[i])
				found = words[i];
	}
	free(words);
	return found;
}

static int
unknown_command(const char *text, size_t bytes, const struct command *table, unsigned count,
		struct err *e)
{
	char *typed = mem_strndup(text, bytes < TYPED_MAX + 1 ? bytes : TYPED_MAX + 1);
	char *quoted = quote_text(typed), *message;
	const char *meant = nearest_command(typed, table, count);

	message = mem_printf("unknown command %s", quoted);
	err_make(e, ERR_CONSOLE_SYNTAX, message);
	if (meant)
		err_hint(e, "did you mean \"%s\"? SHOW HELP lists the commands", meant);
	free(message);
	free(quoted);
	free(typed);
	return -E_SYNTAX;
}

static int
wrong_count(const struct command *c, struct err *e)
{
	char *message;

	if (c->max_args == 0)
		message = mem_printf("%s takes no arguments", c->words);
	else
		message = mem_printf("wrong number of arguments: %s %s", c->words, c->arguments);
	err_make(e, ERR_CONSOLE_SYNTAX, message);
	free(message);
	return -E_SYNTAX;
}

/* Stores an argument, without its quotes. */
static int
store_argument(struct command_stmt *stmt, unsigned i, const struct sqltext_token *t, struct err *e)
{
	const char *start = t->start;
	size_t length = t->length;

	if ((t->kind == SQLTEXT_QUOTED || t->kind == SQLTEXT_STRING) && length >= 2 &&
	    (*start == '"' || *start == '\'')) {
		start++;
		length -= 2;
	}
	if (length > COMMAND_ARG_MAX) {
		err_make(e, ERR_CONSOLE_SYNTAX, "an argument is longer than 63 bytes");
		return -E_SYNTAX;
	}
	memcpy(stmt->args[i], start, length);
	stmt->args[i][length] = 0;
	return 0;
}

/* Stores all arguments from `start` on, as they were written. */
static int
store_arguments(struct command_stmt *stmt, const char *start, const char *end, struct err *e)
{
	size_t length = (size_t)(end - start);

	if (length > COMMAND_TEXT_MAX) {
		err_make(e, ERR_CONSOLE_SYNTAX, "the arguments have more than 1023 bytes");
		return -E_SYNTAX;
	}
	memcpy(stmt->text, start, length);
	stmt->text[length] = 0;
	return 0;
}

/* Checks the level and the number of arguments, for every command. */
static int
check_use(const struct command *c, unsigned nargs, enum level level, struct err *e)
{
	if (level < c->level)
		return denied(c, e);
	if (nargs < c->min_args || nargs > c->max_args)
		return wrong_count(c, e);
	return 0;
}

static int
read_with(const struct command *table, unsigned count, const char *text, size_t bytes,
	  enum level level, struct command_stmt *stmt, struct err *e)
{
	struct sqltext_token tokens[WORDS_MAX + COMMAND_ARGS], beyond;
	unsigned kept = 0, ntokens = 0, taken;
	const struct command *c;
	bool has_for = false;
	struct sqltext lex;
	int r;

	*stmt = (struct command_stmt){0};
	sqltext_init(&lex, text, bytes, 0);
	for (;;) {
		bool room = kept < sizeof tokens / sizeof *tokens;
		struct sqltext_token *t = room ? &tokens[kept] : &beyond;
		enum sqltext_kind kind = sqltext_token(&lex, t);

		if (kind == SQLTEXT_END || kind == SQLTEXT_SPLIT)
			break;
		has_for |= sqltext_is_word(t, "for");
		kept += room;
		ntokens++;
	}
	if (ntokens == 0)
		return 0;
	c = find_command(table, count, tokens, kept, has_for, &taken);
	if (c == NULL || (ntokens - taken > c->max_args && is_front(c, table, count)))
		return unknown_command(text, bytes, table, count, e);
	r = check_use(c, ntokens - taken, level, e);
	if (r < 0)
		return r;
	stmt->command = c;
	stmt->nargs = ntokens - taken;
	if (c->parameter)
		stmt->parameter = (struct column){c->parameter, COLUMN_TEXT};
	if (c->as_written)
		return store_arguments(stmt, tokens[taken].start, text + bytes, e);
	if (c->max_args == COMMAND_ANY_ARGS)
		return 0;
	for (unsigned i = 0; i < stmt->nargs && i < COMMAND_ARGS; i++)
		if ((r = store_argument(stmt, i, &tokens[taken + i], e)) < 0)
			return r;
	return 0;
}

int
command_read(const char *text, size_t bytes, enum level level, struct command_stmt *stmt,
	     struct err *e)
{
	return read_with(commands, COMMANDS, text, bytes, level, stmt, e);
}

/* ---- running ---- */

unsigned
command_columns(const struct command_stmt *stmt, const struct column **columns)
{
	const struct command *c = stmt->command;

	if (c == NULL)
		return 0;
	if (c->parameter) {
		*columns = &stmt->parameter;
		return 1;
	}
	if (c->show == NULL)
		return 0;
	*columns = c->show->columns;
	return c->show->ncolumns;
}

/* Logs a command that changes something. */
static void
log_command(const struct command_call *call)
{
	const struct command_stmt *stmt = call->stmt;
	const struct session *s = call->session;
	char text[(COMMAND_ARGS + 1) * (COMMAND_ARG_MAX + 2) + COMMAND_TEXT_MAX];
	bool one = stmt->nargs > 0, two = stmt->nargs > 1;
	const char *value = strchr(stmt->text, '=');

	/* The value may be a password, which must not be in the log. */
	if (stmt->command->as_written && value && strcasestr(stmt->text, "password"))
		snprintf(text, sizeof text, "%s %.*s (not shown)", stmt->command->words,
			 (int)(value + 1 - stmt->text), stmt->text);
	else if (stmt->command->as_written)
		snprintf(text, sizeof text, "%s %s", stmt->command->words, stmt->text);
	else
		snprintf(text, sizeof text, "%s%s%s%s%s", stmt->command->words, one ? " " : "",
			 one ? stmt->args[0] : "", two ? " " : "", two ? stmt->args[1] : "");
	log_info("session", s->id, "command", LOG_QUOTED("text", text),
		 LOG_TEXT("role", s->peer.role), LOG_NUMBER("uid", s->peer.uid),
		 LOG_NUMBER("pid", s->peer.pid));
}

int
command_run(const struct command_call *call, struct err *e)
{
	const struct command *c = call->stmt->command;
	int r;

	/* The session's level may have changed since the statement was prepared. */
	if (call->level < c->level)
		return denied(c, e);
	if (c->run) {
		if (c->level == LEVEL_ADMIN || c->others == LEVEL_ADMIN)
			log_command(call);
		r = c->run(call, e);
		return r == 0 && c->wait ? c->wait(call, e) : r;
	}
	if (c->show->fill) {
		c->show->fill(call->daemon, call->rows);
		return 0;
	}
	c->show->list(call->daemon,
		      level_own(call->session, call->level, call->stmt->command->others),
		      call->ids);
	return command_go_on(call, e);
}

int
command_go_on(const struct command_call *call, struct err *e)
{
	const struct command *c = call->stmt->command;
	struct show_ids *ids = call->ids;

	if (c->go_on)
		return c->go_on(call, e);
	if (c->wait)
		return c->wait(call, e);
	for (unsigned n = 0; n < SHOW_PORTION && ids->at < ids->count; n++)
		c->show->each(call->daemon, ids->list[ids->at++], call->rows);
	if (ids->at < ids->count)
		return -E_AGAIN;
	show_ids_clear(ids);
	return 0;
}
