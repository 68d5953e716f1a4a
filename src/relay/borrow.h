/* borrow: how a session gets a server for its messages: it asks the pool for a lease, and, when the
 * lease was granted, begins with the server. */
#ifndef PGWITH_RELAY_BORROW_H
#define PGWITH_RELAY_BORROW_H

#include "base/err.h"
#include "session/session.h"

/* Asks for a server, or for a new connection if context.wants_fresh. Returns as lease_enter(): 0 if
 * the session has a server now, -E_AGAIN if it waits for one, otherwise an error, in *e. */
int borrow_ask(struct session *, struct err *e);

/* The session has got a server, at once or after waiting. Moves it to ACTIVE, with its parameters
 * in the batch; or to SETUP, if the server has to accept them first. */
void borrow_begin(struct session *);

#endif
