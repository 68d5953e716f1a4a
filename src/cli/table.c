#include "cli/table.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cli/columns.h"

#define CELL_MAX (64u << 20) /* bytes of a cell */
#define GAP      2           /* spaces between two columns */

struct column {
	char *name;
	enum table_kind kind;
};

struct table {
	struct column *columns;
	unsigned ncolumns;
	char **cells; /* all cells, row by row */
	size_t nrows, room;
	unsigned *shown; /* columns to print, in this order; NULL: all */
	unsigned nshown;
	int kept; /* the column that table_keep() names; -1: none */
};

struct table *
table_new(void)
{
	struct table *t = mem_calloc(1, sizeof *t);

	t->kept = -1;
	return t;
}

void
table_free(struct table *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->nrows * t->ncolumns; i++)
		free(t->cells[i]);
	for (unsigned i = 0; i < t->ncolumns; i++)
		free(t->columns[i].name);
	free(t->cells);
	free(t->columns);
	free(t->shown);
	free(t);
}

static char *
clean_copy(const char *text)
{
	struct buf b;
	char *copy;

	buf_init(&b, CELL_MAX);
	buf_add_clean(&b, text, strlen(text));
	copy = b.len ? mem_strndup((const char *)buf_data(&b), b.len) : mem_strdup("");
	buf_clear(&b);
	return copy;
}

void
table_column(struct table *t, const char *name, enum table_kind kind)
{
	t->columns = mem_realloc(t->columns, (t->ncolumns + 1) * sizeof *t->columns);
	t->columns[t->ncolumns++] = (struct column){clean_copy(name), kind};
}

void
table_row(struct table *t, const char *const *cells)
{
	if (t->nrows == t->room) {
		t->room = t->room ? 2 * t->room : 64;
		t->cells = mem_realloc(t->cells, t->room * t->ncolumns * sizeof *t->cells);
	}
	for (unsigned i = 0; i < t->ncolumns; i++)
		t->cells[t->nrows * t->ncolumns + i] = cells[i] ? clean_copy(cells[i]) : NULL;
	t->nrows++;
}

void
table_copy_row(struct table *t, const struct table *from, unsigned row)
{
	unsigned n = table_columns(from);
	const char **cells = mem_calloc(n + 1, sizeof *cells);

	for (unsigned i = 0; i < n; i++)
		cells[i] = table_at(from, row, i);
	table_row(t, cells);
	free(cells);
}

unsigned
table_rows(const struct table *t)
{
	return (unsigned)t->nrows;
}

unsigned
table_columns(const struct table *t)
{
	return t->ncolumns;
}

struct table *
table_empty(const struct table *t)
{
	struct table *to = table_new();

	for (unsigned i = 0; i < t->ncolumns; i++)
		table_column(to, t->columns[i].name, t->columns[i].kind);
	return to;
}

struct table *
table_marked(const struct table *t, const char *column, const char *text)
{
	struct table *to = table_new();
	const char **cells = mem_calloc(t->ncolumns + 1, sizeof *cells);

	table_column(to, column, TABLE_TEXT);
	for (unsigned i = 0; i < t->ncolumns; i++)
		table_column(to, t->columns[i].name, t->columns[i].kind);
	for (size_t row = 0; row < t->nrows; row++) {
		cells[0] = text;
		for (unsigned i = 0; i < t->ncolumns; i++)
			cells[1 + i] = t->cells[row * t->ncolumns + i];
		table_row(to, cells);
	}
	free(cells);
	to->kept = t->kept < 0 ? -1 : t->kept + 1;
	if (t->shown) {
		to->shown = mem_calloc(t->nshown + 1, sizeof *to->shown);
		for (unsigned i = 0; i < t->nshown; i++)
			to->shown[1 + i] = t->shown[i] + 1;
		to->nshown = t->nshown + 1;
	}
	return to;
}

