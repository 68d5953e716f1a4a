/* expire: time limits and administrators end scopes. The client's exchange in the scope is ended
 * first, so that the server can be kept. */
#ifndef PGWITH_EXECUTOR_EXPIRE_H
#define PGWITH_EXECUTOR_EXPIRE_H

#include "base/err.h"
#include "session/scopes.h"

/* Ends the frame, because of `why` (see expiry_error()), as soon as it can be ended. */
void expire_scope(struct session *, struct scope *, enum err_id why);

/* If a frame has to expire: ends the client's exchange or, if there is none, begins the work of
 * WORK_EXPIRE. Does nothing while another work is under way. */
void expire_go_on(struct session *);

/* Called by the daemon's sweep. */
void expire_sweep(struct site *);

#endif
