/* scopes: questions about the scopes that a session has open. What is being done about them is the
 * work: see executor/work.h.
 *
 * While there is a work the session is in SESSION_SCOPE or SESSION_LEAVING, and its client is not
 * read from. Otherwise session->hold is the one that statements go by: that of the current
 * transaction, or the session's own. */
#ifndef PGWITH_SESSION_SCOPES_H
#define PGWITH_SESSION_SCOPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/trace.h"
#include "pool/todo.h"
#include "scope/grammar.h"
#include "scope/stack.h"
#include "scope/timing.h"
#include "session/message.h"
#include "session/session.h"

struct pack;

/* Makes session->rare->stack if it is not there. */
void scopes_prepare(struct session *);

/* Has the session a scope open, or a work on scopes? */
bool scopes_open(const struct session *);

/* Is a transaction of BEGIN open that is no frame of the stack? */
bool scopes_plain(const struct session *);

/* Is the lease of session->hold that of an open scope? */
bool scopes_holds(const struct session *);

/* Do statements go to a scope that a time limit has ended? */
bool scopes_expired(const struct session *);

/* Makes the error by which statements of a frame that has expired are refused. */
void scopes_expired_error(const struct scope *, struct err *);

/* The transaction status for a ReadyForQuery of ours. */
char scopes_status(const struct session *);

/* Makes this session->hold: messages go by it from now on. */
void scopes_focus(struct session *, struct hold *);

/* Makes that of the current transaction session->hold, or the session's own. */
void scopes_refocus(struct session *);

/* For the handover: session->hold, the session's own or that of a frame. */
void scopes_focus_pack(struct pack *, struct session *);

/* A frame was made, opened or popped: records that while a trace is recorded. */
void scopes_trace(const struct session *, const struct scope *, enum trace_scope);

/* Pushes a frame for the transaction of BEGIN that is open on the session's own lease. */
struct scope *scopes_implicit(struct session *);

/* The row for a scope's pool and name in SHOW SCOPE_STATS. */
struct timing_row *scopes_timing(struct session *, const struct scope *);

#endif
