#include "cli/commands.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/units.h"
#include "base/words.h"

/* ---- tables ---- */

static enum ask_status
print(struct table *t, const char *columns, const struct commands_how *how)
{
	const char *missing = NULL;
	size_t length = 0;

	if (how->columns)
		missing = table_show(t, how->columns, &length);
	else if (how->format == TABLE_ALIGNED && !how->all && columns)
		table_show(t, columns, &length);
	if (missing) {
		fprintf(stderr, "pgwith: there is no column \"%.*s\"\n", (int)length, missing);
		return ASK_USAGE;
	}
	table_print(t, how->format, how->header, stdout);
	return ASK_GOOD;
}

static enum ask_status
ask_once(const struct commands_how *how, const char *statement, struct table **t)
{
	struct ask *a;
	enum ask_status status = ask_open(&how->whom, &a);

	*t = NULL;
	if (status == ASK_GOOD)
		status = ask_for(a, statement, t);
	ask_close(a);
	return status;
}

static enum ask_status
show_table(const struct commands_how *how, const char *statement, const char *columns)
{
	struct table *t;
	enum ask_status status = ask_once(how, statement, &t);

	if (status == ASK_GOOD)
		status = print(t, columns, how);
	table_free(t);
	return status;
}

static enum ask_status
run_table(const struct commands_entry *entry, const struct commands_how *how, char **args)
{
	return show_table(how, entry->statement, entry->columns);
}

/* SHOW and whatever words follow. */
static enum ask_status
run_show(const struct commands_entry *entry, const struct commands_how *how, char **args)
{
	char *statement = mem_strdup("SHOW");
	enum ask_status status;

	for (; *args; args++) {
		char *more = mem_printf("%s %s", statement, *args);

		free(statement);
		statement = more;
	}
	status = show_table(how, statement, NULL);
	free(statement);
	return status;
}

/* ---- status ---- */

/* Columns of the summary; all but the last are numbers of SHOW POOLS. */
static const struct {
	const char *name, *from;
} summary[] = {
    {"size", "size"},           {"leased", "sv_active"},
    {"idle", "sv_idle"},        {"cleaning", "sv_cleaning"},
    {"connecting", "sv_login"}, {"waiting", "cl_waiting"},
};
#define SUMMARY (sizeof summary / sizeof *summary)

static int64_t
number(const struct table *t, unsigned row, const char *column)
{
	const char *text = table_cell(t, row, column);

	return text ? strtoll(text, NULL, 10) : 0;
}

static int64_t
longest_wait_us(const struct table *pools, unsigned row)
{
	return number(pools, row, "maxwait") * UNIT_S + number(pools, row, "maxwait_us");
}

/* What is wrong with a pool, or NULL. The caller frees. */
static char *
trouble_of(const struct table *pools, unsigned row, const struct commands_how *how)
{
	const char *error = table_cell(pools, row, "last_error");
	int64_t wait = longest_wait_us(pools, row);
	char text[32];

	if (error)
		return mem_strdup(error);
	if (wait > how->max_wait_us)
		return mem_printf("a session has waited for %s",
				  units_elapsed_str(wait, text, sizeof text));
	return NULL;
}

static void
summary_row(struct table *to, const struct table *pools, unsigned row, const char *trouble)
{
	const char *cells[SUMMARY + 3];
	char wait[32];

	cells[0] = table_cell(pools, row, "database");
	for (unsigned i = 0; i < SUMMARY; i++)
		cells[1 + i] = table_cell(pools, row, summary[i].from);
	snprintf(wait, sizeof wait, "%lld", (long long)(longest_wait_us(pools, row) / UNIT_MS));
	cells[SUMMARY + 1] = wait;
	cells[SUMMARY + 2] = trouble;
	table_row(to, cells);
}

/* Fills the summary in; returns the number of pools in trouble. */
static unsigned
summarize(struct table *to, const struct table *pools, const struct commands_how *how)
{
	unsigned troubles = 0;

	table_column(to, "pool", TABLE_TEXT);
	for (unsigned i = 0; i < SUMMARY; i++)
		table_column(to, summary[i].name, TABLE_NUMBER);
	table_column(to, "longest_wait_ms", TABLE_NUMBER);
	table_column(to, "trouble", TABLE_TEXT);
	for (unsigned row = 0; row < table_rows(pools); row++) {
		char *trouble = trouble_of(pools, row, how);

		troubles += trouble != NULL;
		summary_row(to, pools, row, trouble);
		free(trouble);
	}
	return troubles;
}

/* A value of SHOW STATE. */
static const char *
fact(const struct table *state, const char *key)
{
	for (unsigned row = 0; row < table_rows(state); row++) {
		const char *name = table_cell(state, row, "key");
		const char *value = table_cell(state, row, "value");

		if (name && value && strcmp(name, key) == 0)
			return value;
	}
	return "?";
}

static void
headline(const struct table *state)
{
	char up[32];

	units_elapsed_str(strtoll(fact(state, "uptime_s"), NULL, 10) * UNIT_S, up, sizeof up);
	printf("pgwithd %s (pid %s): %s, up %s, %s of %s sessions\n", fact(state, "version"),
	       fact(state, "pid"), fact(state, "phase"), up, fact(state, "sessions"),
	       fact(state, "max_clients"));
}

