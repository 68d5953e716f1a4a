/* table: rows of text with typed columns, and three ways to print them. */
#ifndef PGWITH_CLI_TABLE_H
#define PGWITH_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum table_kind { TABLE_TEXT, TABLE_NUMBER, TABLE_BOOL };

enum table_format {
	TABLE_ALIGNED, /* columns as wide as needed, numbers at the right */
	TABLE_JSON,    /* an array of objects; numbers, true, false and null as such */
	TABLE_CSV      /* RFC 4180; NULL is an empty field, an empty text is "" */
};

/* Whether a cell is good or bad news; decides its colour. */
enum table_mood { TABLE_PLAIN, TABLE_GOOD, TABLE_WAITING, TABLE_BAD };

/* How to print a table. */
struct table_look {
	enum table_format format;
	bool header;    /* print the names of the columns first (JSON has them anyway) */
	bool colour;    /* of aligned tables only */
	unsigned width; /* of the terminal, which an aligned table is made to fit; 0: no limit */
};

struct table;

struct table *table_new(void);
void table_free(struct table *);

/* Adds a column. All columns are added before the first row. */
void table_column(struct table *, const char *name, enum table_kind);

/* Adds a row, with a cell for each column; copies the texts. NULL is NULL. Bytes that are no UTF-8,
 * and control characters, are kept as \xNN. */
void table_row(struct table *, const char *const *cells);

/* Adds a copy of a row of another table that has the same columns. */
void table_copy_row(struct table *, const struct table *from, unsigned row);

unsigned table_rows(const struct table *);
unsigned table_columns(const struct table *);

/* A new table with the same columns and no rows. */
struct table *table_empty(const struct table *);

/* A copy with one more column in front, which has the same text in every row. */
struct table *table_marked(const struct table *, const char *column, const char *text);

/* The cell of a column; NULL if it is NULL, or there is no such column. */
const char *table_cell(const struct table *, unsigned row, const char *column);
/* The same by the number of the column, from 0 on; and the column's name. */
const char *table_name(const struct table *, unsigned column);
const char *table_at(const struct table *, unsigned row, unsigned column);
bool table_has(const struct table *, const char *column);

/* Prints only these columns, in this order; `names` are separated by commas. Names that the table
 * does not have are ignored; returns the first of them (inside `names`, with its length), or
 * NULL. */
const char *table_show(struct table *, const char *names, size_t *length);

/* Never leaves out this column to make a line fit, and keeps at least TABLE_KEPT characters of its
 * text. */
void table_keep(struct table *, const char *column);
#define TABLE_KEPT 32

/* Prints the table. Texts that are too wide for the terminal are cut and end in an ellipsis; if
 * that is not enough, columns at the right are left out, and a last line says so. */
void table_print(const struct table *, const struct table_look *, FILE *);

/* The mood of a cell, by the names and words in the tables of the console. */
enum table_mood table_mood(const char *column, const char *cell);
/* The sequence that switches a terminal to the colour of a mood, and the one that switches it
 * back. */
const char *table_colour(enum table_mood);
#define TABLE_COLOUR_OFF "\033[0m"

#endif
