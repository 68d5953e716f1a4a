/* kill: an administrator ends sessions, scopes, servers and pools. */
#ifndef PGWITH_DAEMON_KILL_H
#define PGWITH_DAEMON_KILL_H

#include "daemon/daemon.h"

/* Tells the client, closes its session, and cleans up what it holds. */
void kill_session(struct session *);

/* Ends a scope and those inside it, as a deadline does. `name` NULL: the innermost transaction, or,
 * outside of transactions, the statement that runs or waits. Returns 0, or -E_NOTFOUND or -E_STATE
 * with the reason in *e. */
int kill_scope(struct session *, const char *name, struct err *e);

/* Cancels what runs on the server and closes it. The session that holds it is told; the pool opens
 * another one when it is needed. */
void kill_server(struct server *);

/* Ends every session of the pool's group, and the scopes that sessions of other pools have entered
 * there. Returns how many sessions were told. */
unsigned kill_pool(struct daemon *, struct pool *);

#endif
