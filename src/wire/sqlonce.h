/* sqlonce: may a Parse be answered by an analysis that PostgreSQL has made of the same text before?
 *
 * PostgreSQL looks after a prepared statement itself (15 source, plancache.c). At each use it makes
 * the analysis anew if something has changed that the analysis rests on: a table or view that the
 * text names, a function of a user's that the text calls, any schema, any operator, search_path,
 * the role where row security counts. What is new then is what a new Parse would find; if the
 * result would get other columns, the use fails (0A000). So an old analysis differs from a new one
 * only where PostgreSQL does not look again:
 *
 * - Types of parameters that PostgreSQL has inferred are fixed at the Parse. If a column becomes
 *   text, `a = $1` would give $1 another type now, and '007' is another value than 7. A type that
 *   the Parse gives, or a cast behind each place of the parameter, fixes it for a new Parse too:
 *   otherwise SQLONCE_INFERS. A type of a user's can be dropped and made again: SQLONCE_CHOOSES.
 * - A literal is turned into a value at the Parse. 'now' and 'today' are the time of then:
 *   SQLONCE_NEVER. A date or time that is not in the form of ISO 8601 depends on DateStyle, one
 *   with a time zone and no offset on TimeZone, which the server's configuration may change:
 *   SQLONCE_CHOOSES. So do NULL in an array on array_nulls, and a = NULL on transform_null_equals.
 *   Labels of enums may be renamed, and 'name'::regproc and its like may be of another function
 *   now: a literal is harmless only if a built-in type stands beside it, otherwise
 *   SQLONCE_CHOOSES.
 * - A call f(x) means the function whose arguments fit best. A better one can be created, which
 *   PostgreSQL does not notice: SQLONCE_CHOOSES. Exceptions: what is no call but grammar
 *   (coalesce, cast, extract ...), and functions of pg_catalog that have no argument, which
 *   nothing fits better: pg_catalog comes first. Many words of the grammar (filter, set, like ...)
 *   may be the name of a function, too, and are told by what stands before them.
 * - ROW(a, b), stored where a composite type is wanted, has a value for each of its attributes. It
 *   may get others, unnoticed: SQLONCE_CHOOSES. Without ROW, (a, b) is mostly compared with another
 *   one, and is not told from that.
 * - A function in FROM gives the columns that its type had: SQLONCE_CHOOSES, as it is a call. So is
 *   (x).field, which is a number in a composite type, and x COLLATE name.
 *   So is ON CONFLICT ON CONSTRAINT name: ALTER INDEX renames the constraint, too, unnoticed.
 * - t.name is a call of the function name(t) where t has no column of that name. SQLONCE_COLUMNS if
 *   the answer to a Describe tells which it is, SQLONCE_CHOOSES if nothing does (sqlcolumn.h).
 * - A cast to a type of a user's: SQLONCE_CHOOSES.
 * - Operators: PostgreSQL drops all analyses when any operator is created or dropped.
 * - A view, a domain, a column's type, a rule, a policy: PostgreSQL notices. But not a new DEFAULT
 *   of a domain, a constraint of a domain that another domain is made of, or that a rule is gone
 *   which had left nothing of the statement (prepared_note_unwritten()).
 *
 * What is left, whatever the text: a new table or type may hide the old one in an earlier schema of
 * search_path (a function, too, if pg_catalog stands behind that schema there). With the usual one,
 * "$user" and public, there is no earlier one: if one is made, PostgreSQL notices that. A new cast
 * may make another operator fit. If t loses the column of t.name, that may become a call of a
 * function which is there, and of which a better one may be created. And a role may get or lose
 * BYPASSRLS, or the membership that a policy of row security or the USAGE of a schema is for.
 * PostgreSQL notices none of these. The caller bounds that by time, and by what it knows of DDL.
 *
 * Beside the analysis, a Parse may say something: a notice that a name of 64 bytes or more is cut,
 * a warning of a backslash in a literal. Such texts are SQLONCE_NEVER, as are utility statements,
 * whose analysis PostgreSQL does not keep, and texts that can be read in two ways.
 *
 * The columns of the result. They may change while everything else stays:
 * - SQLONCE_GROWS: when a table gets a column: `*` in a select list or RETURNING, TABLE t.
 * - SQLONCE_ROWS: the statement has a result at all. Its columns change when a column gets another
 *   type, a view is made again, or a new column takes a name in a subquery that was an outer one.
 *   The type of a whole row (SELECT t FROM t) stays when the table gets a column. */
#ifndef PGWITH_WIRE_SQLONCE_H
#define PGWITH_WIRE_SQLONCE_H

#include <stddef.h>
#include <stdint.h>

enum {
	SQLONCE_NEVER = 1,   /* the text must be parsed each time */
	SQLONCE_INFERS = 2,  /* the type of a parameter is inferred */
	SQLONCE_CHOOSES = 4, /* what a name or literal means may be chosen anew, unnoticed */
	SQLONCE_ROWS = 8,    /* the statement has a result */
	SQLONCE_GROWS = 16,  /* its columns change when a table gets a column */
	SQLONCE_COLUMNS = 32 /* SQLONCE_CHOOSES, unless its t.name are columns: see sqlcolumn.h */
};

/* Returns the SQLONCE_... bits of a text with the types that its Parse gives: `ntypes` oids of four
 * bytes in network order, 0 where a type is not given. */
unsigned sqlonce(const char *sql, size_t bytes, const uint8_t *types, unsigned ntypes);

#endif
