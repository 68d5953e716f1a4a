#include "cli/top/sheet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/units.h"

#define GAP         2
#define COLUMNS_MAX 16

struct cell {
	char *text;
	double key;
};

struct row {
	struct cell *cells;
	unsigned ncells;
	unsigned number; /* in the order in which they were added */
	enum table_mood mood;
	uint64_t session;
	char *scope, *who;
};

struct sheet {
	const struct sheet_column *columns;
	unsigned ncolumns;
	struct row *rows;
	unsigned nrows, room;
};

struct sheet *
sheet_new(const struct sheet_column *columns, unsigned ncolumns)
{
	struct sheet *s = mem_calloc(1, sizeof *s);

	s->columns = columns;
	s->ncolumns = ncolumns;
	return s;
}

static void
clear_row(struct row *r)
{
	for (unsigned i = 0; i < r->ncells; i++)
		free(r->cells[i].text);
	free(r->cells);
	free(r->scope);
	free(r->who);
}

void
sheet_free(struct sheet *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; i < s->nrows; i++)
		clear_row(&s->rows[i]);
	free(s->rows);
	free(s);
}

void
sheet_row(struct sheet *s, enum table_mood mood)
{
	if (s->nrows == s->room) {
		s->room = s->room ? 2 * s->room : 32;
		s->rows = mem_realloc(s->rows, s->room * sizeof *s->rows);
	}
	s->rows[s->nrows] =
	    (struct row){.cells = mem_calloc(s->ncolumns, sizeof *s->rows[s->nrows].cells),
			 .number = s->nrows,
			 .mood = mood};
	s->nrows++;
}

void
sheet_session(struct sheet *s, uint64_t id, const char *scope, const char *who)
{
	struct row *r = &s->rows[s->nrows - 1];

	r->session = id;
	r->scope = scope ? mem_strdup(scope) : NULL;
	r->who = who ? mem_strdup(who) : NULL;
}

void
sheet_number(struct sheet *s, double key, const char *text)
{
	struct row *r = &s->rows[s->nrows - 1];

	if (r->ncells < s->ncolumns)
		r->cells[r->ncells++] =
		    (struct cell){.text = lines_fitted(text ? text : "", 0), .key = key};
}

void
sheet_text(struct sheet *s, const char *text)
{
	sheet_number(s, 0, text);
}

void
sheet_count(struct sheet *s, int64_t count, bool blank)
{
	char text[24];

	snprintf(text, sizeof text, "%lld", (long long)count);
	sheet_number(s, (double)count, count == 0 && blank ? "" : text);
}

void
sheet_elapsed(struct sheet *s, int64_t us)
{
	char text[32];

	sheet_number(s, (double)us, us < 0 ? "" : units_elapsed_str(us, text, sizeof text));
}

unsigned
sheet_rows(const struct sheet *s)
{
	return s->nrows;
}

/* ---- filter and order ---- */

static bool
matches(const struct row *r, const char *text)
{
	for (unsigned i = 0; i < r->ncells; i++)
		if (strcasestr(r->cells[i].text, text))
			return true;
	return (r->who && strcasestr(r->who, text)) || (r->scope && strcasestr(r->scope, text));
}

void
sheet_filter(struct sheet *s, const char *text)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < s->nrows; i++)
		if (matches(&s->rows[i], text))
			s->rows[kept++] = s->rows[i];
		else
			clear_row(&s->rows[i]);
	s->nrows = kept;
}

struct order {
	unsigned column;
	bool number, backwards;
};

static int
compare(const void *a, const void *b, void *arg)
{
	const struct row *x = a, *y = b;
	const struct order *o = arg;
	const struct cell *p = &x->cells[o->column], *q = &y->cells[o->column];
	int r = o->number ? (p->key < q->key) - (p->key > q->key)
			  : strcasecmp(p->text ? p->text : "", q->text ? q->text : "");

	if (r == 0)
		return (x->number > y->number) - (x->number < y->number);
	return o->backwards ? -r : r;
}

void
sheet_sort(struct sheet *s, unsigned column, bool backwards)
{
	struct order o = {.column = column % s->ncolumns, .backwards = backwards};

	o.number = s->columns[o.column].number;
	if (s->nrows > 1)
		qsort_r(s->rows, s->nrows, sizeof *s->rows, compare, &o);
}

/* ---- lines ---- */

/* Which columns are shown, and how wide. */
struct layout {
	unsigned columns[COLUMNS_MAX], widths[COLUMNS_MAX], n;
};

static unsigned
width_of(const struct layout *l)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < l->n; i++)
		sum += l->widths[i] + (i ? GAP : 0);
	return sum;
}

/* Makes the widest text that may be cut narrower by one. False if none may be. */
static bool
narrow(const struct sheet *s, struct layout *l)
{
	unsigned widest = l->n;

	for (unsigned i = 0; i < l->n; i++) {
		unsigned least = s->columns[l->columns[i]].least;

		if (least && l->widths[i] > least &&
		    (widest == l->n || l->widths[i] > l->widths[widest]))
			widest = i;
	}
	if (widest == l->n)
		return false;
	l->widths[widest]--;
	return true;
}

