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
	COLUMN_NUMERIC, /* numeric. PgBouncer has its statistics so */
	COLUMN_BOOL
};

struct column {
	const char *name;
	enum column_type type;
};

/* Where the rows of one command go. */
struct rows {
	struct buf *out;
	const struct column *columns;
	unsigned ncolumns;
	const uint16_t *formats; /* of the results, as Bind has them: none (all text), one for all,
				    or one a column; 0 text, 1 binary */
	unsigned nformats;
	uint64_t count; /* rows so far */
	unsigned cell;  /* the next one of the row that is open */
	size_t at;      /* where its message begins */
};

/* RowDescription. */
void rows_describe(const struct rows *);

/* A row is rows_begin(), a value for each column in their order, rows_end(). */
void rows_begin(struct rows *);
void rows_end(struct rows *);

/* A text may come from a stranger: what is no UTF-8, and control characters, get in as \xNN. NULL
 * is NULL. */
void rows_text(struct rows *, const char *);
/* For every numeric type. A number that is too large for an int4 column is its largest. */
void rows_number(struct rows *, int64_t);
/* A duration as milliseconds with three decimals, in a numeric column. */
void rows_ms(struct rows *, int64_t us);
void rows_bool(struct rows *, bool);
void rows_null(struct rows *);

#endif
