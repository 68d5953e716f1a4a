#include "cli/top/verdict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define WAIT_LONG_US (100 * UNIT_MS) /* shorter waits are those of a pool that works */
#define HELD_LONG_US (10 * UNIT_S)   /* worth a word, though nobody waits */
#define CHAIN_MAX    16              /* sessions that wait for each other */
#define NAMED_MAX    3               /* further pools and locks that are named */

/* Something that is not as it should be. */
struct trouble {
	const char *name; /* of the pool or lock */
	bool is_lock;
	bool down; /* the pool is not ready */
	int64_t wait_us;
	const char *verdict; /* of SHOW HEALTH; or NULL */
	unsigned waiting;
};

struct troubles {
	struct trouble *list;
	unsigned count;
};

static bool
is_true(const struct table *t, unsigned row, const char *column)
{
	return *model_text(t, row, column) == 't';
}

static unsigned
rows_of(const struct model *m, enum model_source source)
{
	return m->tables[source] ? table_rows(m->tables[source]) : 0;
}

/* The first of the columns that has a text in this row, or "". */
static const char *
first_of(const struct table *t, unsigned row, const char *const *columns)
{
	const char *text = "";

	for (; *text == 0 && *columns; columns++)
		text = model_text(t, row, *columns);
	return text;
}

const char *
verdict_name(const struct table *t, unsigned row)
{
	static const char *const columns[] = {"application_name", "program", "role", "user", NULL};

	return first_of(t, row, columns);
}

char *
verdict_who(const struct table *t, unsigned row, const char *pid_column)
{
	static const char *const columns[] = {"program", "application_name", "role", "user", NULL};
	const char *first = first_of(t, row, columns), *pid = model_text(t, row, pid_column);
	const char *name = model_text(t, row, "application_name");

	if (strcmp(name, first) == 0)
		name = "";
	return mem_printf("%s%spid %s%s%s", first, *first ? ", " : "", *pid ? pid : "?",
			  *name ? ", " : "", name);
}

/* ---- what is wrong ---- */

static void
add(struct troubles *all, struct trouble t)
{
	all->list = mem_realloc(all->list, (all->count + 1) * sizeof *all->list);
	all->list[all->count++] = t;
}

/* The waiting sessions of a pool, with all its roles; and the longest wait. */
static unsigned
waiting_of(const struct model *m, const char *pool, int64_t *wait_us)
{
	const struct table *t = m->tables[MODEL_POOLS];
	unsigned sum = 0;

	*wait_us = 0;
	for (unsigned i = 0; i < rows_of(m, MODEL_POOLS); i++) {
		int64_t us =
		    model_number(t, i, "maxwait") * UNIT_S + model_number(t, i, "maxwait_us");

		if (strcmp(model_text(t, i, "database"), pool) != 0)
			continue;
		sum += (unsigned)model_number(t, i, "cl_waiting");
		if (us > *wait_us)
			*wait_us = us;
	}
	return sum;
}

/* The row of SHOW HEALTH; -1: an older pgwithd has none. */
static int
health_row(const struct model *m, const char *pool)
{
	for (unsigned i = 0; i < rows_of(m, MODEL_HEALTH); i++)
		if (strcmp(model_text(m->tables[MODEL_HEALTH], i, "pool"), pool) == 0)
			return (int)i;
	return -1;
}

static void
find_pools(const struct model *m, struct troubles *all)
{
	const struct table *t = m->tables[MODEL_POOLS], *health = m->tables[MODEL_HEALTH];

	for (unsigned i = 0; i < rows_of(m, MODEL_POOLS); i++) {
		struct trouble x = {.name = model_text(t, i, "database")};
		int row = health_row(m, x.name);

		if (i > 0 && strcmp(x.name, model_text(t, i - 1, "database")) == 0)
			continue;
		x.waiting = waiting_of(m, x.name, &x.wait_us);
		x.down = row >= 0 && !is_true(health, (unsigned)row, "ready");
		x.verdict = row >= 0 ? model_text(health, (unsigned)row, "verdict") : NULL;
		if (x.down || x.wait_us >= WAIT_LONG_US)
			add(all, x);
	}
}

/* The rows of SHOW LOCKS for a lock follow each other, its queue in order. */
static void
find_locks(const struct model *m, struct troubles *all)
{
	const struct table *t = m->tables[MODEL_LOCKS];

	for (unsigned i = 0, last; i < rows_of(m, MODEL_LOCKS); i = last + 1) {
		struct trouble x = {.name = model_text(t, i, "name"),
				    .is_lock = true,
				    .wait_us = model_number(t, i, "since_ms") * UNIT_MS,
				    .waiting = 1};

		for (last = i; model_number(t, last + 1, "position") > 1; last++)
			x.waiting++;
		if (model_number(t, i, "position") == 1 && x.wait_us >= WAIT_LONG_US)
			add(all, x);
	}
}

