/* outbound: what happens to the leases of sessions, and the answers of their servers. */
#ifndef PGWITH_RELAY_OUTBOUND_H
#define PGWITH_RELAY_OUTBOUND_H

#include "pool/lease.h"

/* The callbacks of all leases of sessions. */
extern const struct lease_ops outbound_lease_ops;

#endif
