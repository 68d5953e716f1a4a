/* scopes: the scopes that one session has open. What is being done about them, one thing at a time,
 * is the work: see executor/work.h.
 *
 * While there is work the session is in SESSION_SCOPE (SESSION_LEAVING), and the client is not
 * read from. Otherwise session->hold is the lease that statements go by: that of the current
 * transaction, or the session's own. */
#ifndef PGWITH_SESSION_SCOPES_H
#define PGWITH_SESSION_SCOPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/todo.h"
#include "scope/grammar.h"
#include "scope/stack.h"
#include "scope/timing.h"
#include "session/message.h"
#include "session/session.h"

/* Makes session->stack if it is not there. */
void scopes_prepare(struct session *);

/* Has it any scope open, or anything to do with them? */
bool scopes_open(const struct session *);

/* Is a transaction of BEGIN open, other than those that scopes are entered in? */
bool scopes_plain(const struct session *);

/* Is session->hold that of an open scope? */
bool scopes_holds(const struct session *);

/* Do statements go to a transaction that a time limit has ended? */
bool scopes_expired(const struct session *);

/* Why statements of a frame that has expired are refused. */
void scopes_expired_error(const struct scope *, struct err *);

/* The transaction status that a ReadyForQuery of ours tells. */
char scopes_status(const struct session *);

/* Messages go by this one from now on. */
void scopes_focus(struct session *, struct hold *);

/* By that of the current transaction, or by the session's own. */
void scopes_refocus(struct session *);

/* The transaction of the client's own that is open on its lease becomes a frame. */
struct scope *scopes_implicit(struct session *);

/* The row of its pool and name in the times of scopes. */
struct timing_row *scopes_timing(struct session *, const struct scope *);

#endif
