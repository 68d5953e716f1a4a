/* login: from the first byte of a client to its first ReadyForQuery. */
#ifndef PGWITH_RELAY_LOGIN_H
#define PGWITH_RELAY_LOGIN_H

#include "session/session.h"

/* Bytes in SESSION_STARTUP. */
void login_readable(struct session *);

/* In SESSION_LOOKUP: its user is known now. */
void login_looked_up(struct session *);

/* The lease that it waited for is there. */
void login_granted(struct session *);

/* The pool's parameters are known, and what the session's own make of them: the client is
 * let in. */
void login_welcome(struct session *);

/* What the server says is of no use, as the pool has been moved: asks again. */
void login_again(struct session *);

/* Time limits of those that are not in yet. */
void login_sweep(struct site *);

/* What it waits for does not come: it is told, or let in if nothing but its own parameters was in
 * question. */
void login_failed(struct session *, const struct err *);

#endif
