/* outbound: a lease's life from the session's side, and what comes from its server. */
#ifndef PGWITH_RELAY_OUTBOUND_H
#define PGWITH_RELAY_OUTBOUND_H

#include "pool/lease.h"

/* The ops of every session's lease. */
extern const struct lease_ops outbound_lease_ops;

#endif
