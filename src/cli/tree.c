#include "cli/tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/columns.h"

#define LINE_MAX_BYTES 8192
#define LEVELS_MAX     12 /* a deeper level is not moved further to the right */
#define NAME_COLUMNS   24 /* of an application_name */

#define NOBODY WAITLIST_NOBODY

/* A party in the tree. */
struct node {
	uint32_t from, to; /* its part of tree.below: those that wait for it */
	uint32_t at;       /* the next one of them to be printed */
	uint32_t above;    /* the party that is being printed around it */
	unsigned alike;    /* leaves that were printed of those that wait for the same */
	unsigned more;     /* those that are only counted, and the longest of their waits */
	int64_t longest_ms;
	uint32_t seen; /* while a circle is looked for: from which party on */
	bool shown;
	bool below_root; /* or below NOBODY: it is in no circle, and waits for none */
};

/* A party that waits, and the wait by which it stands in the tree. */
struct below {
	uint32_t party;
	const struct wait *wait;
};

struct tree {
	const struct waitlist *list;
	struct node *nodes;  /* one for each party, and behind them one for NOBODY */
	struct below *below; /* in the order of the holders */
	uint32_t nbelow;
	unsigned width;
	FILE *to;
};

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

	if (t->width)
		bytes = columns_fit(text, bytes, t->width);
	fprintf(t->to, "%.*s\n", (int)bytes, text);
	buf_clear(b);
}

static void
heading(const struct tree *t, const char *words)
{
	struct buf b;

	begin_line(&b, 0);
	buf_add_fmt(&b, "* %s", words);
	end_line(t, &b);
}

static const char *
elapsed(int64_t ms, char *out, size_t out_size)
{
	return units_elapsed_str(ms * UNIT_MS, out, out_size);
}

/* Adds a text behind a comma, unless it is empty. */
static void
add_part(struct buf *b, const char *text, const char **comma)
{
	if (*text == 0)
		return;
	buf_add_fmt(b, "%s%.*s", *comma, (int)columns_fit(text, strlen(text), NAME_COLUMNS), text);
	*comma = ", ";
}

/* session 12 (psql, pid 4242, app); backend 4711 (psql, role bob). Of a session that the asking one
 * may not see, or that has gone by now, only the number is known. */
static void
add_party(struct buf *b, const struct party *p)
{
	const char *comma = "";

	if (p->backend && strcmp(p->id, "0") == 0) {
		buf_add_fmt(b, "a prepared transaction (see pg_prepared_xacts)");
	} else if (p->backend) {
		buf_add_fmt(b, "backend %s", p->id);
		comma = " (";
		add_part(b, p->application, &comma);
		if (*p->role)
			buf_add_fmt(b, "%srole %.*s)", comma,
				    (int)columns_fit(p->role, strlen(p->role), NAME_COLUMNS),
				    p->role);
		else if (*p->application)
			buf_add_fmt(b, ")");
	} else if (*p->pid == 0) {
		buf_add_fmt(b, "session %s", p->id);
	} else {
		buf_add_fmt(b, "session %s (", p->id);
		add_part(b, p->program, &comma);
		buf_add_fmt(b, "%spid %s", comma, p->pid);
		comma = ", ";
		add_part(b, p->application, &comma);
		buf_add_fmt(b, ")");
	}
}

/* server of orders; lock x; row of public.accounts */
static void
add_what(struct buf *b, const struct wait *w)
{
	bool inside = w->row == NOBODY;
	bool table = strcmp(w->kind, "relation") == 0;

	if (inside && !w->named)
		buf_add_fmt(b, "%s lock in %s", w->kind, w->name);
	else if (inside && table)
		buf_add_fmt(b, "table %s", w->name);
	else
		buf_add_fmt(b, "%s%s%s", w->kind,
			    inside || strcmp(w->kind, "server") == 0 ? " of " : " ", w->name);
}

