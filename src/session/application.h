/* application: the application_name of a session. It is kept apart from the other parameters
 * because nearly each client has another one. It is sent to a server by itself, if the server has
 * another name, and whether sessions have the same parameters (shared statements) does not depend
 * on it. */
#ifndef PGWITH_SESSION_APPLICATION_H
#define PGWITH_SESSION_APPLICATION_H

#include <stdbool.h>

#include "base/buf.h"
#include "session/session.h"

/* Moves it from the startup parameters (params.h) in the buffer to the context. */
void application_take(struct session *, struct buf *params);

/* At login, when the pool is known: works out the name that the client is told. */
void application_start(struct session *);

/* The server of session->hold has told which name it has at the end of a lease in which the session
 * may have set it. NULL: the server's default. */
void application_set(struct session *, const char *value);

/* Has the server of session->hold another name than the session? */
bool application_differs(const struct session *);

/* Adds the call of set_config() that sets the session's name, without a SELECT. */
void application_call(const struct context *, struct buf *sql);

/* The name that the session has now. */
const char *application_name(const struct context *);

#endif
