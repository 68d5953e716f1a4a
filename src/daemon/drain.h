/* dismiss: sessions that must go because the daemon ends or their pool is drained. Who is at rest
 * is told and closed at once, the others when they get there. */
#ifndef PGWITH_DAEMON_DRAIN_H
#define PGWITH_DAEMON_DRAIN_H

#include "daemon/daemon.h"

/* Has it nothing open and nothing under way: no transaction, scope or statement? A pinned one may
 * be at rest. */
bool dismiss_rests(const struct session *);

/* It may be at rest now: then it goes, if it must. */
void dismiss_due(struct session *);

/* All that are at rest and must go. */
void dismiss_resting(struct daemon *);

/* The same, once in a while, if there is a reason. */
void dismiss_sweep(struct daemon *);

/* Every session of a state, or of all states but that of the console, goes now because the daemon
 * ends. */
void dismiss_state(struct daemon *, enum session_state);
void dismiss_all(struct daemon *);

/* Sessions that hold or want a server, or have begun something. */
unsigned dismiss_at_work(const struct daemon *);

/* Sessions that are in the pool or in another one of its group, and servers of it that sessions of
 * other pools hold. */
unsigned dismiss_users(const struct daemon *, const struct pool *);

#endif
