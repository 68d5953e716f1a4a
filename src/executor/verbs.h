/* verbs: the statements by which a client opens, uses and ends scopes, its own BEGIN, COMMIT and
 * ROLLBACK among them. What is answered at once is done here; the rest begins here, and goes on by
 * executor.h. */
#ifndef PGWITH_EXECUTOR_VERBS_H
#define PGWITH_EXECUTOR_VERBS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "scope/grammar.h"
#include "session/message.h"
#include "session/session.h"

/* Carries out one statement, and frees it when it is done. Nothing else of the client's may be
 * under way. `type`: of the message that is answered. Returns DROP, or OVER. */
enum verdict verbs_do(struct session *, struct grammar *, char type);

/* Does the statement, a BEGIN, COMMIT or ROLLBACK of the client's, concern a scope? Then
 * verbs_do() carries it out; otherwise it is an ordinary statement. */
bool verbs_takes(const struct session *, const struct grammar *);

/* A statement by which a program's own pool resets a connection (DISCARD ALL, RESET ALL): ends all
 * scopes as failed. Returns FORWARD if none is open any more; HOLD if that takes time: the message
 * is judged again then; OVER. `statement` is how the log and the client's warning call it. */
enum verdict verbs_sweep_out(struct session *, const char *statement);

/* May an ordinary statement with these SQLCLASS_... bits be run now? Returns false with the reason
 * in *e if not. */
bool verbs_admit(struct session *, unsigned set, const char *sql, size_t bytes, struct err *e);

#endif
