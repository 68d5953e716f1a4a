/* cancel: a CancelRequest, or a time limit, stops what runs for a session. */
#ifndef PGWITH_RELAY_CANCEL_H
#define PGWITH_RELAY_CANCEL_H

#include <stdbool.h>
#include <stdint.h>

#include "session/session.h"

/* A cancel of this session's client: what runs now, or the wait. `requester` is the session to be
 * closed when that has been done. Returns false if there is nothing to wait for. */
bool cancel_session(struct session *, uint64_t requester);

/* A cancel of what the server that it holds runs for it, by and by if that is not yet the
 * client's own. Returns false if there is nothing to wait for. */
bool cancel_statement(struct session *, uint64_t requester);

/* A cancel came before the client's own statement could run: now it can. */
void cancel_late(struct session *);

#endif
