/* waiting: the end of a wait for a server that was in vain. */
#ifndef PGWITH_SESSION_WAITING_H
#define PGWITH_SESSION_WAITING_H

#include "base/err.h"
#include "session/session.h"

/* No server can be had. Answers the message that needs one, which is the first of session->in or a
 * part of a text, with the error. The session goes on; if pgwithd shuts down, it ends. */
void waiting_refused(struct session *, const struct err *);

/* WAITING: takes the session from the queue, and answers its message with the error. */
void waiting_give_up(struct session *, const struct err *);

#endif