static bool
is_worse(const struct trouble *a, const struct trouble *b)
{
	return a->down != b->down ? a->down : a->wait_us > b->wait_us;
}

/* ---- who is to blame ---- */

/* The row of SHOW HELD for the longest hold of a pool, or of a lock; -1: nobody's. */
static int
longest_hold(const struct model *m, const char *name, bool lock)
{
	const struct table *t = m->tables[MODEL_HELD];

	for (unsigned i = 0; i < rows_of(m, MODEL_HELD); i++) {
		bool is_lock = table_cell(t, i, "pool") == NULL;

		if (is_lock == lock &&
		    strcmp(model_text(t, i, is_lock ? "name" : "pool"), name) == 0)
			return (int)i;
	}
	return -1;
}

static bool
is_waiting(const struct model *m, int held)
{
	return strcmp(model_text(m->tables[MODEL_HELD], (unsigned)held, "state"), "waiting") == 0;
}

/* A session of SHOW HELD waits itself: the row of who holds what it waits for, with `*name` and
 * `*lock` saying what that is. -1: not known. */
static int
next_in_chain(const struct model *m, int64_t session, const char **name, bool *lock)
{
	const struct table *locks = m->tables[MODEL_LOCKS], *scopes = m->tables[MODEL_SCOPES];

	for (unsigned i = 0; i < rows_of(m, MODEL_LOCKS); i++)
		if (model_number(locks, i, "session") == session &&
		    model_number(locks, i, "position") > 0) {
			*name = model_text(locks, i, "name");
			*lock = true;
			return longest_hold(m, *name, true);
		}
	for (unsigned i = 0; i < rows_of(m, MODEL_SCOPES); i++)
		if (model_number(scopes, i, "session") == session &&
		    strcmp(model_text(scopes, i, "state"), "waiting") == 0) {
			*name = model_text(scopes, i, "pool");
			*lock = false;
			return longest_hold(m, *name, false);
		}
	return -1;
}

static bool
same_text(const struct table *t, unsigned a, unsigned b, const char *column)
{
	return strcmp(model_text(t, a, column), model_text(t, b, column)) == 0;
}

/* Do both rows of SHOW HELD hold the same, by sessions that are alike? admin/held.h tells what that
 * is. */
static bool
is_alike(const struct table *t, unsigned a, unsigned b)
{
	bool lock = table_cell(t, a, "pool") == NULL;

	return lock == (table_cell(t, b, "pool") == NULL) &&
	       same_text(t, a, b, lock ? "name" : "pool") &&
	       (!lock || same_text(t, a, b, "kind")) && same_text(t, a, b, "state") &&
	       same_text(t, a, b, "role") && same_text(t, a, b, "application_name");
}

