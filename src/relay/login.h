/* login: from the first byte of a client to its first ReadyForQuery. */
#ifndef PGWITH_RELAY_LOGIN_H
#define PGWITH_RELAY_LOGIN_H

#include "session/session.h"

/* SESSION_STARTUP: reads from the client, and handles its startup packet when that is whole. */
void login_readable(struct session *);

/* SESSION_LOOKUP: the system has told who the client's user is. */
void login_looked_up(struct session *);
/* The same state: the system cannot tell, because of the error. Refuses the client, or asks it for
 * its password, if it may come in by that. */
void login_not_looked_up(struct session *, const struct err *);

/* SESSION_PASSWORD: the client has proved that it is the role that its packet names. */
void login_proved(struct session *);

/* SESSION_LOGIN: the session has got the lease that its login waited for. */
void login_granted(struct session *);

/* Lets the client in: tells it the pool's parameters, with what its own change in them. */
void login_welcome(struct session *);

/* Begins the login at a pool. Begins again if the pool was moved to another server meanwhile. */
void login_again(struct session *);

/* Called by the daemon's sweep: time limits of clients that are not let in yet. */
void login_sweep(struct site *);

/* The login cannot get what it waits for. Refuses the client; or lets it in, if a server was wanted
 * only to judge its startup parameters: its first statement does that then. */
void login_failed(struct session *, const struct err *);

#endif
