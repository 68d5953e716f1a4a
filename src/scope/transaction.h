/* transaction: the client's own BEGIN, COMMIT and ROLLBACK, from text to what they ask for. Inside
 *of a scope they are a savepoint and its end. No I/O.
 *
 *	statement := {BEGIN | START TRANSACTION} [mode {[,] mode}]
 *	           | {COMMIT | END | ROLLBACK | ABORT} [AND [NO] CHAIN]
 *	mode      := ISOLATION LEVEL level | READ ONLY | READ WRITE | [NOT] DEFERRABLE
 *
 * Behind all but START TRANSACTION may stand WORK or TRANSACTION. PostgreSQL 15 documentation,
 *VI.I: BEGIN, COMMIT, ROLLBACK; the names of the modes are in SET TRANSACTION. */
#ifndef PGWITH_SCOPE_TRANSACTION_H
#define PGWITH_SCOPE_TRANSACTION_H

#include <stdbool.h>
#include <stddef.h>

#include "scope/grammar.h"
#include "wire/sqltext.h"

/* Does the statement begin or end a transaction? PREPARE TRANSACTION does not count. */
bool transaction_is(const struct sqltext_stmt *);

/* Reads a text of one such statement, with comments and white space around it and semicolons behind
 * it. Returns NULL if it is not understood for certain. The caller frees it with grammar_free(). */
struct grammar *transaction_parse(const char *text, size_t bytes, unsigned flags);

#endif
