/* application: the application_name of a session. It is apart from its other parameters since each
 * client has one of its own: it goes ahead where the server has another, alone, and nothing that
 * depends on parameters (shared statements, the rest of the context) depends on it. */
#ifndef PGWITH_SESSION_APPLICATION_H
#define PGWITH_SESSION_APPLICATION_H

#include <stdbool.h>

#include "base/buf.h"
#include "session/session.h"

/* Takes it out of the startup parameters (params.h) that are in the buffer. */
void application_take(struct context *, struct buf *params);

/* At login, when the pool is known: what the client is to be told of it. */
void application_start(struct session *);

/* The server that the session holds says that it has this one (NULL: its own default) at the end of
 * a lease in which the session may have set it. */
void application_set(struct context *, const char *value);

/* Has the server that the session holds another one? */
bool application_differs(const struct session *);

/* Adds the call of set_config() that gives it to a server, without a SELECT. */
void application_call(const struct context *, struct buf *sql);

/* What the session has now. */
const char *application_name(const struct context *);

#endif
