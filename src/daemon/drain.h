/* drain: the sessions of the daemon, or of a pool, that must go. */
#ifndef PGWITH_DAEMON_DRAIN_H
#define PGWITH_DAEMON_DRAIN_H

#include "daemon/daemon.h"

/* All that are at rest and must go. */
void drain_resting(struct daemon *);

/* The same, once in a while, if there is a reason. */
void drain_sweep(struct daemon *);

/* Every session of a state, or of all states but that of the console, goes now because the daemon
 * ends. */
void drain_state(struct daemon *, enum session_state);
void drain_all(struct daemon *);

/* Sessions that hold or want a server, or have begun something. */
unsigned drain_at_work(const struct daemon *);

/* Sessions that are in the pool or in another one of its group, and servers of it that sessions of
 * other pools hold. */
unsigned drain_users(const struct daemon *, const struct pool *);

#endif