/* With `named`, the holder is told, who does not stand above. */
static void
waiter_line(const struct tree *t, const struct wait *w, unsigned level, bool named)
{
	char wait[32], held[32];
	struct buf b;

	begin_line(&b, level);
	add_party(&b, &t->list->parties[w->waiter]);
	buf_add_fmt(&b, " waits ");
	if (w->wait_ms >= 0)
		buf_add_fmt(&b, "%s ", elapsed(w->wait_ms, wait, sizeof wait));
	buf_add_fmt(&b, "for ");
	add_what(&b, w);
	if (w->why && *w->why)
		buf_add_fmt(&b, ", as %s", w->why);
	if (w->held_ms >= 0)
		buf_add_fmt(&b, ", held for %s", elapsed(w->held_ms, held, sizeof held));
	if (named)
		buf_add_fmt(&b, " by %s %s",
			    t->list->parties[w->holder].backend ? "backend" : "session",
			    t->list->parties[w->holder].id);
	end_line(t, &b);
}

/* The line of those that are only counted. `w`: the wait of one of them. */
static void
rest_line(const struct tree *t, const struct node *n, const struct wait *w, unsigned level)
{
	char text[32];
	struct buf b;

	begin_line(&b, level);
	buf_add_fmt(&b, "%u more wait%s for ", n->more, n->more == 1 ? "s" : "");
	add_what(&b, w);
	if (n->longest_ms >= 0)
		buf_add_fmt(&b, ", the longest %s", elapsed(n->longest_ms, text, sizeof text));
	end_line(t, &b);
}

static void
root_lines(const struct tree *t, const struct party *p)
{
	const struct wait *held = &t->list->waits[p->holds];
	char text[32];
	struct buf b;

	begin_line(&b, 0);
	buf_add_fmt(&b, "* ");
	add_party(&b, p);
	if (*p->state)
		buf_add_fmt(&b, " %s", p->state);
	end_line(t, &b);
	begin_line(&b, 0);
	buf_add_fmt(&b, "    holds ");
	/* It may be a server of another pool than the one that is waited for. */
	if (held->why && *held->why)
		buf_add_fmt(&b, "a server");
	else
		add_what(&b, held);
	if (held->held_ms >= 0)
		buf_add_fmt(&b, " for %s", elapsed(held->held_ms, text, sizeof text));
	if (*p->scopes)
		buf_add_fmt(&b, ": %s", p->scopes);
	end_line(t, &b);
}

/* ---- the tree ---- */

/* The node of the holder; that of NOBODY is the last one. */
static uint32_t
node_of(const struct tree *t, uint32_t holder)
{
	return holder == NOBODY ? t->list->nparties : holder;
}

static bool
same_thing(const struct wait *a, const struct wait *b)
{
	return strcmp(a->kind, b->kind) == 0 && strcmp(a->name, b->name) == 0;
}

/* Below one holder, those that wait for the same stand together, in the order of their waits. */
static int
compare_below(const void *a, const void *b)
{
	const struct wait *x = ((const struct below *)a)->wait;
	const struct wait *y = ((const struct below *)b)->wait;
	int c;

	if (x->holder != y->holder)
		return x->holder < y->holder ? -1 : 1;
	if ((c = strcmp(x->kind, y->kind)) != 0 || (c = strcmp(x->name, y->name)) != 0)
		return c;
	return (x > y) - (x < y);
}

static void
plant(struct tree *t)
{
	const struct waitlist *l = t->list;

	t->nodes = mem_calloc((size_t)l->nparties + 1, sizeof *t->nodes);
	t->below = mem_calloc((size_t)l->nparties + 1, sizeof *t->below);
	for (uint32_t i = 0; i < l->nparties; i++)
		if (l->parties[i].waits != NOBODY)
			t->below[t->nbelow++] = (struct below){i, &l->waits[l->parties[i].waits]};
	qsort(t->below, t->nbelow, sizeof *t->below, compare_below);
	for (uint32_t i = 0; i < t->nbelow; i++) {
		struct node *n = &t->nodes[node_of(t, t->below[i].wait->holder)];

		if (n->to == 0)
			n->from = n->at = i;
		n->to = i + 1;
	}
}

/* If the last one below the node that was printed waited for something else than the next one does,
 * or was the last of all: prints the line of those that were only counted. */
