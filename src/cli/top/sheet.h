/* sheet: rows of cells under titles, which are filtered, sorted and laid out as lines. */
#ifndef PGWITH_CLI_TOP_SHEET_H
#define PGWITH_CLI_TOP_SHEET_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/top/lines.h"

struct sheet_column {
	const char *title;
	bool number; /* stands at the right; the largest comes first when it is sorted by */
	/* It takes this many columns of the terminal, if its texts are shorter: so that it stays
	 * where it is when its numbers change. */
	unsigned room;
	unsigned least; /* a text may be cut to this many columns of the terminal; 0: never cut */
	bool seldom;    /* it is shown only if a row has something there */
	/* If a line is too long, the column with the largest number is left out first; 0: never. */
	unsigned drop;
};

struct sheet;

struct sheet *sheet_new(const struct sheet_column *, unsigned ncolumns);
void sheet_free(struct sheet *);

/* Begins a row. Then a cell for each column is added, in their order. */
void sheet_row(struct sheet *, enum table_mood);
/* The row that was begun last is about this session. `scope`: what KILL SCOPE can name in it, ""
 * its innermost transaction. Both texts may be NULL; they are copied. */
void sheet_session(struct sheet *, uint64_t id, const char *scope, const char *who);
/* Adds a cell with a text (NULL: an empty one). */
void sheet_text(struct sheet *, const char *);
/* Adds a cell with a text that is sorted as `key`. */
void sheet_number(struct sheet *, double key, const char *text);
/* Adds a cell with a whole number; 0 is an empty text if `blank`. */
void sheet_count(struct sheet *, int64_t, bool blank);
/* Adds a cell with a duration for people: 4.2 s. Under 0: an empty text. */
void sheet_elapsed(struct sheet *, int64_t us);

unsigned sheet_rows(const struct sheet *);

/* Keeps only rows of which a cell, or `who`, contains this text, in any case of ASCII letters. */
void sheet_filter(struct sheet *, const char *text);

/* Sorts by a column (its number modulo the number of columns). `backwards`: the other way round.
 * Rows that are equal keep their order. */
void sheet_sort(struct sheet *, unsigned column, bool backwards);

/* Adds the titles and up to `most` rows (0: all), no line wider than `width` (0: no limit). Behind
 * fewer rows than there are, a line says how many more. `sorted`: the column that is marked in the
 * titles; -1: none. */
void sheet_lines(const struct sheet *, unsigned width, unsigned most, int sorted, struct lines *);

#endif
