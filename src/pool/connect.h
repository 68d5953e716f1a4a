/* connect: how a server in SERVER_CONNECTING gets its connection: the names in the conninfo are
 * looked up by a thread, a command is asked for the password, then libpq connects and logs in, step
 * by step. */
#ifndef PGWITH_POOL_CONNECT_H
#define PGWITH_POOL_CONNECT_H

#include <stdbool.h>

#include "pool/server.h"

/* Begins to connect, from the loop. In the end server_logged_in() or connect_failed() is called,
 * never within this call. */
void connect_begin(struct server *);

/* Its host is silent: goes on with the other hosts. Returns false, and nothing has changed, if
 * there is none. */
bool connect_try_next(struct server *);

/* The attempt has failed: removes the server, and tells the pool the reason, as libpq words it. If
 * PostgreSQL has refused a password that could be asked for anew, it is tried once more instead. */
void connect_failed(struct server *, const char *reason);

#endif