static void
end_of_group(const struct tree *t, struct node *n, unsigned level)
{
	const struct wait *last, *next;

	if (n->at == n->from)
		return;
	last = t->below[n->at - 1].wait;
	next = n->at < n->to ? t->below[n->at].wait : NULL;
	if (next && same_thing(last, next))
		return;
	if (n->more > 0)
		rest_line(t, n, last, level);
	n->alike = n->more = 0;
}

/* Prints the next one below the node, or counts it. Returns its number if there are others below
 * it, otherwise NOBODY. A party is marked as shown before those below it are looked at, so that a
 * circle ends. */
static uint32_t
print_next(struct tree *t, struct node *n, unsigned level)
{
	uint32_t party = t->below[n->at].party;
	const struct wait *w = t->below[n->at].wait;
	struct node *next = &t->nodes[party];
	bool leaf = next->from == next->to;

	n->at++;
	if (next->shown)
		return NOBODY;
	next->shown = true;
	if (leaf && n->alike >= TREE_SHOWN) {
		if (n->more++ == 0 || w->wait_ms > n->longest_ms)
			n->longest_ms = w->wait_ms;
		return NOBODY;
	}
	n->alike += leaf;
	waiter_line(t, w, level, false);
	return leaf ? NOBODY : party;
}

/* Prints all below the node. There can be as many levels as parties, so this does not call
 * itself. */
static void
print_below(struct tree *t, uint32_t top, unsigned level)
{
	uint32_t here = top;

	for (;;) {
		struct node *n = &t->nodes[here];
		uint32_t next;

		end_of_group(t, n, level);
		if (n->at == n->to) {
			if (here == top)
				return;
			here = n->above;
			level--;
			continue;
		}
		next = print_next(t, n, level);
		if (next != NOBODY) {
			t->nodes[next].above = here;
			here = next;
			level++;
		}
	}
}

/* A party that waits, and was not shown, waits in a circle, or for one: returns one of the
 * circle. */
static uint32_t
find_circle(const struct tree *t, uint32_t party)
{
	uint32_t mark = party + 1;

	while (t->nodes[party].seen != mark) {
		t->nodes[party].seen = mark;
		party = t->list->waits[t->list->parties[party].waits].holder;
	}
	return party;
}

/* Of a server or semaphore, one holder that goes on is enough. Is there such a one? Only the first
 * in a queue names all holders: if it is not shown, nobody knows. */
static bool
may_be_freed(const struct tree *t, const struct wait *w)
{
	const struct waitlist *l = t->list;
	bool all_known = false;

	if (strcmp(w->kind, "server") != 0 && strcmp(w->kind, "semaphore") != 0)
		return false;
	for (uint32_t i = 0; i < l->nwaits; i++) {
		if (!same_thing(&l->waits[i], w))
			continue;
		if (l->waits[i].holder == NOBODY || t->nodes[l->waits[i].holder].below_root)
			return true;
		all_known |= l->waits[i].first;
	}
	return !all_known;
}

/* Can the circle of this party end by what happens outside of it? */
static bool
has_way_out(const struct tree *t, uint32_t party)
{
	uint32_t at = party;

	do {
		const struct wait *w = &t->list->waits[t->list->parties[at].waits];

		if (may_be_freed(t, w))
			return true;
		at = w->holder;
	} while (at != party);
	return false;
}

static void
print_circles(struct tree *t)
{
	for (uint32_t i = 0; i < t->list->nparties; i++)
		t->nodes[i].below_root = t->nodes[i].shown;
	for (uint32_t i = 0; i < t->nbelow; i++) {
		uint32_t first;

		if (t->nodes[t->below[i].party].shown)
			continue;
		first = find_circle(t, t->below[i].party);
		heading(t, has_way_out(t, first)
			       ? "a circle: it ends when a session outside of it frees what one of "
				 "it waits for"
			       : "a circle: nobody of it can go on");
		t->nodes[first].shown = true;
		waiter_line(t, &t->list->waits[t->list->parties[first].waits], 1, true);
		print_below(t, first, 2);
	}
}

