#include "cli/top/tabs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/top/graph.h"
#include "cli/top/verdict.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

static const struct {
	const char *name, *short_name, *title, *nothing;
	unsigned sources;
} tabs[TABS_NTABS] = {
    [TABS_ALL] = {"All", "All", "", "", 0},
    [TABS_POOLS] = {"Pools", "Pool", "pools", "there are no pools", 0},
    [TABS_HELD] = {"Held", "Held", "held longest: transactions, scopes, locks",
		   "nobody holds a server, lock or semaphore", 0},
    [TABS_LOCKS] = {"Locks", "Lock", "locks and semaphores, with their queues",
		    "nobody has a lock or semaphore", 0},
    [TABS_WAITS] = {"Waits", "Wait", "who waits for whom", "nobody waits",
		    1u << MODEL_WAITS | 1u << MODEL_CLIENTS},
    [TABS_PINNED] = {"Pinned", "Pin", "sessions that keep their server, and why",
		     "nobody is pinned", 0},
    [TABS_SCOPES] = {"Scopes", "Scop", "how scopes ended and how long they took, since the start",
		     "no scope has ended yet", 1u << MODEL_SCOPE_STATS},
    [TABS_ERRORS] = {"Errors", "Err", "errors of pgwithd", "no error so far", 0},
    [TABS_SESSIONS] = {"Sessions", "Sess", "every session", "nobody is in", 1u << MODEL_CLIENTS},
};

const char *
tabs_name(enum tabs_tab tab)
{
	return tabs[tab].name;
}

const char *
tabs_short_name(enum tabs_tab tab)
{
	return tabs[tab].short_name;
}

const char *
tabs_title(enum tabs_tab tab)
{
	return tabs[tab].title;
}

const char *
tabs_nothing(enum tabs_tab tab)
{
	return tabs[tab].nothing;
}

unsigned
tabs_sources(const struct model *m, enum tabs_tab tab)
{
	unsigned sources = tabs[tab].sources;
	const struct table *held = m->tables[MODEL_HELD];

	/* Who holds something and waits: only SHOW SCOPES says for which server. */
	for (unsigned i = 0; held && i < table_rows(held); i++)
		if (strcmp(model_text(held, i, "state"), "waiting") == 0)
			sources |= 1u << MODEL_SCOPES;
	return sources;
}

/* ---- cells ---- */

/* The cells WHO and PID. */
static void
add_who(struct sheet *s, const struct table *t, unsigned row, const char *pid_column)
{
	sheet_text(s, verdict_name(t, row));
	sheet_count(s, model_number(t, row, pid_column), true);
}

/* The row is about the session of column `column`; `scope`: the name of its scope, or NULL. */
static void
set_session(struct sheet *s, const struct table *t, unsigned row, const char *column,
	    const char *scope, const char *pid_column)
{
	char *who = verdict_who(t, row, pid_column);

	sheet_session(s, (uint64_t)model_number(t, row, column), scope, who);
	free(who);
}

static void
add_ms(struct sheet *s, const struct table *t, unsigned row, const char *column)
{
	const char *text = table_cell(t, row, column);

	sheet_elapsed(s, text ? (int64_t)(strtod(text, NULL) * UNIT_MS) : -1);
}

static void
add_rate(struct sheet *s, double rate)
{
	char text[24];

	graph_rate(rate, text, sizeof text);
	sheet_number(s, rate, text);
}

/* ---- pools ---- */

static const struct sheet_column pool_columns[] = {
    {.title = "POOL", .least = 12},
    {.title = "SERVERS"},
    {.title = "LEASED", .number = true},
    {.title = "IDLE", .number = true, .drop = 7},
    {.title = "CLEAN", .number = true, .drop = 8},
    {.title = "OPEN", .number = true, .drop = 9},
    {.title = "WAIT", .number = true},
    {.title = "OLDEST", .number = true, .room = 7},
    {.title = "TX/S", .number = true, .room = 5, .drop = 3},
    {.title = "QUERY/S", .number = true, .drop = 6},
    {.title = "P50", .number = true, .room = 7, .drop = 5},
    {.title = "P99", .number = true, .room = 7, .drop = 4},
    {.title = "WAITING", .room = 8, .drop = 1},
    {.title = "TROUBLE", .least = 8, .seldom = true},
};

