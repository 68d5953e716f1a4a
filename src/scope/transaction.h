/* transaction: reads the client's own BEGIN, COMMIT and ROLLBACK into a struct grammar, because
 * inside a scope they make and end a savepoint. No I/O.
 *
 *	statement := {BEGIN | START TRANSACTION} [mode {[,] mode}]
 *	           | {COMMIT | END | ROLLBACK | ABORT} [AND [NO] CHAIN]
 *	mode      := ISOLATION LEVEL level | READ ONLY | READ WRITE | [NOT] DEFERRABLE
 *
 * WORK or TRANSACTION may stand behind each of the first words but START TRANSACTION. PostgreSQL 15
 * documentation, VI.I: BEGIN, COMMIT, ROLLBACK; SET TRANSACTION has the names of the modes. */
#ifndef PGWITH_SCOPE_TRANSACTION_H
#define PGWITH_SCOPE_TRANSACTION_H

#include <stdbool.h>
#include <stddef.h>

#include "scope/grammar.h"
#include "wire/sqltext.h"

/* Does the statement begin or end a transaction? PREPARE TRANSACTION does not count. */
bool transaction_is(const struct sqltext_stmt *);

/* Reads one such statement, which may have comments and white space around it and semicolons behind
 * it. Returns NULL if the statement is not understood for certain. The caller frees the result with
 * grammar_free(). */
struct grammar *transaction_parse(const char *text, size_t bytes, unsigned flags);

#endif
