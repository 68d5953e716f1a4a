/* leave: the client of a session is gone: ends its scopes, innermost first and one after the other.
 * What is to be done on a server is done by cleanup (pool/cleanup.h). */
#ifndef PGWITH_EXECUTOR_LEAVE_H
#define PGWITH_EXECUTOR_LEAVE_H

#include "executor/work.h"

/* The session ends, because of session->end, and has scopes open or a work: begins to end them, or
 * goes on with that as far as that is possible now. After the last one the session is closed. */
void leave_go(struct session *);

/* The daemon ends now: ends all scopes of the session at once, without waiting for a server. */
void leave_abandon(struct session *);

#endif
