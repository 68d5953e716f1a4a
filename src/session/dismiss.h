/* dismiss: closes a session because the daemon ends or its pool is drained: at once if the session
 * is at rest, otherwise as soon as it is. */
#ifndef PGWITH_SESSION_DISMISS_H
#define PGWITH_SESSION_DISMISS_H

#include <stdbool.h>

#include "session/session.h"

/* Is the session at rest: no transaction or scope open, no statement under way? A pinned session
 * can be at rest. */
bool dismiss_rests(const struct session *);

/* To be called when the session may have come to rest: closes it if it must go. */
void dismiss_due(struct session *);

/* Closes the session if it must go, at rest or not. */
void dismiss_now(struct session *);

#endif
