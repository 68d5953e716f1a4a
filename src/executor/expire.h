/* expire: time limits end scopes. What the client has under way there is brought to its end first,
 * so that the server connection can be kept. */
#ifndef PGWITH_EXECUTOR_EXPIRE_H
#define PGWITH_EXECUTOR_EXPIRE_H

#include "base/err.h"
#include "session/scopes.h"

/* The frame is to end as soon as possible, because of that limit. */
void expire_scope(struct session *, struct scope *, enum err_id);

/* Goes on with what has to wait for the server to be at rest. */
void expire_settle(struct session *);

/* Time limits. */
void expire_sweep(struct site *);

#endif
