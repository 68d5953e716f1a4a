#include "cli/tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/utf8.h"
#include "cli/look.h"

#define LINE_MAX_BYTES 8192
#define LEVELS_MAX     12 /* a deeper level is not moved further to the right */

/* A row of SHOW WAITS. */
struct row {
	uint64_t session, held_by; /* held_by is 0 if no session holds it */
	int64_t wait_ms, held_ms;
	const char *kind, *name; /* of what it waits for */
	bool first;              /* the first row of its session */
	bool shown;
};

struct tree {
	const struct table *waits, *clients;
	struct row *rows;
	unsigned count;
	unsigned width;
	FILE *to;
};

static uint64_t
number(const struct table *t, unsigned row, const char *column)
{
	const char *text = table_cell(t, row, column);

	return text ? strtoull(text, NULL, 10) : 0;
}

static const char *
word(const struct table *t, unsigned row, const char *column)
{
	const char *text = table_cell(t, row, column);

	return text ? text : "";
}

static void
read_rows(struct tree *t)
{
	t->count = table_rows(t->waits);
	t->rows = mem_calloc(t->count + 1, sizeof *t->rows);
	for (unsigned i = 0; i < t->count; i++) {
		struct row *r = &t->rows[i];

		r->session = number(t->waits, i, "session");
		r->held_by = number(t->waits, i, "held_by");
		r->wait_ms = (int64_t)number(t->waits, i, "wait_ms");
		r->held_ms = (int64_t)number(t->waits, i, "held_ms");
		r->kind = word(t->waits, i, "kind");
		r->name = word(t->waits, i, "name");
		/* The rows of a session stand one behind the other. */
		r->first = i == 0 || t->rows[i - 1].session != r->session;
	}
}

/* ---- lines ---- */

static void
begin_line(struct buf *b, unsigned level)
{
	buf_init(b, LINE_MAX_BYTES);
	if (level > LEVELS_MAX)
		level = LEVELS_MAX;
	for (unsigned i = 1; i < level; i++)
		buf_add_fmt(b, "|  ");
	if (level > 0)
		buf_add_fmt(b, "+- ");
}

static void
end_line(const struct tree *t, struct buf *b)
{
	const char *text = b->len ? (const char *)buf_data(b) : "";
	size_t bytes = b->len;

	if (t->width && bytes > t->width)
		bytes = utf8_fit(text, bytes, t->width);
	fprintf(t->to, "%.*s\n", (int)bytes, text);
	buf_clear(b);
}

static const char *
elapsed(int64_t ms, char *out, size_t out_size)
{
	return units_elapsed_str(ms * UNIT_MS, out, out_size);
}

/* session 12 (psql, pid 4242, app) */
static void
add_who(struct buf *b, uint64_t session, const char *program, const char *pid, const char *app)
{
	buf_add_fmt(b, "session %llu (%s%spid %s%s%.*s)", (unsigned long long)session, program,
		    *program ? ", " : "", pid, *app ? ", " : "",
		    (int)utf8_fit(app, strlen(app), 24), app);
}

/* A server of orders; lock x */
static void
add_what(struct buf *b, const struct row *r)
{
	buf_add_fmt(b, "%s%s%s", r->kind, strcmp(r->kind, "server") == 0 ? " of " : " ", r->name);
}

/* ---- the tree ---- */

static bool
waits_itself(const struct tree *t, uint64_t session)
{
	for (unsigned i = 0; i < t->count; i++)
		if (t->rows[i].session == session)
			return true;
	return false;
}

/* Does a session that is still to be shown stand below this one? */
static bool
holds_up(const struct tree *t, uint64_t session)
{
	for (unsigned i = 0; i < t->count; i++)
		if (t->rows[i].held_by == session && t->rows[i].first && !t->rows[i].shown)
			return true;
	return false;
}

static bool
same_thing(const struct row *a, const struct row *b)
{
	return strcmp(a->kind, b->kind) == 0 && strcmp(a->name, b->name) == 0;
}

static void
waiter_line(const struct tree *t, unsigned i, unsigned level)
{
	const struct row *r = &t->rows[i];
	char wait[32], held[32];
	struct buf b;

	begin_line(&b, level);
	add_who(&b, r->session, word(t->waits, i, "program"), word(t->waits, i, "pid"),
		word(t->waits, i, "application_name"));
	buf_add_fmt(&b, " waits %s for ", elapsed(r->wait_ms, wait, sizeof wait));
	add_what(&b, r);
	if (r->held_by)
		buf_add_fmt(&b, ", held for %s", elapsed(r->held_ms, held, sizeof held));
	end_line(t, &b);
}

/* The line of those that wait for the same as row `i`, hold up nobody and are not shown yet. */
static void
rest_line(struct tree *t, unsigned i, unsigned level)
{
	unsigned count = 0;
	int64_t longest = 0;
	char text[32];
	struct buf b;

	for (unsigned k = i; k < t->count; k++) {
		struct row *r = &t->rows[k];

		if (!r->first || r->shown || r->held_by != t->rows[i].held_by ||
		    !same_thing(r, &t->rows[i]) || holds_up(t, r->session))
			continue;
		r->shown = true;
		count++;
		if (r->wait_ms > longest)
			longest = r->wait_ms;
	}
	begin_line(&b, level);
	buf_add_fmt(&b, "%u more wait%s for ", count, count == 1 ? "s" : "");
	add_what(&b, &t->rows[i]);
	buf_add_fmt(&b, ", the longest %s", elapsed(longest, text, sizeof text));
	end_line(t, &b);
}

