/* grammar: reads a scope statement into a struct grammar. No I/O. Nothing is looked up: the
 * executor finds out, with the stack, what a name means.
 *
 *	statement := ENTER [item {, item}] | USE which | DEFER [ON COMMIT | ON ROLLBACK] value
 *	           | JOIN value | {LEAVE | EXIT} [which | ALL] [ROLLBACK] | SHOW SCOPES
 *	item      := name [AS name] ['(' [arg {, arg}] ')'] {clause}
 *	           | LOCK value {clause} | SEMAPHORE value {clause}
 *	clause    := ON pool | NEW | SHARED | LIMIT value | AS name | WAIT value | DEADLINE value
 *	           | READ ONLY | READ WRITE | SUPPRESS | JOINABLE | ISOLATION LEVEL {SERIALIZABLE
 *	             | REPEATABLE READ | READ COMMITTED | READ UNCOMMITTED}
 *	value     := 'string' | E'string' | $tag$string$tag$ | number | $n
 *	arg       := value | TRUE | FALSE | NULL | -number
 *	which     := name | 'string' | E'string' | $tag$string$tag$
 *
 * Words may be in any case. Names become lower case unless they are quoted. The grammar's words are
 * not reserved: where a name may stand, they are names. Exceptions are LOCK and SEMAPHORE at the
 * start of an item, and ALL and ROLLBACK behind LEAVE: as names they must be quoted. Each clause
 * may stand once, in any order, but only with items for which it means something: SHARED with LOCK;
 * LIMIT with SEMAPHORE, where it must stand; NEW, READ and ISOLATION with a transaction; ON with
 * all but SEMAPHORE; AS with all. AS gives the scope its name; behind a name, it also makes the
 * item a defined scope. */
#ifndef PGWITH_SCOPE_GRAMMAR_H
#define PGWITH_SCOPE_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/sqltext.h"

#define GRAMMAR_ITEMS  32      /* items of one ENTER at most */
#define GRAMMAR_ARGS   64      /* arguments of one item at most */
#define GRAMMAR_NAME   63      /* bytes of a name; PostgreSQL 15 documentation, 4.1.1 */
#define GRAMMAR_TEXT   65536   /* bytes of a value */
#define GRAMMAR_PARAMS 65535   /* the highest $n: Bind counts them in 16 bits */
#define GRAMMAR_LIMIT  1000000 /* the highest LIMIT */

enum grammar_verb {
	GRAMMAR_ENTER,
	GRAMMAR_USE,
	GRAMMAR_DEFER,
	GRAMMAR_EXIT,
	GRAMMAR_SHOW_SCOPES,
	GRAMMAR_JOIN,
	/* the client's own, in a scope: see transaction.h */
	GRAMMAR_BEGIN,
	GRAMMAR_COMMIT,
	GRAMMAR_ROLLBACK,
};

enum grammar_kind {
	GRAMMAR_TRANSACTION,
	GRAMMAR_LOCK,
	GRAMMAR_SEMAPHORE,
	GRAMMAR_DEFINED, /* AS or '(' was written */
};

enum grammar_isolation {
	GRAMMAR_DEFAULT,
	GRAMMAR_SERIALIZABLE,
	GRAMMAR_REPEATABLE_READ,
	GRAMMAR_READ_COMMITTED,
	GRAMMAR_READ_UNCOMMITTED,
};

enum grammar_access {
	GRAMMAR_ACCESS_DEFAULT,
	GRAMMAR_READ_ONLY,
	GRAMMAR_READ_WRITE,
};

enum grammar_when {
	GRAMMAR_ALWAYS,
	GRAMMAR_ON_COMMIT,
	GRAMMAR_ON_ROLLBACK,
};

struct grammar_value {
	char *text;     /* decoded; NULL: SQL's NULL, or a parameter that is not bound yet */
	unsigned param; /* n, if it was written as $n; else 0 */
	size_t at;      /* byte offset in the statement, for errors */
	bool given;     /* it was written; if not, all other members are 0 */
};

struct grammar_item {
	enum grammar_kind kind;
	char *name; /* of the transaction or definition; NULL for LOCK, SEMAPHORE, empty ENTER */
	char *as;   /* AS name, or NULL */
	char *pool; /* ON pool, or NULL */
	struct grammar_value key; /* of LOCK, SEMAPHORE */
	struct grammar_value *args;
	unsigned nargs;
	struct grammar_value limit, wait, deadline; /* see grammar_limit(), grammar_duration() */
	bool fresh;                                 /* NEW */
	bool shared, suppress, joinable;
	enum grammar_isolation isolation;
	enum grammar_access access;
	size_t at; /* byte offset of its first token; for an empty ENTER, that of the end */
};

struct grammar {
	enum grammar_verb verb;
	struct grammar_item *items; /* ENTER: at least one, even if none was written */
	unsigned nitems;
	char *name; /* USE; EXIT: NULL for the innermost, and for ALL */
	bool all, rollback;
	bool leave; /* EXIT: it was written as LEAVE (psql takes EXIT for its own command) */
	enum grammar_when when;
	struct grammar_value sql; /* DEFER; of JOIN: the token */
	unsigned nparams;         /* n of the highest $n */
	char *modes;              /* BEGIN: as written, READ ONLY for example; or NULL */
	bool start;               /* BEGIN: it was written as START TRANSACTION */
	bool chain;               /* COMMIT, ROLLBACK: AND CHAIN */
};

struct grammar_error {
	size_t at;      /* byte offset of the error in the statement */
	char *expected; /* for people: `expected a pool at or near "5"`; the caller frees it */
};

/* Is it a scope statement, by its first words? Cheap. */
bool grammar_is(const struct sqltext_stmt *);

/* Reads one statement, which may have comments and white space around it and one semicolon behind
 * it. The flags are those of sqltext_init(). Returns 0 with *out, which the caller frees by
 * grammar_free(), and does not touch *error. Otherwise *out is NULL, *error is filled in, and it
 * returns -E_SYNTAX, or -E_TOOBIG if one of the bounds above is exceeded. */
int grammar_parse(const char *text, size_t bytes, unsigned flags, struct grammar **out,
		  struct grammar_error *error);

/* Gives the parameters their values, which are copied: values[0] is that of $1, a NULL pointer is
 * SQL's NULL. May be called again with other values. Returns 0; or, with *error filled in and
 * nothing changed: -E_RANGE if there are fewer than nparams values; -E_SYNTAX for a NULL that is
 * not an argument; -E_TOOBIG for a value longer than GRAMMAR_TEXT. */
int grammar_bind(struct grammar *, const char *const *values, unsigned n,
		 struct grammar_error *error);

/* The value of WAIT or DEADLINE, in us. Units are those of base/units; a number without a unit is
 * in ms, as in PostgreSQL's own time-outs. The value must be given and bound. Returns 0, or
 * -E_SYNTAX or -E_RANGE with *error filled in. */
int grammar_duration(const struct grammar_value *, int64_t *us, struct grammar_error *error);

/* The value of LIMIT, a whole number from 1 to GRAMMAR_LIMIT. Otherwise as grammar_duration(). */
int grammar_limit(const struct grammar_value *, unsigned *limit, struct grammar_error *error);

/* A deep copy. */
struct grammar *grammar_copy(const struct grammar *);

/* NULL is allowed. */
void grammar_free(struct grammar *);

/* The command tag: "ENTER", "JOIN", "USE", "DEFER", "LEAVE", "EXIT", "SHOW", "BEGIN", "START
 * TRANSACTION", "COMMIT", "ROLLBACK". */
const char *grammar_tag(const struct grammar *);

#endif