static int
find_column(const struct table *t, const char *name, size_t length)
{
	for (unsigned i = 0; i < t->ncolumns; i++)
		if (strlen(t->columns[i].name) == length &&
		    strncmp(t->columns[i].name, name, length) == 0)
			return (int)i;
	return -1;
}

bool
table_has(const struct table *t, const char *column)
{
	return find_column(t, column, strlen(column)) >= 0;
}

const char *
table_cell(const struct table *t, unsigned row, const char *column)
{
	int i = find_column(t, column, strlen(column));

	return i < 0 || row >= t->nrows ? NULL : t->cells[(size_t)row * t->ncolumns + (size_t)i];
}

const char *
table_name(const struct table *t, unsigned column)
{
	return t->columns[column].name;
}

const char *
table_at(const struct table *t, unsigned row, unsigned column)
{
	return column >= t->ncolumns || row >= t->nrows
		   ? NULL
		   : t->cells[(size_t)row * t->ncolumns + column];
}

void
table_keep(struct table *t, const char *column)
{
	t->kept = find_column(t, column, strlen(column));
}

const char *
table_show(struct table *t, const char *names, size_t *length)
{
	const char *missing = NULL;

	free(t->shown);
	t->shown = mem_calloc(strlen(names) + 1, sizeof *t->shown);
	t->nshown = 0;
	while (*names) {
		size_t n = strcspn(names, ",");
		int i = find_column(t, names, n);

		if (i >= 0) {
			t->shown[t->nshown++] = (unsigned)i;
		} else if (missing == NULL) {
			missing = names;
			*length = n;
		}
		names += n + (names[n] == ',');
	}
	return missing;
}

/* ---- what is printed ---- */

static unsigned
shown_count(const struct table *t)
{
	return t->shown ? t->nshown : t->ncolumns;
}

static unsigned
shown(const struct table *t, unsigned i)
{
	return t->shown ? t->shown[i] : i;
}

static const char *
cell(const struct table *t, size_t row, unsigned column)
{
	return t->cells[row * t->ncolumns + column];
}

/* ---- aligned ---- */

static size_t
width(const char *text)
{
	return columns_of(text, strlen(text));
}

static void
spaces(size_t n, FILE *to)
{
	while (n-- > 0)
		fputc(' ', to);
}

enum table_mood
table_mood(const char *column, const char *cell)
{
	static const struct {
		const char *columns,
		    *words; /* separated by blanks; no words: a number over 0, or any text */
		enum table_mood mood;
	} moods[] = {
	    {" state phase level ", " active leased ok running open held good ", TABLE_GOOD},
	    {" state phase level ",
	     " waiting entering cancel leaving closing cancelling draining rolling_back restoring "
	     "connecting checking finishing emptying stopping warning ",
	     TABLE_WAITING},
	    {" state phase level ", " expired failed broken disabled problem error ", TABLE_BAD},
	    {" cl_waiting cl_waiting_lock waiting for_locks maxwait longest_wait_ms paused "
	     "disabled ",
	     NULL, TABLE_WAITING},
	    {" last_error trouble cleanup_why open_fails wait_fails ", NULL, TABLE_BAD},
	};
	char *name = mem_printf(" %s ", column), *word = mem_printf(" %s ", cell ? cell : "");
	enum table_mood mood = TABLE_PLAIN;

	for (unsigned i = 0; cell && *cell && i < sizeof moods / sizeof *moods; i++)
		if (strstr(moods[i].columns, name) &&
		    (moods[i].words ? strstr(moods[i].words, word) != NULL
				    : strspn(cell, "0.") != strlen(cell)))
			mood = moods[i].mood;
	free(name);
	free(word);
	return mood;
}

const char *
table_colour(enum table_mood mood)
{
	static const char *const colours[] = {"", "\033[32m", "\033[33m", "\033[1;31m"};

	return colours[mood];
}

/* An aligned table that is being printed. */
struct aligned {
	const struct table *t;
	const struct table_look *look;
	unsigned *columns; /* those that are printed */
	size_t *widths;    /* their widths */
	unsigned n;        /* how many */
	FILE *to;
};

