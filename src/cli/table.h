/* table: rows of text with typed columns, and three ways to print them. */
#ifndef PGWITH_CLI_TABLE_H
#define PGWITH_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum table_kind { TABLE_TEXT, TABLE_NUMBER, TABLE_BOOL };

enum table_format {
	TABLE_ALIGNED, /* columns as wide as they must be, numbers to the right */
	TABLE_JSON,    /* an array of objects; numbers, true, false and null as such */
	TABLE_CSV      /* RFC 4180; NULL is an empty field, an empty text is "" */
};

/* Of a cell: what it says. */
enum table_mood { TABLE_PLAIN, TABLE_GOOD, TABLE_WAITING, TABLE_BAD };

/* How a table is printed. */
struct table_look {
	enum table_format format;
	bool header;    /* the names of the columns come first (JSON has them anyway) */
	bool colour;    /* of aligned tables */
	unsigned width; /* of the terminal: an aligned table is made to fit in; 0: any */
};

struct table;

struct table *table_new(void);
void table_free(struct table *);

/* All columns come before the first row. */
void table_column(struct table *, const char *name, enum table_kind);

/* A cell for each column, which are copied; NULL is NULL. What is no UTF-8, and control
 * characters, are kept as \xNN. */
void table_row(struct table *, const char *const *cells);

unsigned table_rows(const struct table *);
unsigned table_columns(const struct table *);

/* A copy with one more column in front, which has the same text in every row. */
struct table *table_marked(const struct table *, const char *column, const char *text);

/* A cell by its column's name: NULL if the cell is, or if there is no such column. */
const char *table_cell(const struct table *, unsigned row, const char *column);
bool table_has(const struct table *, const char *column);

/* Only these columns are printed, in this order: `names` are separated by commas. Names that the
 * table does not have are left out; returns the first of those (inside `names`, with its length),
 * or NULL. */
const char *table_show(struct table *, const char *names, size_t *length);

/* This column is not left out of a line that is too long, and its text keeps TABLE_KEPT characters.
 */
void table_keep(struct table *, const char *column);
#define TABLE_KEPT 32

/* Texts too wide for the terminal are cut, which an ellipsis shows; if that is not enough, columns
 * at the right are left out, which a last line says. */
void table_print(const struct table *, const struct table_look *, FILE *);

/* By the names and words that the tables of the console have. */
enum table_mood table_mood(const char *column, const char *cell);
/* What switches a terminal to the colour of a mood, and back. */
const char *table_colour(enum table_mood);
#define TABLE_COLOUR_OFF "\033[0m"

#endif
