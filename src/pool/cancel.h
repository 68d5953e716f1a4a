/* cancel: the key by which a server's query is cancelled, and the CancelRequest that uses it. It
 * works without libpq, for connections that have no PGconn (PostgreSQL 15 documentation,
 * 55.2.8). */
#ifndef PGWITH_POOL_CANCEL_H
#define PGWITH_POOL_CANCEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include <libpq-fe.h>

#include "loop/threads.h"

/* The key of a connection. libpq gets it at login and has no function for it, so it is read from
 * libpq's trace. All zero at first. */
struct cancel_key {
	bool known;
	uint32_t key;
	FILE *trace; /* during login: libpq writes its trace there */
	char *text;
	size_t bytes;
};

/* Before a login: begins to trace the connection. */
void cancel_key_watch(struct cancel_key *, PGconn *);
/* After a good login: reads the key. */
void cancel_key_take(struct cancel_key *, PGconn *);
/* After PQfinish(), if the login failed: ends the trace. */
void cancel_key_drop(struct cancel_key *);

/* The address for a CancelRequest. */
struct cancel_place {
	struct sockaddr_storage addr;
	socklen_t bytes;
};

/* Finds the address of the other end of a server's connection. For a Unix socket, `path` is where
 * we found the socket, if that is known: the server itself may have it elsewhere, in a container of
 * its own. If no address can be found, sending fails. */
void cancel_find(struct cancel_place *, int fd, const char *path);

/* The same for a connection that libpq has made. */
void cancel_find_dialed(struct cancel_place *, PGconn *);

/* The path of the socket, if the other end has it elsewhere; otherwise NULL. */
const char *cancel_path(const struct cancel_place *, int fd);

/* Sends a CancelRequest, and blocks until the other side has closed the connection, for some
 * seconds at most: then the cancel has been heard. False with a reason in `why`. */
bool cancel_send(const struct cancel_place *, int pid, uint32_t key, char *why, size_t why_size);

/* Ends a server's connection that nobody will go on with: cancels what it runs, in a worker thread,
 * and then closes `fd`, which it takes over; PostgreSQL rolls back. `id` is for the log. */
void cancel_abandon(struct threads *, uint64_t id, int fd, const struct cancel_place *, int pid,
		    uint32_t key);

#endif
