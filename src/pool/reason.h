/* reason: why a lease waits for a server, in words. */
#ifndef PGWITH_POOL_REASON_H
#define PGWITH_POOL_REASON_H

#include <stddef.h>

struct lease;
struct pool;

/* What keeps a waiting lease from a server. */
enum reason {
	REASON_PAUSED,  /* an administrator */
	REASON_PARTY,   /* max_servers of its role or uid */
	REASON_DOWN,    /* the server cannot be reached */
	REASON_POOL,    /* size of its pool */
	REASON_CLUSTER, /* server_limit of its cluster */
	REASON_OPENING, /* a server is being opened, checked or cleaned up */
};

enum reason reason_of(const struct lease *);

/* Writes the reason for people: the pool has 20 of 20 servers (size). */
void reason_say(const struct lease *, char *out, size_t out_size);

/* The same of a lease that would begin to wait in the pool now, and belongs to no party. */
enum reason reason_of_pool(const struct pool *);

#endif
