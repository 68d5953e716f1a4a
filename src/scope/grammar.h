/* grammar: the scope statements, from text to what was asked for. No I/O; nothing is looked up:
 * what a name means is the stack's business.
 *
 *	statement := ENTER [item {, item}] | USE which | DEFER [ON COMMIT | ON ROLLBACK] value
 *	           | {LEAVE | EXIT} [which | ALL] [ROLLBACK] | SHOW SCOPES
 *	item      := name [AS name] ['(' [arg {, arg}] ')'] {clause}
 *	           | LOCK value {clause} | SEMAPHORE value {clause}
 *	clause    := ON pool | NEW | SHARED | LIMIT value | AS name | WAIT value | DEADLINE value
 *	           | READ ONLY | READ WRITE | SUPPRESS | ISOLATION LEVEL {SERIALIZABLE
 *	             | REPEATABLE READ | READ COMMITTED | READ UNCOMMITTED}
 *	value     := 'string' | E'string' | $tag$string$tag$ | number | $n
 *	arg       := value | TRUE | FALSE | NULL | -number
 *	which     := name | 'string' | E'string' | $tag$string$tag$
 *
 * Words are those of any case, names are folded to lower case unless quoted. The words of the
 * grammar are not reserved: where a name may stand they are names, but for LOCK and SEMAPHORE at
 * the start of an item, and ALL and ROLLBACK behind LEAVE, which are names in quotes only. Each
 * clause stands once at most, in any order, where it means something: SHARED with LOCK; LIMIT with
 * SEMAPHORE, always; NEW, READ and ISOLATION with transactions; ON with all but SEMAPHORE; AS with
 * all but a transaction, which it makes a defined scope. */
#ifndef PGWITH_SCOPE_GRAMMAR_H
#define PGWITH_SCOPE_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/sqltext.h"

#define GRAMMAR_ITEMS  32      /* of an ENTER, at most */
#define GRAMMAR_ARGS   64      /* of an item */
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
	/* the client's own, in a scope: see block.h */
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
	char *text;     /* decoded; NULL: SQL NULL, or a parameter that is not bound yet */
	unsigned param; /* n of $n, 0: none */
	size_t at;      /* byte offset in the text, for errors */
	bool given;     /* it was written; everything else is 0 if not */
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
	bool shared, suppress;
	enum grammar_isolation isolation;
	enum grammar_access access;
	size_t at; /* byte offset of its first token; of the end, for the item of an empty ENTER */
};

struct grammar {
	enum grammar_verb verb;
	struct grammar_item *items; /* ENTER: at least one, even if none was written */
	unsigned nitems;
	char *name; /* USE; EXIT: NULL for the innermost, and for ALL */
	bool all, rollback;
	bool leave; /* EXIT: it was written as LEAVE, which psql does not take for its own */
	enum grammar_when when;
	struct grammar_value sql; /* DEFER */
	unsigned nparams;         /* the highest $n */
	char *modes;              /* BEGIN: as written, READ ONLY for example; or NULL */
	bool start;               /* BEGIN: it was written as START TRANSACTION */
	bool chain;               /* COMMIT, ROLLBACK: AND CHAIN */
};

struct grammar_error {
	size_t at;      /* byte offset of the place in the text */
	char *expected; /* for people: `expected a pool at or near "5"`; the caller frees it */
};

/* Is this statement one of ours, by its first words? Cheap. */
bool grammar_is(const struct sqltext_stmt *);

/* Reads one statement, which may have comments and white space around it and one semicolon behind
 * it. The flags are those of sqltext_init(). On success *out is the caller's, to be freed with
 * grammar_free(), and *error is left alone. Otherwise *out is NULL and *error is filled in; returns
 * -E_SYNTAX, or -E_TOOBIG if something is longer or more than the bounds above. */
int grammar_parse(const char *text, size_t bytes, unsigned flags, struct grammar **out,
		  struct grammar_error *error);

/* Gives the parameters their values (copied): values[0] is $1, NULL is SQL NULL. May be done again
 * with others. Returns 0; -E_RANGE if there are fewer than nparams; -E_SYNTAX for NULL where only
 * an argument may be NULL; -E_TOOBIG for a value over GRAMMAR_TEXT. Then *error is filled in, and
 * nothing has changed. */
int grammar_bind(struct grammar *, const char *const *values, unsigned n,
		 struct grammar_error *error);

/* What WAIT and DEADLINE say, in us. Units as base/units has them; a bare number is in ms, as in
 * PostgreSQL's own time-outs. The value must be given and bound. Returns 0, or -E_SYNTAX or
 * -E_RANGE with *error filled in. */
int grammar_duration(const struct grammar_value *, int64_t *us, struct grammar_error *error);

/* What LIMIT says: a whole number from 1 to GRAMMAR_LIMIT. As grammar_duration() otherwise. */
int grammar_limit(const struct grammar_value *, unsigned *limit, struct grammar_error *error);

/* A deep copy. */
struct grammar *grammar_copy(const struct grammar *);

/* NULL is nothing. */
void grammar_free(struct grammar *);

/* "ENTER", "USE", "DEFER", "LEAVE", "EXIT", "SHOW"; "BEGIN", "START TRANSACTION", "COMMIT",
 * "ROLLBACK". */
const char *grammar_tag(const struct grammar *);

#endif
