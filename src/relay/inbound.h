/* inbound: the bytes of the client: which message is next, and what judge.h says of it is carried
 * out. Bytes go on to the server in as few writes as they came in reads. */
#ifndef PGWITH_RELAY_INBOUND_H
#define PGWITH_RELAY_INBOUND_H

#include <stdbool.h>

#include "base/err.h"
#include "session/session.h"
#include "session/site.h"

/* Of all sessions. */
extern const struct session_ops inbound_session_ops;

/* Bytes of a client that is in. */
void inbound_readable(struct session *);

/* Goes on with what is in session->in: after a grant, an answer, a resume. */
void inbound_resume(struct session *);

/* Is a Terminate the last that has come from the client, read or not? */
bool inbound_said_terminate(const struct session *);

/* The wait is over without a server; the message at the front of session->in, of this
 * type, is answered with the error, and the session goes on (or ends, if pgwithd shuts down). */
void inbound_failed(struct session *, char type, const struct err *);

/* WAITING: it waits no longer, and the message that it waits with is answered by the error. */
void inbound_give_up(struct session *, const struct err *);

#endif
