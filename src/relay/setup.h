/* setup: the server of a lease is given the session's parameters, and waited for. */
#ifndef PGWITH_RELAY_SETUP_H
#define PGWITH_RELAY_SETUP_H

#include "base/err.h"
#include "session/session.h"

/* Gives the server of the lease the session's parameters and waits for it. At login, it is
 * asked what they make of those of the pool; that is kept and the client let in. */
void setup_begin(struct session *);

enum setup_outcome {
	SETUP_WAITS,       /* the server was asked again; or the session is over */
	SETUP_TAKEN,       /* the server has the parameters: the session is active */
	SETUP_TRY_FRESH,   /* the server did not take them, and was closed: a new one may */
	SETUP_REFUSED,     /* nor did a new one: the session is idle, the message is answered */
	SETUP_KNOWN,       /* at login: what the server makes of them is kept */
	SETUP_LOGIN_AGAIN, /* at login: by another server */
};

/* The server has answered, and is at rest. SETUP_REFUSED sets *e, which is to be cleared. */
enum setup_outcome setup_answered(struct session *, struct err *);

/* At login, the server is not waited for any longer; cleanup goes on with it. */
void setup_abandon(struct session *);

#endif
