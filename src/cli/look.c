#include "cli/look.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/units.h"

/* ---- tables ---- */

static void
print_table(const struct table *t, const struct commands_how *how)
{
	struct table_look look = how->look;
	struct table *marked = NULL;

	/* With --all or -o nothing is left out to fit the terminal. */
	if (how->all || how->columns)
		look.width = 0;
	if (how->stamp && look.format != TABLE_ALIGNED)
		marked = table_marked(t, "time", how->stamp);
	table_print(marked ? marked : t, &look, stdout);
	table_free(marked);
}

#define LINE_MAX_COLUMNS 80

/* Says that there is no such column, and which there are. */
static void
say_no_column(const struct table *t, const char *name, size_t length)
{
	size_t at = LINE_MAX_COLUMNS;

	fprintf(stderr, "pgwith: there is no column \"%.*s\", but these:", (int)length, name);
	for (unsigned i = 0; i < table_columns(t); i++) {
		const char *comma = i + 1 < table_columns(t) ? "," : "";
		size_t n = strlen(table_name(t, i)) + strlen(comma);

		if (at + 1 + n > LINE_MAX_COLUMNS) {
			fprintf(stderr, "\n ");
			at = 1;
		}
		at += 1 + n;
		fprintf(stderr, " %s%s", table_name(t, i), comma);
	}
	fprintf(stderr, "\n");
}

enum ask_status
look_print(struct table *t, const char *columns, const struct commands_how *how)
{
	const char *missing = NULL;
	size_t length = 0;

	if (how->columns)
		missing = table_show(t, how->columns, &length);
	else if (how->look.format == TABLE_ALIGNED && !how->all && columns)
		table_show(t, columns, &length);
	if (missing) {
		say_no_column(t, missing, length);
		return ASK_USAGE;
	}
	if (table_has(t, "last_error"))
		table_keep(t, "last_error");
	print_table(t, how);
	return ASK_GOOD;
}

enum ask_status
look_limit(struct ask *ask, char **role)
{
	struct table *t;
	enum ask_status status = ask_for(ask, "SHOW LEVEL", &t);
	const char *level = status == ASK_GOOD ? table_cell(t, 0, "level") : NULL;

	*role = NULL;
	if (level && strcmp(level, "everyone") == 0)
		*role = mem_strdup(table_cell(t, 0, "role"));
	table_free(t);
	return status;
}

void
look_say_limit(const char *role, const struct commands_how *how)
{
	bool people = how->look.format == TABLE_ALIGNED && how->look.header && !how->dot;

	/* --watch draws on the terminal, and would say it again and again. */
	if (role == NULL || (!people && how->watch_us))
		return;
	fprintf(
	    people ? stdout : stderr,
	    "%sonly your own sessions in the role \"%s\": stats_users and admin_users see all%s\n",
	    people ? "(" : "pgwith: ", role, people ? ")" : "");
}

static enum ask_status
show(struct ask *ask, const char *statement, const char *columns, const struct commands_how *how)
{
	struct table *t;
	enum ask_status status = ask_for(ask, statement, &t);

	if (status == ASK_GOOD)
		status = look_print(t, columns, how);
	table_free(t);
	return status;
}

enum ask_status
look_table(const struct commands_entry *entry, const struct commands_how *how, struct ask *ask,
	   char **args)
{
	char *role = NULL;
	enum ask_status status = entry->own ? look_limit(ask, &role) : ASK_GOOD;

	if (status == ASK_GOOD)
		status = show(ask, entry->statement, entry->columns, how);
	if (status == ASK_GOOD)
		look_say_limit(role, how);
	free(role);
	return status;
}

/* The rows of errors that have occurred. */
static struct table *
occurred_errors(const struct table *all)
{
	struct table *t = table_empty(all);

	for (unsigned i = 0; i < table_rows(all); i++)
		if (strtoll(table_cell(all, i, "count"), NULL, 10) > 0)
			table_copy_row(t, all, i);
	return t;
}

enum ask_status
look_errors(const struct commands_entry *entry, const struct commands_how *how, struct ask *ask,
	    char **args)
{
	struct table *all, *t = NULL;
	enum ask_status status = ask_for(ask, entry->statement, &all);

	if (status == ASK_GOOD && how->look.format == TABLE_ALIGNED && !how->all)
		t = occurred_errors(all);
	if (status == ASK_GOOD)
		status = look_print(t ? t : all, NULL, how);
	if (status == ASK_GOOD && t && table_rows(t) == 0)
		printf("no client was told an error\n");
	table_free(t);
	table_free(all);
	return status;
}

