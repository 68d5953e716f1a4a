/* dismiss: a session must go because the daemon ends or its pool is drained. Who is at rest is told
 * and closed at once, the others when they get there. */
#ifndef PGWITH_SESSION_DISMISS_H
#define PGWITH_SESSION_DISMISS_H

#include <stdbool.h>

#include "session/session.h"

/* Has it nothing open and nothing under way: no transaction, scope or statement? A pinned one may
 * be at rest. */
bool dismiss_rests(const struct session *);

/* It may be at rest now: then it goes, if it must. */
void dismiss_due(struct session *);

/* Whatever it is at, it goes if it must. */
void dismiss_now(struct session *);

#endif