void
tree_print(const struct waitlist *list, bool only_own, unsigned width, FILE *to)
{
	struct tree t = {.list = list, .width = width, .to = to};
	struct node *nobodys;

	if (list->nwaits == 0) {
		fputs(only_own ? "none of your sessions waits\n" : "nobody waits\n", to);
		return;
	}
	plant(&t);
	for (uint32_t i = 0; i < list->nwaits; i++) {
		uint32_t holder = list->waits[i].holder;

		if (!waitlist_is_root(list, &list->waits[i]) || t.nodes[holder].shown)
			continue;
		t.nodes[holder].shown = true;
		root_lines(&t, &list->parties[holder]);
		print_below(&t, holder, 1);
	}
	nobodys = &t.nodes[list->nparties];
	if (nobodys->to > 0) {
		heading(&t,
			"held by no session: paused, or servers are being opened or cleaned up");
		print_below(&t, list->nparties, 1);
	}
	print_circles(&t);
	free(t.nodes);
	free(t.below);
}

/* May the holder of this wait wait itself, inside PostgreSQL? So it may if its statement runs, or
 * if nothing is known of it but that it has a server. */
static bool
may_wait_inside(const struct waitlist *list, const struct wait *w)
{
	const char *state = list->parties[w->holder].state;

	return strcmp(state, "running") == 0 || (*state == 0 && strcmp(w->kind, "server") == 0);
}

void
tree_hint(const struct waitlist *list, FILE *to)
{
	bool *counted = mem_calloc((size_t)list->nparties + 1, sizeof *counted);
	const struct party *first = NULL;
	unsigned count = 0;

	for (uint32_t i = 0; i < list->nwaits; i++) {
		const struct wait *w = &list->waits[i];

		if (!waitlist_is_root(list, w) || counted[w->holder] || !may_wait_inside(list, w))
			continue;
		counted[w->holder] = true;
		if (count++ == 0)
			first = &list->parties[w->holder];
	}
	free(counted);
	if (first == NULL)
		return;
	fprintf(to, "session %s", first->id);
	if (count > 1)
		fprintf(to, " and %u more", count - 1);
	fprintf(to, " may wait inside PostgreSQL: pgwith waits --with-server may show more\n");
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

/* The name of the node, in quotes. */
static void
dot_name(const struct waitlist *l, uint32_t party, FILE *to)
{
	const struct party *p = party == NOBODY ? NULL : &l->parties[party];

	fprintf(to, "\"%s%s\"", p && p->backend ? "backend " : "", p ? p->id : "nobody");
}

static void
dot_party(const struct waitlist *l, uint32_t party, FILE *to)
{
	const struct party *p = &l->parties[party];
	bool root = p->waits == NOBODY;
	struct buf b;

	buf_init(&b, LINE_MAX_BYTES);
	add_party(&b, p);
	buf_add_u8(&b, 0);
	fputc('\t', to);
	dot_name(l, party, to);
	fputs(" [label=\"", to);
	dot_text((const char *)buf_data(&b), to);
	if (root && *p->state) {
		fputs("\\n", to);
		dot_text(p->state, to);
	}
	fprintf(to, "\"%s];\n", root ? ", style=bold, color=red" : "");
	buf_clear(&b);
}

void
tree_dot(const struct waitlist *l, FILE *to)
{
	fputs("digraph waits {\n\trankdir=LR;\n", to);
	for (uint32_t i = 0; i < l->nparties; i++)
		if (l->parties[i].waits != NOBODY || l->parties[i].holds != NOBODY)
			dot_party(l, i, to);
	for (uint32_t i = 0; i < l->nwaits; i++) {
		const struct wait *w = &l->waits[i];

		fputc('\t', to);
		dot_name(l, w->waiter, to);
		fputs(" -> ", to);
		dot_name(l, w->holder, to);
		fputs(" [label=\"", to);
		dot_text(w->kind, to);
		fputc(' ', to);
		dot_text(w->name, to);
		fputs("\"];\n", to);
	}
	fputs("}\n", to);
}
