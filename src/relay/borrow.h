/* borrow: a session asks for a server, and begins with it. */
#ifndef PGWITH_RELAY_BORROW_H
#define PGWITH_RELAY_BORROW_H

#include "base/err.h"
#include "session/session.h"

/* As lease_enter() for the session's next server. */
int borrow_ask(struct session *, struct err *);

/* The lease was just taken, at once or after waiting. */
void borrow_begin(struct session *);

#endif
