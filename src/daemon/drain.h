/* drain: closes sessions because the daemon ends, or because their pool is drained. */
#ifndef PGWITH_DAEMON_DRAIN_H
#define PGWITH_DAEMON_DRAIN_H

#include "daemon/daemon.h"

/* Closes all sessions that must go and are at rest. */
void drain_resting(struct daemon *);

/* Called by the daemon's sweep: the same, while the daemon or a pool is draining. */
void drain_sweep(struct daemon *);

/* Ends every session of a state, or of all states but CONSOLE, because the daemon ends. */
void drain_state(struct daemon *, enum session_state);
void drain_all(struct daemon *);

/* Returns how many sessions hold a server, wait for one, or have begun a transaction or scope. */
unsigned drain_at_work(const struct daemon *);

/* Returns how many use the pool's group: its own sessions, and its servers that sessions of other
 * pools hold. */
unsigned drain_users(const struct daemon *, const struct pool *);

#endif