static bool
same_pool(const struct table *t, unsigned a, unsigned b)
{
	return b < table_rows(t) &&
	       strcmp(model_text(t, a, "database"), model_text(t, b, "database")) == 0;
}

/* A pool with role = client has a row for itself, without servers, and one for each role. */
static bool
is_empty_group(const struct table *t, unsigned row)
{
	return (row == 0 || !same_pool(t, row, row - 1)) && same_pool(t, row, row + 1) &&
	       model_number(t, row, "sv_active") == 0 && model_number(t, row, "cl_waiting") == 0;
}

static char *
pool_name(const struct table *t, unsigned row)
{
	const char *name = model_text(t, row, "database"), *role = model_text(t, row, "user");
	bool roles = same_pool(t, row, row + 1) || (row > 0 && same_pool(t, row, row - 1));

	return roles && *role ? mem_printf("%s/%s", name, role) : mem_strdup(name);
}

/* What an operator has to know of the pool; the text lasts until the next round. */
static const char *
pool_trouble(const struct table *t, unsigned row)
{
	if (model_number(t, row, "draining"))
		return "drained";
	if (model_number(t, row, "disabled"))
		return "disabled";
	if (model_number(t, row, "paused"))
		return "paused";
	if (model_number(t, row, "removed"))
		return "removed";
	return model_text(t, row, "last_error");
}

static void
pool_row(struct sheet *s, const struct model *m, unsigned row, unsigned cells)
{
	const struct table *t = m->tables[MODEL_POOLS];
	const struct model_pool *p = model_pool(m, row);
	int64_t wait_us =
	    model_number(t, row, "maxwait") * UNIT_S + model_number(t, row, "maxwait_us");
	int64_t waiting = model_number(t, row, "cl_waiting");
	struct graph_servers servers = {
	    .leased = (unsigned)model_number(t, row, "sv_active"),
	    .cleaning =
		(unsigned)(model_number(t, row, "sv_cleaning") + model_number(t, row, "sv_tested")),
	    .opening = (unsigned)model_number(t, row, "sv_login"),
	    .idle = (unsigned)model_number(t, row, "sv_idle"),
	    .size = (unsigned)model_number(t, row, "size"),
	};
	const char *trouble = pool_trouble(t, row), *pool = model_text(t, row, "database");
	char *name = pool_name(t, row), *leased = mem_printf("%u/%u", servers.leased, servers.size);
	char *bar = graph_bar(&servers, cells);
	char *line = p ? graph_spark(p->waiting, p->nwaiting, cells) : mem_strdup("");

	sheet_row(s, *trouble ? TABLE_BAD : waiting ? TABLE_WAITING : TABLE_PLAIN);
	sheet_text(s, name);
	sheet_number(s, servers.leased, bar);
	sheet_number(s, servers.leased, leased);
	sheet_count(s, servers.idle, true);
	sheet_count(s, servers.cleaning, true);
	sheet_count(s, servers.opening, true);
	sheet_count(s, waiting, true);
	sheet_elapsed(s, waiting ? wait_us : -1);
	add_rate(s, p ? p->transaction_rate : -1);
	add_rate(s, p ? p->query_rate : -1);
	sheet_elapsed(s, times_percentile(m->times, pool, 50));
	sheet_elapsed(s, times_percentile(m->times, pool, 99));
	sheet_number(s, (double)waiting, line);
	sheet_text(s, trouble);
	free(name);
	free(leased);
	free(bar);
	free(line);
}

static struct sheet *
pools(const struct model *m, unsigned width)
{
	const struct table *t = m->tables[MODEL_POOLS];
	struct sheet *s = sheet_new(pool_columns, COUNT(pool_columns));

	for (unsigned i = 0; t && i < table_rows(t); i++)
		if (!is_empty_group(t, i))
			pool_row(s, m, i, width >= 110 || width == 0 ? 20 : 8);
	return s;
}

/* ---- what is held ---- */

static const struct sheet_column held_columns[] = {
    {.title = "SESSION", .number = true},
    {.title = "WHO", .least = 12},
    {.title = "PID", .number = true, .drop = 1},
    {.title = "HOLDS", .least = 9},
    {.title = "POOL", .least = 6, .drop = 2},
    {.title = "STATE", .least = 10},
    {.title = "FOR", .number = true},
    {.title = "QUEUE", .number = true},
    {.title = "LAST", .least = 6, .drop = 3},
    {.title = "SCOPES", .least = 14, .drop = 4},
};

