/* waiting: a session waits for a server, and gets none. */
#ifndef PGWITH_SESSION_WAITING_H
#define PGWITH_SESSION_WAITING_H

#include "base/err.h"
#include "session/session.h"

/* No server can be had. The message that the session needs one for, which is the first of
 * session->in or a part of a text, is answered with the error. The session goes on, or ends if
 * pgwithd shuts down. */
void waiting_refused(struct session *, const struct err *);

/* WAITING: the session leaves the queue, and its message is answered with the error. */
void waiting_give_up(struct session *, const struct err *);

#endif