/* Prints a cell. The last one of a line gets no spaces behind it. */
static void
aligned_cell(const struct aligned *a, unsigned i, const char *text, const char *colour)
{
	bool right = a->t->columns[a->columns[i]].kind == TABLE_NUMBER, last = i + 1 == a->n;
	size_t room = a->widths[i], bytes = strlen(text), w = width(text);
	bool cut = w > room;

	if (cut) {
		bytes = columns_fit(text, bytes, room - 1);
		w = columns_of(text, bytes) + 1;
	}
	if (right)
		spaces(room - w, a->to);
	fprintf(a->to, "%s%.*s%s%s", colour, (int)bytes, text, cut ? "\xe2\x80\xa6" : "",
		*colour ? TABLE_COLOUR_OFF : "");
	if (!right && !last)
		spaces(room - w, a->to);
	if (last)
		fputc('\n', a->to);
	else
		spaces(GAP, a->to);
}

static size_t
line_width(const struct aligned *a)
{
	size_t sum = 0;

	for (unsigned i = 0; i < a->n; i++)
		sum += a->widths[i] + (i ? GAP : 0);
	return sum;
}

#define NARROWEST 8 /* a text is not made narrower than this */

static size_t
least_width(const struct aligned *a, unsigned i)
{
	return (int)a->columns[i] == a->t->kept ? TABLE_KEPT : NARROWEST;
}

/* Leaves out the rightmost column that may be left out. False if there is none. */
static bool
leave_one_out(struct aligned *a)
{
	unsigned i = a->n;

	while (i > 1 && (int)a->columns[i - 1] == a->t->kept)
		i--;
	if (i <= 1)
		return false;
	for (; i < a->n; i++) {
		a->columns[i - 1] = a->columns[i];
		a->widths[i - 1] = a->widths[i];
	}
	a->n--;
	return true;
}

/* Makes the table fit: makes the widest text narrower again and again, then leaves out columns at
 * the right. */
static void
fit_to_width(struct aligned *a)
{
	size_t room = a->look->width;

	while (room && line_width(a) > room) {
		unsigned widest = a->n;

		for (unsigned i = 0; i < a->n; i++)
			if (a->t->columns[a->columns[i]].kind == TABLE_TEXT &&
			    a->widths[i] > least_width(a, i) &&
			    (widest == a->n || a->widths[i] > a->widths[widest]))
				widest = i;
		if (widest < a->n)
			a->widths[widest]--;
		else if (!leave_one_out(a))
			break;
	}
	/* If that is not enough, the texts that are kept are made narrower. */
	for (unsigned i = a->n; room && i-- > 0;)
		while (a->t->columns[a->columns[i]].kind == TABLE_TEXT &&
		       a->widths[i] > NARROWEST && line_width(a) > room)
			a->widths[i]--;
}

static void
measure_columns(struct aligned *a)
{
	for (unsigned i = 0; i < a->n; i++) {
		unsigned c = a->columns[i] = shown(a->t, i);

		a->widths[i] = a->look->header ? width(a->t->columns[c].name) : 0;
		for (size_t row = 0; row < a->t->nrows; row++) {
			size_t w = cell(a->t, row, c) ? width(cell(a->t, row, c)) : 0;

			if (w > a->widths[i])
				a->widths[i] = w;
		}
	}
}

static void
print_aligned(const struct table *t, const struct table_look *look, FILE *to)
{
	unsigned n = shown_count(t);
	struct aligned a = {.t = t,
			    .look = look,
			    .columns = mem_calloc(n + 1, sizeof(unsigned)),
			    .widths = mem_calloc(n + 1, sizeof(size_t)),
			    .n = n,
			    .to = to};

	measure_columns(&a);
	fit_to_width(&a);
	for (unsigned i = 0; look->header && i < a.n; i++)
		aligned_cell(&a, i, t->columns[a.columns[i]].name, look->colour ? "\033[1m" : "");
	for (size_t row = 0; row < t->nrows; row++)
		for (unsigned i = 0; i < a.n; i++) {
			unsigned c = a.columns[i];
			const char *text = cell(t, row, c);

			aligned_cell(
			    &a, i, text ? text : "",
			    look->colour ? table_colour(table_mood(t->columns[c].name, text)) : "");
		}
	if (a.n < n && look->header)
		fprintf(to, "(%u more columns do not fit: -o NAMES, --all)\n", n - a.n);
	free(a.columns);
	free(a.widths);
}

