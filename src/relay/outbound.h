/* outbound: a lease's life from the session's side, and what comes from its server. */
#ifndef PGWITH_RELAY_OUTBOUND_H
#define PGWITH_RELAY_OUTBOUND_H

#include "base/err.h"
#include "pool/lease.h"
#include "session/session.h"

/* The ops of every session's lease. */
extern const struct lease_ops outbound_lease_ops;

/* Gives the server of the lease the session's parameters and waits for it. At login, it is
 * asked what they make of those of the pool; that is kept and the client let in. */
void outbound_setup(struct session *);

/* At login, the server is not waited for any longer; cleanup goes on with it. */
void outbound_setup_not(struct session *);

/* As lease_enter() for the session's next server. */
int outbound_enter(struct session *, struct err *);

/* The lease was just taken, at once or after waiting. */
void outbound_begin(struct session *);

#endif
