/* kill: sessions, scopes and servers are ended by an administrator. */
#ifndef PGWITH_DAEMON_KILL_H
#define PGWITH_DAEMON_KILL_H

#include "daemon/daemon.h"

/* Its client is told, and what it holds is cleaned up. */
void kill_session(struct session *);

/* Ends a scope and those inside of it, as its deadline would. Without a name: the innermost
 * transaction, or the statement that runs or waits outside of any. Returns 0, or -E_NOTFOUND or
 * -E_STATE with the reason in *e. */
int kill_scope(struct session *, const char *name, struct err *e);

/* What runs there is cancelled, the connection is closed and replaced, and its session told. */
void kill_server(struct server *);

/* Every session of the pool's group, and the scopes that sessions of other pools have entered
 * there. Returns how many sessions were told. */
unsigned kill_pool(struct daemon *, struct pool *);

#endif