/* What `kill scope` has to name. */
static const char *
scope_of(const char *kind, const char *name)
{
	if (strcmp(kind, "pinned") == 0)
		return NULL;
	return strcmp(kind, "transaction") == 0 ? "" : name;
}

static struct sheet *
held(const struct model *m)
{
	const struct table *t = m->tables[MODEL_HELD];
	struct sheet *s = t ? sheet_new(held_columns, COUNT(held_columns)) : NULL;

	for (unsigned i = 0; t && i < table_rows(t); i++) {
		const char *kind = model_text(t, i, "kind"), *name = model_text(t, i, "name");
		bool plain = strcmp(kind, "transaction") == 0 || strcmp(kind, "pinned") == 0;
		char *what = mem_printf("%s%s%s", kind, plain ? "" : " ", plain ? "" : name);
		int64_t waiting = model_number(t, i, "waiting");

		sheet_row(s, waiting ? TABLE_WAITING : TABLE_PLAIN);
		set_session(s, t, i, "session", scope_of(kind, name), "pid");
		sheet_count(s, model_number(t, i, "session"), false);
		add_who(s, t, i, "pid");
		sheet_text(s, what);
		sheet_text(s, table_cell(t, i, "pool"));
		sheet_text(s, table_cell(t, i, "state"));
		add_ms(s, t, i, "held_ms");
		sheet_count(s, waiting, true);
		sheet_text(s, table_cell(t, i, "class"));
		sheet_text(s, table_cell(t, i, "scopes"));
		free(what);
	}
	return s;
}

/* ---- locks ---- */

static const struct sheet_column lock_columns[] = {
    {.title = "LOCK", .least = 8},
    {.title = "KIND", .drop = 2},
    {.title = "SESSION", .number = true},
    {.title = "WHO", .least = 10},
    {.title = "PID", .number = true, .drop = 4},
    {.title = "MODE", .drop = 3},
    {.title = "STATE"},
    {.title = "PLACE", .number = true, .drop = 1},
    {.title = "FOR", .number = true},
};

/* The row of SHOW HELD for a session; -1: it holds nothing. */
static int
held_by(const struct model *m, int64_t session)
{
	return model_find(m->tables[MODEL_HELD], "session", session);
}

/* SHOW LOCKS has no program. What the session holds tells of one: a table of the session of a row,
 * and `*at`, the row in it. */
static const struct table *
lock_whom(const struct model *m, unsigned row, unsigned *at)
{
	const struct table *t = m->tables[MODEL_LOCKS];
	int held = held_by(m, model_number(t, row, "session"));

	*at = held < 0 ? row : (unsigned)held;
	return held < 0 ? t : m->tables[MODEL_HELD];
}

static struct sheet *
locks(const struct model *m)
{
	const struct table *t = m->tables[MODEL_LOCKS];
	struct sheet *s = t ? sheet_new(lock_columns, COUNT(lock_columns)) : NULL;

	for (unsigned i = 0; t && i < table_rows(t); i++) {
		int64_t position = model_number(t, i, "position");
		unsigned at;
		const struct table *whom = lock_whom(m, i, &at);

		sheet_row(s, position ? TABLE_WAITING : TABLE_PLAIN);
		set_session(s, whom, at, "session", position ? NULL : model_text(t, i, "name"),
			    "pid");
		sheet_text(s, table_cell(t, i, "name"));
		sheet_text(s, table_cell(t, i, "kind"));
		sheet_count(s, model_number(t, i, "session"), false);
		add_who(s, whom, at, "pid");
		sheet_text(s, table_cell(t, i, "mode"));
		sheet_text(s, table_cell(t, i, "state"));
		sheet_count(s, position, true);
		add_ms(s, t, i, "since_ms");
	}
	return s;
}

static const struct sheet_column queue_columns[] = {
    {.title = "LOCK", .least = 8},
    {.title = "WAITING", .number = true},
    {.title = "OLDEST", .number = true},
    {.title = "HELD BY", .number = true},
    {.title = "WHO", .least = 10},
    {.title = "PID", .number = true, .drop = 2},
    {.title = "STATE", .least = 7, .drop = 1},
    {.title = "FOR", .number = true},
};

