/* leave: the client of a session is gone. What it had open ends innermost first, each when the one
 * inside it has ended; the servers' part of it is the cleanup machine's. */
#ifndef PGWITH_EXECUTOR_LEAVE_H
#define PGWITH_EXECUTOR_LEAVE_H

#include "executor/work.h"

/* The session ends, as session->end says, and has scopes open, or there is work on them: begins to
 * end them, or goes on with that, as far as that is possible now. Behind the last one the session
 * is closed. */
void leave_go(struct session *);

/* The daemon ends now: the scopes of the session go, and nothing is waited for. */
void leave_abandon(struct session *);

#endif