enum ask_status
look_show(const struct commands_entry *entry, const struct commands_how *how, struct ask *ask,
	  char **args)
{
	char *statement = mem_strdup("SHOW");
	enum ask_status status;

	for (; *args; args++) {
		char *more = mem_printf("%s %s", statement, *args);

		free(statement);
		statement = more;
	}
	status = show(ask, statement, NULL, how);
	free(statement);
	return status;
}

/* ---- status ---- */

#define ROLES_SAID 3 /* roles of a pool whose errors are told */

/* Columns of the summary that are numbers of SHOW POOLS, or the sum of two. */
static const struct {
	const char *name, *from, *and;
} summary[] = {
    {"size", "size", NULL},
    {"leased", "sv_active", NULL},
    {"idle", "sv_idle", NULL},
    {"cleaning", "sv_cleaning", NULL},
    {"connecting", "sv_login", NULL},
    {"waiting", "cl_waiting", "cl_waiting_lock"},
    {"for_locks", "cl_waiting_lock", NULL},
};
#define SUMMARY (sizeof summary / sizeof *summary)

static int64_t
number_of(const struct table *t, unsigned row, const char *column)
{
	const char *text = table_cell(t, row, column);

	return text ? strtoll(text, NULL, 10) : 0;
}

/* The longest wait for a server. */
static int64_t
longest_wait_us(const struct table *pools, unsigned row)
{
	return number_of(pools, row, "maxwait") * UNIT_S + number_of(pools, row, "maxwait_us");
}

/* The longest wait for a lock or semaphore. */
static int64_t
longest_lock_us(const struct table *pools, unsigned row)
{
	return number_of(pools, row, "lock_wait_ms") * UNIT_MS;
}

/* Adds a phrase to *all, which is NULL or holds some already. */
static void __attribute__((format(printf, 2, 3))) add_trouble(char **all, const char *fmt, ...)
{
	char *more, *both;
	va_list ap;

	va_start(ap, fmt);
	more = mem_vprintf(fmt, ap);
	va_end(ap);
	both = mem_printf("%s%s%s", *all ? *all : "", *all ? "; " : "", more);
	free(more);
	free(*all);
	*all = both;
}

/* The row behind those of the pool whose rows begin at `first`. A pool with role = client has a row
 * for itself, without a user, and one for each role behind it. */
static unsigned
end_of_pool(const struct table *pools, unsigned first)
{
	const char *name = table_cell(pools, first, "database");
	const char *user = table_cell(pools, first, "user");
	unsigned end = first + 1;

	if (name == NULL || user == NULL || *user)
		return end;
	for (; end < table_rows(pools); end++) {
		const char *other = table_cell(pools, end, "database");

		user = table_cell(pools, end, "user");
		if (other == NULL || strcmp(other, name) != 0 || user == NULL || *user == 0)
			break;
	}
	return end;
}

/* Adds the last errors of the roles of a pool. Their rows are those from `row` to before `end`. */
static void
add_errors_of_roles(char **all, const struct table *pools, unsigned row, unsigned end)
{
	unsigned n = 0;

	for (; row < end; row++) {
		const char *error = table_cell(pools, row, "last_error");

		if (error && n++ < ROLES_SAID)
			add_trouble(all, "role \"%s\": %s", table_cell(pools, row, "user"), error);
	}
	if (n > ROLES_SAID)
		add_trouble(all, "%u more roles have an error", n - ROLES_SAID);
}

/* What is wrong with a pool, or NULL. The caller frees. Its rows are those from `row` to before
 * `end`; `wait_us`, `lock_us`: the longest wait for a server, and for a lock or semaphore. */
static char *
trouble_of(const struct table *pools, unsigned row, unsigned end, int64_t wait_us, int64_t lock_us,
	   const struct commands_how *how)
{
	const char *error = table_cell(pools, row, "last_error");
	char text[32], *all = NULL;

	if (number_of(pools, row, "draining"))
		add_trouble(&all, "drained by an administrator: clients are turned away");
	else if (number_of(pools, row, "disabled"))
		add_trouble(&all, "disabled by an administrator: clients are turned away");
	if (number_of(pools, row, "paused"))
		add_trouble(&all, "paused by an administrator: clients wait");
	if (error)
		add_trouble(&all, "%s", error);
	add_errors_of_roles(&all, pools, row + 1, end);
	if (wait_us > how->max_wait_us)
		add_trouble(&all, "a session has waited for %s",
			    units_elapsed_str(wait_us, text, sizeof text));
	if (lock_us > how->max_wait_us)
		add_trouble(&all, "a session has waited for %s for a lock",
			    units_elapsed_str(lock_us, text, sizeof text));
	return all;
}

