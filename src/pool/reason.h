/* reason: why a lease waits for a server, in words: the same in SHOW WAITS, on the status page, in
 * verdicts and in the hints of errors. */
#ifndef PGWITH_POOL_REASON_H
#define PGWITH_POOL_REASON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct lease;
struct party;
struct pool;

/* Room for a reason, in bytes. A longer one is cut. */
#define REASON_TEXT 512

/* What keeps a waiting lease from a server. */
enum reason {
	REASON_PAUSED,  /* an administrator */
	REASON_PARTY,   /* max_servers of its role or uid */
	REASON_HANDING, /* the next process takes over */
	REASON_DOWN,    /* no server can be opened: PostgreSQL cannot be reached, or refuses */
	REASON_POOL,    /* size of its pool */
	REASON_CLUSTER, /* server_limit of its cluster */
	REASON_OPENING, /* a server is being opened, checked or cleaned up */
};

enum reason reason_of(const struct lease *);

/* Writes the reason for people: the pool has 20 of 20 servers (size). */
void reason_say(const struct lease *, char *out, size_t out_size);

/* The same of a lease that would begin to wait in the pool now, and belongs to no party. */
enum reason reason_of_pool(const struct pool *);
void reason_say_pool(const struct pool *, char *out, size_t out_size);

/* Makes the reason the hint of an error of the pool's queue, and says what can be done. `party`:
 * the one that is full, or NULL. If the pool is only too small, or a server is being opened, the
 * error keeps its own hint. */
void reason_hint(const struct pool *, const struct party *party, struct err *);

/* Would the waiting lease, which waits for its reason, get on if this held one ended? */
bool reason_is_held(const struct lease *waiting, const struct lease *held);

#endif
