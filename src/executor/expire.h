/* expire: time limits end scopes. First the client's exchange in there is brought to its end, so
 * that the server can be kept. */
#ifndef PGWITH_EXECUTOR_EXPIRE_H
#define PGWITH_EXECUTOR_EXPIRE_H

#include "base/err.h"
#include "session/scopes.h"

/* Ends the frame, because of that limit, as soon as it can be ended. */
void expire_scope(struct session *, struct scope *, enum err_id);

/* Goes on with the end of frames that are due, unless a work or an exchange of the client's is
 * still under way. */
void expire_go_on(struct session *);

/* Called by the daemon's sweep. */
void expire_sweep(struct site *);

#endif