/* Adds the row of the pool whose rows are those from `first` to before `end`: sums, but its size.
 * Returns true if it is in trouble. */
static bool
summary_row(struct table *to, const struct table *pools, unsigned first, unsigned end,
	    const struct commands_how *how)
{
	const char *cells[SUMMARY + 3];
	char numbers[SUMMARY + 1][32], *trouble;
	int64_t wait_us = 0, lock_us = 0;
	bool bad;

	for (unsigned i = 0; i < SUMMARY; i++) {
		unsigned to_row = strcmp(summary[i].from, "size") == 0 ? first + 1 : end;
		int64_t sum = 0;

		for (unsigned row = first; row < to_row; row++) {
			sum += number_of(pools, row, summary[i].from);
			if (summary[i].and)
				sum += number_of(pools, row, summary[i].and);
		}
		snprintf(numbers[i], sizeof numbers[i], "%lld", (long long)sum);
		cells[1 + i] = numbers[i];
	}
	for (unsigned row = first; row < end; row++) {
		if (longest_wait_us(pools, row) > wait_us)
			wait_us = longest_wait_us(pools, row);
		if (longest_lock_us(pools, row) > lock_us)
			lock_us = longest_lock_us(pools, row);
	}
	snprintf(numbers[SUMMARY], sizeof numbers[SUMMARY], "%lld",
		 (long long)((wait_us > lock_us ? wait_us : lock_us) / UNIT_MS));
	trouble = trouble_of(pools, first, end, wait_us, lock_us, how);
	cells[0] = table_cell(pools, first, "database");
	cells[SUMMARY + 1] = numbers[SUMMARY];
	cells[SUMMARY + 2] = trouble;
	table_row(to, cells);
	bad = trouble != NULL;
	free(trouble);
	return bad;
}

/* Fills in the summary. Returns the number of pools in trouble. */
static unsigned
summarize(struct table *to, const struct table *pools, const struct commands_how *how)
{
	unsigned troubles = 0, end;

	table_column(to, "pool", TABLE_TEXT);
	for (unsigned i = 0; i < SUMMARY; i++)
		table_column(to, summary[i].name, TABLE_NUMBER);
	table_column(to, "longest_wait_ms", TABLE_NUMBER);
	table_column(to, "trouble", TABLE_TEXT);
	table_keep(to, "trouble");
	for (unsigned row = 0; row < table_rows(pools); row = end) {
		end = end_of_pool(pools, row);
		troubles += summary_row(to, pools, row, end, how);
	}
	return troubles;
}

/* A value of SHOW STATE. */
static const char *
state_value(const struct table *state, const char *key)
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

	units_elapsed_str(strtoll(state_value(state, "uptime_s"), NULL, 10) * UNIT_S, up,
			  sizeof up);
	printf("pgwithd %s (pid %s): %s, up %s, %s of %s sessions\n", state_value(state, "version"),
	       state_value(state, "pid"), state_value(state, "phase"), up,
	       state_value(state, "sessions"), state_value(state, "max_clients"));
}

enum ask_status
look_status(const struct commands_entry *entry, const struct commands_how *how, struct ask *ask,
	    char **args)
{
	struct table *state = NULL, *pools = NULL, *out = table_new();
	enum ask_status status = ask_for(ask, "SHOW STATE", &state);
	unsigned troubles;

	if (status == ASK_GOOD)
		status = ask_for(ask, "SHOW POOLS", &pools);
	if (status != ASK_GOOD)
		goto out;
	troubles = summarize(out, pools, how);
	if (how->look.format == TABLE_ALIGNED && how->look.header)
		headline(state);
	status = look_print(out, NULL, how);
	if (status == ASK_GOOD &&
	    (troubles > 0 || strcmp(state_value(state, "phase"), "running") != 0))
		status = ASK_TROUBLE;
out:
	table_free(state);
	table_free(pools);
	table_free(out);
	return status;
}
