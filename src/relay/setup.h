/* setup: gives the server of a lease the session's parameters, and waits for its answer. */
#ifndef PGWITH_RELAY_SETUP_H
#define PGWITH_RELAY_SETUP_H

#include "base/err.h"
#include "session/session.h"

/* Sends the session's parameters to the server of the lease. At login this shows what they come to
 * with those of the pool, which is what the client is told when it is let in. */
void setup_begin(struct session *);

enum setup_outcome {
	SETUP_WAITS,     /* the server was asked again; or the session is over */
	SETUP_TAKEN,     /* the server has accepted them: the session is active */
	SETUP_TRY_FRESH, /* the server has refused them and was closed: a new one may accept them */
	SETUP_OWN_POOL,  /* one of the pool of read_only has: the session's own pool is asked */
	SETUP_REFUSED,   /* a new one has refused them too: the message is to be refused */
	SETUP_KNOWN,     /* at login: the server has accepted them, and is returned */
	SETUP_LOGIN_AGAIN, /* at login: another server must be asked */
};

/* The server has answered, and is at rest. With SETUP_REFUSED the caller has to clear *e. */
enum setup_outcome setup_answered(struct session *, struct err *);

/* At login: does not wait for the server any longer, and leaves it to cleanup. */
void setup_abandon(struct session *);

#endif
