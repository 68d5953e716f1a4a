/* application: the application_name of a session. It is kept apart from the other parameters
 * because nearly each client has another one. It is sent to a server by itself, if the server has
 * another name, and whether sessions have the same parameters (shared statements) does not depend
 * on it.
 *
 * A session has its own name: that of its startup packet, or the one that it has set. Which name a
 * server gets is decided by the option application_name of the server's pool (conf/naming.h): the
 * own name, the server's as it was at login, or one that is made of a format. A client is told the
 * name that its server has, as by PostgreSQL. */
#ifndef PGWITH_SESSION_APPLICATION_H
#define PGWITH_SESSION_APPLICATION_H

#include <stdbool.h>

#include "base/buf.h"
#include "session/session.h"

/* Moves it from the startup parameters (params.h) in the buffer to the context. */
void application_take(struct session *, struct buf *params);

/* At login, when the pool is known: works out the client's own name, which is the one that it is
 * told unless shown_start() makes another one. */
void application_start(struct session *);

/* The server of session->hold has told which name it has at the end of a lease in which the session
 * may have set it. NULL: the server's default. */
void application_set(struct session *, const char *value);
/* The session has reset its name. */
void application_unset(struct session *);

/* Has the server of session->hold another name than the session? */
bool application_differs(const struct session *);

/* Adds the call of set_config() that gives the server of session->hold the session's name, without
 * a SELECT. */
void application_call(const struct session *, struct buf *sql);

/* The name that the server of session->hold gets when the session resets its own: that of the
 * startup packet, or what the option makes of it. */
const char *application_after_reset(const struct session *);

/* A lease begins, and hold->named is that of one before: its server gets the name that the session
 * has outside of scopes. */
void application_begin_lease(struct session *);

/* The session enters the transaction scope of that name; session->hold is that of the scope. If the
 * format has a %c, or the scope is on a pool with another option, the server gets another name:
 * application_differs() tells. It keeps that name until the lease ends or another scope begins. */
void application_enter(struct session *, const char *scope);

/* Works out session->rare->shown->now, the name that servers get outside of scopes. `own`: the
 * client's own name now. */
void application_make_now(struct session *, const char *own);

/* The name that the server of the hold has, or is to get, as long as the session sets no other. */
const char *application_given(const struct session *, const struct hold *);

/* The client's own name, for people. */
const char *application_name(const struct session *);

#endif
