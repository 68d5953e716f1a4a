/* cancel: the key by which a server's query is cancelled, and the CancelRequest that uses it,
 * without libpq: for connections of which no PGconn is left (PostgreSQL 15 documentation, 55.2.8).
 */
#ifndef PGWITH_POOL_CANCEL_H
#define PGWITH_POOL_CANCEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include <libpq-fe.h>

#include "loop/work.h"

/* What libpq is told at login and does not tell. All zero at first. */
struct cancel_key {
	bool known;
	uint32_t key;
	FILE *trace; /* login: libpq's trace goes there, which is where it can be read */
	char *text;
	size_t bytes;
};

/* A login begins on this connection. */
void cancel_key_watch(struct cancel_key *, PGconn *);
/* It has ended well. */
void cancel_key_take(struct cancel_key *, PGconn *);
/* After PQfinish(), if it was not taken. */
void cancel_key_drop(struct cancel_key *);

/* Where a CancelRequest must go. */
struct cancel_place {
	struct sockaddr_storage addr;
	socklen_t bytes;
};

/* The other end of a server's connection. Of a Unix socket, `path` is where we found it, if that is
 * known: the server may have it elsewhere, in a container of its own. If nothing can be told,
 * sending fails. */
void cancel_find(struct cancel_place *, int fd, const char *path);

/* The same by the connection that libpq has made. */
void cancel_find_dialed(struct cancel_place *, PGconn *);

/* The path, if the other end has it elsewhere, else NULL. */
const char *cancel_path(const struct cancel_place *, int fd);

/* Blocks until the other side has ended the connection, for some seconds at most: then it was
 * heard. Returns false with a reason in `why`. */
bool cancel_send(const struct cancel_place *, int pid, uint32_t key, char *why, size_t why_size);

/* A server's connection that nobody will go on with: what it runs is cancelled, off the loop, and
 * then `fd`, which is taken over, is closed: PostgreSQL rolls back. `id` is for the log. */
void cancel_abandon(struct work *, uint64_t id, int fd, const struct cancel_place *, int pid,
		    uint32_t key);

#endif
