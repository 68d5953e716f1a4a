/* rows: the answer of a command, written row by row as protocol messages. PostgreSQL 15
 * documentation, 55.7 Message Formats: RowDescription, DataRow. */
#ifndef PGWITH_ADMIN_ROWS_H
#define PGWITH_ADMIN_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum column_type {
	COLUMN_TEXT,
	COLUMN_INT,     /* int4 */
	COLUMN_BIGINT,  /* int8 */
	COLUMN_NUMERIC, /* numeric; the type of PgBouncer's statistics */
	COLUMN_BOOL,
	COLUMN_BYTEA
};

struct column {
	const char *name;
	enum column_type type;
};

/* The rows of one command, and where they go. */
struct rows {
	struct buf *out;
	const struct column *columns;
	unsigned ncolumns;
	/* formats of the results, as in Bind: none (all text), one for all, or one for each column;
	 * 0 text, 1 binary */
	const uint16_t *formats;
	unsigned nformats;
	uint64_t count; /* number of rows so far */
	unsigned cell;  /* number of the next cell of the open row */
	size_t at;      /* where the message of the open row begins */
};

/* Adds the RowDescription. */
void rows_describe(const struct rows *);

/* For each row call rows_begin(), add a value for each column in their order, and call
 * rows_end(). */
void rows_begin(struct rows *);
void rows_end(struct rows *);

/* Adds a text. As a stranger may have made it, bytes that are no UTF-8, and control characters,
 * become \xNN. NULL is SQL NULL. */
void rows_text(struct rows *, const char *);
/* Adds a number, to a column of any numeric type. A number that is too large for an int4 column
 * becomes the largest int4. */
void rows_number(struct rows *, int64_t);
/* Adds a duration to a numeric column, as milliseconds with three decimals. */
void rows_ms(struct rows *, int64_t us);
void rows_bool(struct rows *, bool);
void rows_bytes(struct rows *, const void *, size_t bytes);
void rows_null(struct rows *);

#endif