static enum ask_status
run_status(const struct commands_entry *entry, const struct commands_how *how, char **args)
{
	struct table *state = NULL, *pools = NULL, *out = table_new();
	struct ask *a;
	enum ask_status status = ask_open(&how->whom, &a);
	unsigned troubles;

	if (status == ASK_GOOD)
		status = ask_for(a, "SHOW STATE", &state);
	if (status == ASK_GOOD)
		status = ask_for(a, "SHOW POOLS", &pools);
	if (status != ASK_GOOD)
		goto out;
	troubles = summarize(out, pools, how);
	if (how->format == TABLE_ALIGNED && how->header)
		headline(state);
	status = print(out, NULL, how);
	if (status == ASK_GOOD && (troubles > 0 || strcmp(fact(state, "phase"), "running") != 0))
		status = ASK_TROUBLE;
out:
	ask_close(a);
	table_free(state);
	table_free(pools);
	table_free(out);
	return status;
}

/* ---- the table ---- */

static const struct commands_entry entries[] = {
    {"status", "", 0, NULL, NULL, run_status, "a summary, and an exit status for scripts",
     "Exit status 1 means trouble: the last attempt to connect a pool failed, a session waits\n"
     "for longer than --max-wait, or pgwithd is shutting down.\n"},
    {"pools", "", 0, "SHOW POOLS",
     "database,user,cl_idle,cl_active,cl_waiting,sv_active,sv_idle,sv_cleaning,sv_login,size,"
     "maxwait,last_error",
     run_table, "clients and server connections of each pool, by state", NULL},
    {"clients", "", 0, "SHOW CLIENTS",
     "id,user,database,state,remote_pid,program,application_name,connect_time,wait,queries,link,"
     "pinned",
     run_table, "every session", NULL},
    {"servers", "", 0, "SHOW SERVERS",
     "id,database,state,session,remote_pid,status,connect_time,leases,cleanup_why", run_table,
     "every server connection", NULL},
    {"scopes", "", 0, "SHOW SCOPES",
     "session,pid,role,level,name,kind,pool,state,current,elapsed_ms,wait_ms,deadline_ms",
     run_table, "every open scope of every session", NULL},
    {"locks", "", 0, "SHOW LOCKS", NULL, run_table,
     "who has which lock or semaphore, and who waits for it", NULL},
    {"databases", "", 0, "SHOW DATABASES",
     "name,host,port,database,force_user,pool_size,min_pool_size,current_connections,"
     "server_version",
     run_table, "the pools and where they lead", NULL},
    {"lists", "", 0, "SHOW LISTS", NULL, run_table, "counts of everything", NULL},
    {"stats", "", 0, "SHOW STATS",
     "database,total_xact_count,total_query_count,total_received,total_sent,avg_xact_count,"
     "avg_query_count,avg_xact_time,avg_query_time,avg_wait_time",
     run_table, "sums since the start, and averages of the last minute", NULL},
    {"scope-stats", "", 0, "SHOW SCOPE_STATS",
     "pool,scope,success,error,cancelled,expired,wait_p95_ms,hold_p50_ms,hold_p95_ms,hold_max_ms,"
     "cleanup_p95_ms",
     run_table, "how scopes ended and how long they took", NULL},
    {"config", "", 0, "SHOW CONFIG", "section,key,value,default,source", run_table,
     "every option and the line that set it", NULL},
    {"version", "", 0, "SHOW VERSION", NULL, run_table, "the version of pgwithd", NULL},
    {"show", "[WHAT]", 4, NULL, NULL, run_show, "any SHOW command of the console",
     "Without WHAT: the list of the console's commands.\n"},
};
#define ENTRIES (sizeof entries / sizeof *entries)

const struct commands_entry *
commands_find(const char *name)
{
	const char *names[ENTRIES + 1], *near;

	for (unsigned i = 0; i < ENTRIES; i++) {
		if (strcmp(entries[i].name, name) == 0)
			return &entries[i];
		names[i] = entries[i].name;
	}
	names[ENTRIES] = "help";
	near = words_nearest(name, names, ENTRIES + 1);
	if (near)
		fprintf(stderr, "pgwith: unknown command \"%s\"; did you mean \"%s\"?\n", name,
			near);
	else
		fprintf(stderr, "pgwith: unknown command \"%s\"; pgwith help lists them\n", name);
	return NULL;
}

void
commands_list(FILE *to)
{
	for (unsigned i = 0; i < ENTRIES; i++) {
		char usage[64];

		snprintf(usage, sizeof usage, "%s %s", entries[i].name, entries[i].arguments);
		fprintf(to, "  %-12s %s\n", usage, entries[i].help);
	}
	fprintf(to, "  %-12s %s\n", "help [NAME]", "this, or more about one command");
}

enum ask_status
commands_run(const struct commands_entry *entry, const struct commands_how *how, char **args)
{
	unsigned nargs = 0;

	while (args[nargs])
		nargs++;
	if (nargs > entry->max_args) {
		fprintf(stderr, "pgwith: usage: pgwith %s%s%s\n", entry->name,
			*entry->arguments ? " " : "", entry->arguments);
		return ASK_USAGE;
	}
	return entry->run(entry, how, args);
}