static int
by_number(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* How many other sessions are like the one of this row of SHOW HELD? */
static unsigned
count_alike(const struct model *m, unsigned row)
{
	const struct table *t = m->tables[MODEL_HELD];
	unsigned rows = rows_of(m, MODEL_HELD), found = 0, count = 0;
	int64_t *sessions = mem_calloc(rows, sizeof *sessions), own;

	own = model_number(t, row, "session");
	for (unsigned i = 0; i < rows; i++)
		if (is_alike(t, row, i) && model_number(t, i, "session") != own)
			sessions[found++] = model_number(t, i, "session");
	qsort(sessions, found, sizeof *sessions, by_number);
	for (unsigned i = 0; i < found; i++)
		count += i == 0 || sessions[i] != sessions[i - 1];
	free(sessions);
	return count;
}

/* "session 12 (app, pid 4242) holds ... for 42 s, idle in transaction", or "session 12 (app, pid
 * 4242) and 4 more hold ... for up to 42 s". `what`: " of orders" or the like, or "". */
static char *
say_held(const struct model *m, unsigned row, const char *what)
{
	const struct table *t = m->tables[MODEL_HELD];
	unsigned alike = count_alike(m, row);
	char *who = verdict_who(t, row, "pid"), *all, text[32], more[48] = " holds";

	if (alike > 0)
		snprintf(more, sizeof more, " and %u more hold", alike);
	all = mem_printf(
	    "session %s (%s)%s %sfor %s%s, %s", model_text(t, row, "session"), who, more, what,
	    alike > 0 ? "up to " : "",
	    units_elapsed_str(model_number(t, row, "held_ms") * UNIT_MS, text, sizeof text),
	    model_text(t, row, "state"));
	free(who);
	return all;
}

/* Follows who waits for whom from a row of SHOW HELD, and says who is at the end. NULL: the session
 * of that row does not wait. */
static char *
say_chain(const struct model *m, int row)
{
	const struct table *t = m->tables[MODEL_HELD];
	int64_t first = row < 0 ? 0 : model_number(t, (unsigned)row, "session");
	const char *name = NULL;
	bool lock = false;
	char *held, *what, *all;
	int at = row;

	for (unsigned i = 0; i < CHAIN_MAX && at >= 0 && is_waiting(m, at); i++) {
		row = at;
		at = next_in_chain(m, model_number(t, (unsigned)at, "session"), &name, &lock);
		if (at >= 0 && model_number(t, (unsigned)at, "session") == first)
			break; /* a circle, or the queue of its own pool */
	}
	if (name == NULL)
		return NULL;
	if (at < 0)
		return mem_printf("it waits for %s%s", lock ? "lock " : "a server of ", name);
	what = mem_printf("%s%s ", lock ? "lock " : "a server of ", name);
	held = say_held(m, (unsigned)at, what);
	all = mem_printf("it waits: %s", held);
	free(what);
	free(held);
	return all;
}

/* ---- in words ---- */

/* Replaces *text, which is freed. */
static void
append(char **text, const char *gap, char *more)
{
	char *all;

	if (more == NULL)
		return;
	all = mem_printf("%s%s%s", *text, gap, more);
	free(*text);
	free(more);
	*text = all;
}

static char *
say_trouble(const struct model *m, const struct trouble *x)
{
	int row = longest_hold(m, x->name, x->is_lock);
	char wait[32], *text;

	if (x->verdict && *x->verdict) {
		text = mem_strdup(x->verdict);
	} else {
		text = mem_printf("%s%s: %u waiting, oldest %s", x->is_lock ? "lock " : "", x->name,
				  x->waiting, units_elapsed_str(x->wait_us, wait, sizeof wait));
		append(&text, "; ",
		       row < 0 ? NULL : say_held(m, (unsigned)row, x->is_lock ? "it " : ""));
	}
	append(&text, "; ", say_chain(m, row));
	return text;
}

static char *
say_others(const struct troubles *all, const struct trouble *said)
{
	char *names = mem_strdup("");
	unsigned n = 0;

	for (unsigned i = 0; i < all->count; i++) {
		const struct trouble *x = &all->list[i];

		if (x == said)
			continue;
		if (n++ < NAMED_MAX)
			append(&names, *names ? ", " : "",
			       mem_printf("%s%s", x->is_lock ? "lock " : "", x->name));
	}
	if (n > NAMED_MAX)
		append(&names, ", ", mem_printf("%u more", n - NAMED_MAX));
	if (n > 0)
		append(&names, "", mem_strdup(")"));
	return names;
}

/* Nobody waits for long, and every pool is ready. */
static char *
say_good(const struct model *m)
{
	const struct table *pools = m->tables[MODEL_POOLS], *held = m->tables[MODEL_HELD];
	unsigned npools = 0;
	int64_t leased = 0, size = 0, waiting = 0;
	char *text;

	for (unsigned i = 0; i < rows_of(m, MODEL_POOLS); i++) {
		leased += model_number(pools, i, "sv_active");
		waiting += model_number(pools, i, "cl_waiting");
		if (i > 0 && strcmp(model_text(pools, i, "database"),
				    model_text(pools, i - 1, "database")) == 0)
			continue; /* a role of the same pool */
		npools++;
		size += model_number(pools, i, "size");
	}
	for (unsigned i = 0; i < rows_of(m, MODEL_LOCKS); i++)
		waiting += model_number(m->tables[MODEL_LOCKS], i, "position") > 0;
	text = mem_printf("all is well: %u pool%s, %lld of %lld leased, ", npools,
			  npools == 1 ? "" : "s", (long long)leased, (long long)size);
	append(&text, "",
	       waiting ? mem_printf("%lld waiting for moments only", (long long)waiting)
		       : mem_strdup("nobody waits"));
	for (unsigned i = 0; i < rows_of(m, MODEL_HELD); i++) {
		if (model_number(held, i, "held_ms") * UNIT_MS < HELD_LONG_US)
			break; /* the longest comes first */
		if (strcmp(model_text(held, i, "kind"), "pinned") == 0)
			continue;
		append(&text, "; ", say_held(m, i, ""));
		break;
	}
	return text;
}

char *
verdict_of(const struct model *m, enum table_mood *mood)
{
	struct troubles all = {0};
	const struct trouble *worst = NULL;
	const char *phase = model_state(m, "phase");
	char *text, *others;

	find_pools(m, &all);
	find_locks(m, &all);
	for (unsigned i = 0; i < all.count; i++)
		if (worst == NULL || is_worse(&all.list[i], worst))
			worst = &all.list[i];
	text = worst ? say_trouble(m, worst) : say_good(m);
	*mood = worst == NULL ? TABLE_GOOD : worst->down ? TABLE_BAD : TABLE_WAITING;
	others = say_others(&all, worst);
	if (*others)
		append(&text, " (also: ", others);
	else
		free(others);
	if (phase && strcmp(phase, "running") != 0) {
		char *front = mem_printf("pgwithd is %s", phase);

		append(&front, "; ", text);
		text = front;
		*mood = TABLE_BAD;
	}
	free(all.list);
	return text;
}
