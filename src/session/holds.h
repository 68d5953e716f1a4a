/* holds: the hold that is a session's own. A session has one only while it needs it, and
 * until the next sweep of the daemon: a session that is idle then points to hold_none, which says
 * all that is to be said of it, and which nobody may change. */
#ifndef PGWITH_SESSION_HOLDS_H
#define PGWITH_SESSION_HOLDS_H

#include "session/session.h"

/* The hold of a session that has none: no lease, nothing pinned. It cannot be written to. */
extern const struct hold hold_none;

/* A new session: it has none. */
void holds_start(struct session *);

/* Returns the session's own hold. If it has none, one is made; messages go by that, if they went by
 * none. To be called before the session asks for a lease of its own or notes why it is pinned. */
struct hold *holds_need(struct session *);

/* Frees it, at the session's end. */
void holds_free(struct session *);

/* Frees it if the session is idle and there is nothing in it. To be called where nothing on the
 * stack uses it: between two events, or for a session that was read from the process before. */
void holds_drop(struct session *);

/* Called by the daemon's sweep: frees those that are not needed. So a session with much to do does
 * not get a new one for each transaction, and thousands that do something at times have none. */
void holds_sweep(struct site *);

#endif
