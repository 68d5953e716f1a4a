/* cancel: a CancelRequest, or a time limit, stops what runs for a session. */
#ifndef PGWITH_RELAY_CANCEL_H
#define PGWITH_RELAY_CANCEL_H

#include <stdbool.h>
#include <stdint.h>

#include "session/session.h"

/* The session's client wants a cancel: stops what runs, or ends the session's wait. `requester` is
 * the session of the CancelRequest, which is closed when the server has got the cancel. Returns
 * false if no cancel is sent to a server: then the caller closes it. */
bool cancel_session(struct session *, uint64_t requester);

/* Cancels the client's statement on the server of session->hold. While that server works at a
 * statement of ours, the cancel is kept for cancel_send_kept(). Returns as cancel_session(). */
bool cancel_statement(struct session *, uint64_t requester);

/* To be called when the server has done a statement of ours: sends a cancel that was kept. */
void cancel_send_kept(struct session *);

#endif