/* Leaves out the column that can best be spared. False if all are needed. */
static bool
leave_out(const struct sheet *s, struct layout *l)
{
	unsigned spare = l->n;

	for (unsigned i = 0; i < l->n; i++)
		if (s->columns[l->columns[i]].drop &&
		    (spare == l->n ||
		     s->columns[l->columns[i]].drop > s->columns[l->columns[spare]].drop))
			spare = i;
	if (spare == l->n)
		return false;
	for (unsigned i = spare + 1; i < l->n; i++) {
		l->columns[i - 1] = l->columns[i];
		l->widths[i - 1] = l->widths[i];
	}
	l->n--;
	return true;
}

static bool
is_sorted(const struct sheet *s, unsigned column, int sorted)
{
	return sorted >= 0 && column == (unsigned)sorted % s->ncolumns;
}

/* All columns that have something to show, as wide as they want to be. */
static void
measure(const struct sheet *s, unsigned rows, int sorted, struct layout *l)
{
	l->n = 0;
	for (unsigned i = 0; i < s->ncolumns && l->n < COLUMNS_MAX; i++) {
		unsigned title = lines_width(s->columns[i].title) + is_sorted(s, i, sorted);
		unsigned widest = 0;

		for (unsigned row = 0; row < rows; row++) {
			const char *text = s->rows[row].cells[i].text;
			unsigned w = text ? lines_width(text) : 0;

			if (w > widest)
				widest = w;
		}
		if (widest == 0 && s->columns[i].seldom)
			continue;
		if (widest < title)
			widest = title;
		l->columns[l->n] = i;
		l->widths[l->n++] = widest < s->columns[i].room ? s->columns[i].room : widest;
	}
}

static void
lay_out(const struct sheet *s, unsigned width, unsigned rows, int sorted, struct layout *l)
{
	measure(s, rows, sorted, l);
	if (width == 0)
		return;
	for (;;) {
		struct layout tried = *l;

		while (width_of(&tried) > width && narrow(s, &tried))
			;
		if (width_of(&tried) <= width || !leave_out(s, l)) {
			*l = tried;
			return;
		}
	}
}

/* Prints a cell into the line, padded; the last one of a line gets no spaces behind it. */
static void
put_cell(FILE *to, const struct sheet *s, const struct layout *l, unsigned i, const char *text)
{
	char *cut = lines_fitted(text, l->widths[i]);
	int pad = (int)(l->widths[i] - lines_width(cut));
	bool right = s->columns[l->columns[i]].number, last = i + 1 == l->n;

	fprintf(to, "%s%*s%s%*s", i ? "  " : "", right ? pad : 0, "", cut, right || last ? 0 : pad,
		"");
	free(cut);
}

static char *
title_line(const struct sheet *s, const struct layout *l, int sorted)
{
	char *text = NULL;
	size_t bytes;
	FILE *to = open_memstream(&text, &bytes);

	for (unsigned i = 0; to && i < l->n; i++) {
		bool mark = is_sorted(s, l->columns[i], sorted);
		char *title = mem_printf("%s%s", s->columns[l->columns[i]].title, mark ? "*" : "");

		put_cell(to, s, l, i, title);
		free(title);
	}
	if (to)
		fclose(to);
	return text ? text : mem_strdup("");
}

static char *
row_line(const struct sheet *s, const struct layout *l, const struct row *r)
{
	char *text = NULL;
	size_t bytes;
	FILE *to = open_memstream(&text, &bytes);

	for (unsigned i = 0; to && i < l->n; i++)
		put_cell(to, s, l, i,
			 r->cells[l->columns[i]].text ? r->cells[l->columns[i]].text : "");
	if (to)
		fclose(to);
	return text ? text : mem_strdup("");
}

void
sheet_lines(const struct sheet *s, unsigned width, unsigned most, int sorted, struct lines *to)
{
	bool more = most && s->nrows > most;
	unsigned rows = !more ? s->nrows : most > 1 ? most - 1 : 1;
	struct layout l;
	char *text;

	lay_out(s, width, rows, sorted, &l);
	text = title_line(s, &l, sorted);
	lines_add(to, LINE_TITLE, TABLE_PLAIN, width, text);
	free(text);
	for (unsigned i = 0; i < rows; i++) {
		const struct row *r = &s->rows[i];
		struct line *line;

		text = row_line(s, &l, r);
		line = lines_add(to, LINE_PLAIN, r->mood, width, text);
		line->session = r->session;
		line->scope = r->scope ? mem_strdup(r->scope) : NULL;
		line->who = r->who ? mem_strdup(r->who) : NULL;
		free(text);
	}
	if (more && most > 1) {
		text = mem_printf("  and %u more", s->nrows - rows);
		lines_add(to, LINE_FAINT, TABLE_PLAIN, width, text);
		free(text);
	}
}
