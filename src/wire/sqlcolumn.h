/* sqlcolumn: t.name in a text is the column of that name, or, if t has none, a call of the function
 * name(t) (PostgreSQL 15 source, ParseFuncOrColumn()). PostgreSQL notices when a column goes, but
 * not when a function is created that fits the call better. So a text can be answered by an
 * earlier analysis (sqlonce.h) if each t.name in it is known to be a column.
 *
 * That is known of two kinds:
 * - A SELECT without another one inside of it: each t.name stands in its list as well, and begins a
 *   result column there. RowDescription gives a table only for a result column that is a column of
 *   a table and nothing else, so it says whether t.name is one. What is the same name elsewhere in
 *   the SELECT is the same column.
 * - INSERT: behind ON CONFLICT, t.name of the table itself or of `excluded`, where `name` is one of
 *   the columns that the INSERT lists. */
#ifndef PGWITH_WIRE_SQLCOLUMN_H
#define PGWITH_WIRE_SQLCOLUMN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SQLCOLUMN_MAX 64 /* result columns that are looked at; columns of an INSERT */

/* Are the names of a statement all columns, if the result columns of *told are those of tables (bit
 * i: the column i, from 0)? False: they cannot be told from calls. A text without such names gives
 * true, and 0 in *told. The names of tables (schema.t) are told from them by where they stand;
 * s.f(x), which is a call in any case, is left to the caller. */
bool sqlcolumn(const char *sql, size_t bytes, uint64_t *told);

/* Which columns are those of tables, as a RowDescription with that body says: for *told above. */
uint64_t sqlcolumn_of_tables(const uint8_t *body, size_t bytes);

#endif
