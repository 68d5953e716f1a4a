/* outbound: a lease's life from the session's side, and what comes from its server. */
#ifndef PGWITH_RELAY_OUTBOUND_H
#define PGWITH_RELAY_OUTBOUND_H

#include "base/err.h"
#include "pool/lease.h"
#include "session/session.h"

/* The ops of every session's lease. */
extern const struct lease_ops outbound_lease_ops;

/* As lease_enter() for the session's next server. */
int outbound_enter(struct session *, struct err *);

/* The lease was just taken, at once or after waiting. */
void outbound_begin(struct session *);

#endif