/* How many rows of the lock follow a row; they are those of the lock up to the next name. */
static unsigned
rows_of_lock(const struct table *t, unsigned row)
{
	unsigned n = 1;

	while (row + n < table_rows(t) &&
	       strcmp(model_text(t, row, "name"), model_text(t, row + n, "name")) == 0)
		n++;
	return n;
}

static void
queue_row(struct sheet *s, const struct model *m, unsigned row, unsigned n)
{
	const struct table *t = m->tables[MODEL_LOCKS];
	const struct table *whom;
	unsigned holder = row + n, first = row + n, waiting = 0, at;

	for (unsigned i = row; i < row + n; i++) {
		int64_t position = model_number(t, i, "position");

		waiting += position > 0;
		if (position == 1)
			first = i;
		if (position == 0 && (holder == row + n || model_number(t, i, "since_ms") >
							       model_number(t, holder, "since_ms")))
			holder = i;
	}
	if (waiting == 0 || holder == row + n)
		return; /* what nobody holds is granted in a moment */
	whom = lock_whom(m, holder, &at);
	sheet_row(s, TABLE_WAITING);
	set_session(s, whom, at, "session", model_text(t, row, "name"), "pid");
	sheet_text(s, table_cell(t, row, "name"));
	sheet_count(s, waiting, true);
	add_ms(s, t, first, "since_ms");
	sheet_count(s, model_number(t, holder, "session"), true);
	add_who(s, whom, at, "pid");
	sheet_text(s, whom == t ? NULL : table_cell(whom, at, "state"));
	add_ms(s, t, holder, "since_ms");
}

struct sheet *
tabs_queues(const struct model *m)
{
	const struct table *t = m->tables[MODEL_LOCKS];
	struct sheet *s = sheet_new(queue_columns, COUNT(queue_columns));
	unsigned n;

	for (unsigned i = 0; t && i < table_rows(t); i += n) {
		n = rows_of_lock(t, i);
		queue_row(s, m, i, n);
	}
	sheet_sort(s, 2, false);
	return s;
}

/* ---- pinned ---- */

static const struct sheet_column pinned_columns[] = {
    {.title = "SESSION", .number = true},
    {.title = "WHO", .least = 12},
    {.title = "PID", .number = true, .drop = 1},
    {.title = "POOL", .least = 6},
    {.title = "WHY", .least = 10},
    {.title = "STATE", .least = 7},
    {.title = "FOR", .number = true},
};

static struct sheet *
pinned(const struct model *m)
{
	const struct table *t = m->tables[MODEL_HELD];
	struct sheet *s = t ? sheet_new(pinned_columns, COUNT(pinned_columns)) : NULL;

	for (unsigned i = 0; t && i < table_rows(t); i++) {
		if (table_cell(t, i, "pinned") == NULL)
			continue;
		sheet_row(s, TABLE_PLAIN);
		set_session(s, t, i, "session", NULL, "pid");
		sheet_count(s, model_number(t, i, "session"), false);
		add_who(s, t, i, "pid");
		sheet_text(s, table_cell(t, i, "pool"));
		sheet_text(s, table_cell(t, i, "pinned"));
		sheet_text(s, table_cell(t, i, "state"));
		add_ms(s, t, i, "held_ms");
	}
	return s;
}

/* ---- scopes ---- */

static const struct sheet_column scope_columns[] = {
    {.title = "POOL", .least = 6},
    {.title = "SCOPE", .least = 8},
    {.title = "GOOD", .number = true},
    {.title = "ERROR", .number = true},
    {.title = "CANCEL", .number = true, .drop = 5},
    {.title = "EXPIRED", .number = true, .drop = 4},
    {.title = "WAIT P50", .number = true, .drop = 3},
    {.title = "P99", .number = true, .drop = 2},
    {.title = "HOLD P50", .number = true},
    {.title = "P99", .number = true},
    {.title = "LONGEST", .number = true, .drop = 1},
};