/* ---- JSON ---- */

/* RFC 8259, section 7. Cells have no control characters; they are escaped all the same. */
static void
json_text(const char *text, FILE *to)
{
	fputc('"', to);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(to, "\\%c", c);
		else if (c < 0x20)
			fprintf(to, "\\u%04x", c);
		else
			fputc(c, to);
	}
	fputc('"', to);
}

static const char *
skip_digits(const char *p)
{
	while (isdigit((unsigned char)*p))
		p++;
	return p;
}

/* RFC 8259, section 6. Not every number of PostgreSQL is one there (NaN). */
static bool
is_number(const char *p)
{
	const char *after;

	p += *p == '-';
	after = skip_digits(p);
	if (after == p || (*p == '0' && after - p > 1))
		return false;
	p = after;
	if (*p == '.') {
		after = skip_digits(p + 1);
		if (after == p + 1)
			return false;
		p = after;
	}
	if (*p == 'e' || *p == 'E') {
		p += p[1] == '+' || p[1] == '-' ? 2 : 1;
		after = skip_digits(p);
		if (after == p)
			return false;
		p = after;
	}
	return *p == 0;
}

static void
json_value(const char *text, enum table_kind kind, FILE *to)
{
	if (text == NULL)
		fputs("null", to);
	else if (kind == TABLE_NUMBER && is_number(text))
		fputs(text, to);
	else if (kind == TABLE_BOOL)
		fputs(*text == 't' ? "true" : "false", to);
	else
		json_text(text, to);
}

static void
print_json(const struct table *t, FILE *to)
{
	unsigned n = shown_count(t);

	fputc('[', to);
	for (size_t row = 0; row < t->nrows; row++) {
		fputs(row ? ",\n {" : "\n {", to);
		for (unsigned i = 0; i < n; i++) {
			unsigned c = shown(t, i);

			if (i > 0)
				fputs(", ", to);
			json_text(t->columns[c].name, to);
			fputs(": ", to);
			json_value(cell(t, row, c), t->columns[c].kind, to);
		}
		fputc('}', to);
	}
	fputs(t->nrows ? "\n]\n" : "]\n", to);
}

/* ---- CSV ---- */

static void
csv_field(const char *text, FILE *to)
{
	if (text == NULL)
		return;
	if (*text && strpbrk(text, ",\"\r\n") == NULL) {
		fputs(text, to);
		return;
	}
	fputc('"', to);
	for (; *text; text++) {
		if (*text == '"')
			fputc('"', to);
		fputc(*text, to);
	}
	fputc('"', to);
}

static void
print_csv(const struct table *t, bool header, FILE *to)
{
	unsigned n = shown_count(t);

	for (unsigned i = 0; header && i < n; i++) {
		csv_field(t->columns[shown(t, i)].name, to);
		fputs(i + 1 == n ? "\n" : ",", to);
	}
	for (size_t row = 0; row < t->nrows; row++)
		for (unsigned i = 0; i < n; i++) {
			csv_field(cell(t, row, shown(t, i)), to);
			fputs(i + 1 == n ? "\n" : ",", to);
		}
}

void
table_print(const struct table *t, const struct table_look *look, FILE *to)
{
	switch (look->format) {
	case TABLE_ALIGNED:
		print_aligned(t, look, to);
		break;
	case TABLE_JSON:
		print_json(t, to);
		break;
	case TABLE_CSV:
		print_csv(t, look->header, to);
		break;
	}
}