/* Shows all that wait for the session, and those behind them. A session is marked before those
 * below it are looked at, so that a circle ends. */
static void
below(struct tree *t, uint64_t session, unsigned level)
{
	unsigned alike = 0;
	const struct row *before = NULL;

	for (unsigned i = 0; i < t->count; i++) {
		struct row *r = &t->rows[i];
		bool leaf;

		if (!r->first || r->shown || r->held_by != session)
			continue;
		leaf = !holds_up(t, r->session);
		if (before == NULL || !same_thing(before, r)) {
			alike = 0;
			before = r;
		}
		if (leaf && alike++ >= TREE_SHOWN) {
			rest_line(t, i, level);
			continue;
		}
		r->shown = true;
		waiter_line(t, i, level);
		below(t, r->session, level + 1);
	}
}

static void
root_lines(const struct tree *t, uint64_t session, const struct row *held)
{
	unsigned n = table_rows(t->clients), i = 0;
	char text[32];
	struct buf b;

	while (i < n && number(t->clients, i, "id") != session)
		i++;
	begin_line(&b, 0);
	buf_add_fmt(&b, "* ");
	if (i < n) {
		add_who(&b, session, word(t->clients, i, "program"),
			word(t->clients, i, "remote_pid"), word(t->clients, i, "application_name"));
		buf_add_fmt(&b, " %s", word(t->clients, i, "state"));
	} else {
		/* It has gone by now, or it is another user's, whom the asking one may not see. */
		buf_add_fmt(&b, "session %llu", (unsigned long long)session);
	}
	end_line(t, &b);
	begin_line(&b, 0);
	buf_add_fmt(&b, "    holds ");
	add_what(&b, held);
	buf_add_fmt(&b, " for %s", elapsed(held->held_ms, text, sizeof text));
	if (*word(t->clients, i, "scopes"))
		buf_add_fmt(&b, ": %s", word(t->clients, i, "scopes"));
	end_line(t, &b);
}

static bool
seen_before(const struct tree *t, unsigned row)
{
	for (unsigned i = 0; i < row; i++)
		if (t->rows[i].held_by == t->rows[row].held_by)
			return true;
	return false;
}

void
tree_print(const struct table *waits, const struct table *clients, unsigned width, FILE *to)
{
	struct tree t = {.waits = waits, .clients = clients, .width = width, .to = to};

	read_rows(&t);
	if (t.count == 0)
		fputs("nobody waits\n", to);
	for (unsigned i = 0; i < t.count; i++) {
		uint64_t holder = t.rows[i].held_by;

		if (holder == 0 || seen_before(&t, i) || waits_itself(&t, holder))
			continue;
		root_lines(&t, holder, &t.rows[i]);
		below(&t, holder, 1);
	}
	if (holds_up(&t, 0)) {
		fputs("* held by no session: paused, or servers are being opened or cleaned up\n",
		      to);
		below(&t, 0, 1);
	}
	/* What is left waits in a circle, or for one. */
	for (unsigned i = 0; i < t.count; i++)
		if (t.rows[i].first && !t.rows[i].shown) {
			fputs("* a circle: nobody of it can go on\n", to);
			t.rows[i].shown = true;
			waiter_line(&t, i, 1);
			below(&t, t.rows[i].session, 2);
		}
	free(t.rows);
}

/* ---- Graphviz ---- */

/* A quoted string of the DOT language: \" is a quote, and \\ a backslash (in labels). */
static void
dot_text(const char *text, FILE *to)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', to);
		fputc(*text, to);
	}
}

void
tree_dot(const struct table *waits, FILE *to)
{
	fputs("digraph waits {\n\trankdir=LR;\n", to);
	for (unsigned i = 0; i < table_rows(waits); i++) {
		const char *held_by = word(waits, i, "held_by");

		fprintf(to, "\t\"%s\" [label=\"session %s\\n", word(waits, i, "session"),
			word(waits, i, "session"));
		dot_text(word(waits, i, "program"), to);
		fprintf(to, ", pid %s\"];\n", word(waits, i, "pid"));
		if (*word(waits, i, "root") == 't')
			fprintf(to, "\t\"%s\" [style=bold, color=red];\n", held_by);
		fprintf(to, "\t\"%s\" -> \"%s\" [label=\"", word(waits, i, "session"),
			*held_by ? held_by : "nobody");
		dot_text(word(waits, i, "kind"), to);
		fputc(' ', to);
		dot_text(word(waits, i, "name"), to);
		fputs("\"];\n", to);
	}
	fputs("}\n", to);
}

/* ---- the command ---- */

enum ask_status
tree_run(const struct commands_entry *entry, const struct commands_how *how, struct ask *ask,
	 char **args)
{
	struct table *waits = NULL, *clients = NULL;
	enum ask_status status = ask_for(ask, entry->statement, &waits);

	if (status == ASK_GOOD && how->dot) {
		tree_dot(waits, stdout);
	} else if (status == ASK_GOOD &&
		   (how->look.format != TABLE_ALIGNED || how->all || how->columns)) {
		status = look_print(waits, NULL, how);
	} else if (status == ASK_GOOD) {
		status = ask_for(ask, "SHOW CLIENTS", &clients);
		if (status == ASK_GOOD)
			tree_print(waits, clients, how->look.width, stdout);
	}
	table_free(waits);
	table_free(clients);
	return status;
}