static struct sheet *
scopes(const struct model *m)
{
	const struct table *t = m->tables[MODEL_SCOPE_STATS];
	struct sheet *s = t ? sheet_new(scope_columns, COUNT(scope_columns)) : NULL;
	static const char *const outcomes[] = {"success", "error", "cancelled", "expired"};
	static const char *const times[] = {"wait_p50_ms", "wait_p99_ms", "hold_p50_ms",
					    "hold_p99_ms", "hold_max_ms"};

	for (unsigned i = 0; t && i < table_rows(t); i++) {
		sheet_row(s, TABLE_PLAIN);
		sheet_text(s, table_cell(t, i, "pool"));
		sheet_text(s, table_cell(t, i, "scope"));
		for (unsigned k = 0; k < COUNT(outcomes); k++)
			sheet_count(s, model_number(t, i, outcomes[k]), true);
		for (unsigned k = 0; k < COUNT(times); k++)
			add_ms(s, t, i, times[k]);
	}
	return s;
}

/* ---- errors ---- */

static const struct sheet_column error_columns[] = {
    {.title = "ERROR", .least = 12},
    {.title = "SQLSTATE"},
    {.title = "LAST MINUTE", .number = true},
    {.title = "SINCE START", .number = true},
    {.title = "LAST", .drop = 1},
};

static struct sheet *
errors(const struct model *m, bool recent)
{
	const struct table *t = m->tables[MODEL_ERRORS];
	struct sheet *s = t || recent ? sheet_new(error_columns, COUNT(error_columns)) : NULL;

	for (unsigned i = 0; t && i < table_rows(t); i++) {
		const struct model_error *e = model_error(m, model_text(t, i, "error"));
		int64_t count = model_number(t, i, "count"), minute = e ? e->minute : 0;

		if (count == 0 || (recent && minute == 0))
			continue;
		sheet_row(s, minute ? TABLE_BAD : TABLE_PLAIN);
		sheet_text(s, table_cell(t, i, "error"));
		sheet_text(s, table_cell(t, i, "sqlstate"));
		sheet_count(s, minute, true);
		sheet_count(s, count, false);
		sheet_text(s, table_cell(t, i, "last_time"));
	}
	if (recent)
		sheet_sort(s, 2, false);
	return s;
}

struct sheet *
tabs_recent_errors(const struct model *m)
{
	return errors(m, true);
}

/* ---- sessions ---- */

static const struct sheet_column session_columns[] = {
    {.title = "SESSION", .number = true},
    {.title = "WHO", .least = 12},
    {.title = "PID", .number = true, .drop = 3},
    {.title = "ROLE", .least = 8, .drop = 4},
    {.title = "POOL", .least = 6},
    {.title = "STATE", .least = 10},
    {.title = "FOR", .number = true, .drop = 1},
    {.title = "WAITS FOR", .least = 9, .drop = 2},
    {.title = "QUERIES", .number = true, .drop = 5},
    {.title = "SCOPES", .least = 14, .drop = 6},
};

static struct sheet *
sessions(const struct model *m)
{
	const struct table *t = m->tables[MODEL_CLIENTS];
	struct sheet *s = t ? sheet_new(session_columns, COUNT(session_columns)) : NULL;

	for (unsigned i = 0; t && i < table_rows(t); i++) {
		const char *state = model_text(t, i, "state");

		sheet_row(s, table_mood("state", state) == TABLE_GOOD ? TABLE_PLAIN
								      : table_mood("state", state));
		set_session(s, t, i, "id", NULL, "remote_pid");
		sheet_count(s, model_number(t, i, "id"), false);
		add_who(s, t, i, "remote_pid");
		sheet_text(s, table_cell(t, i, "user"));
		sheet_text(s, table_cell(t, i, "database"));
		sheet_text(s, state);
		sheet_elapsed(s, model_number(t, i, "state_us"));
		sheet_text(s, table_cell(t, i, "waits_for"));
		sheet_count(s, model_number(t, i, "queries"), false);
		sheet_text(s, table_cell(t, i, "scopes"));
	}
	return s;
}

struct sheet *
tabs_sheet(const struct model *m, enum tabs_tab tab, unsigned width)
{
	switch (tab) {
	case TABS_POOLS:
		return pools(m, width);
	case TABS_HELD:
		return held(m);
	case TABS_LOCKS:
		return locks(m);
	case TABS_PINNED:
		return pinned(m);
	case TABS_SCOPES:
		return scopes(m);
	case TABS_ERRORS:
		return errors(m, false);
	case TABS_SESSIONS:
		return sessions(m);
	case TABS_ALL:
	case TABS_WAITS:
	case TABS_NTABS:
		break;
	}
	return NULL;
}
