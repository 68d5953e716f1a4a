/* leave: the client of a session is gone. What it had open ends innermost first, each when the one
 * inside it has ended; the servers' part of it is the cleanup machine's. */
#ifndef PGWITH_EXECUTOR_LEAVE_H
#define PGWITH_EXECUTOR_LEAVE_H

#include <stdbool.h>

#include "executor/work.h"

/* It is to be closed, as session->end says. Returns true if that has to wait until its scopes have
 * ended: session_close() is called again then. */
bool leave_scopes(struct session *);

/* Goes on with it. */
void leave_go(struct work *);

#endif
