/* gate: what an administrator does to whole pools: who may come in, who may lease, and which
 * servers are to be replaced. Each function takes any pool of a group and applies to the whole
 * group. */
#ifndef PGWITH_POOL_GATE_H
#define PGWITH_POOL_GATE_H

#include "pool/pool.h"

/* Pauses the group: nobody gets a lease any more, and each server is closed as soon as nobody holds
 * it. Sessions that wait go on waiting, and wait_timeout stands still. */
void gate_pause(struct pool *);
/* Ends the pause; sessions that have waited are served. Returns false if the group was not
 * paused. */
bool gate_resume(struct pool *);

/* Replaces the servers that exist now: idle ones are closed at once, others when they are
 * returned. */
void gate_reconnect(struct pool *);

void gate_set(struct pool *, enum pool_gate);

static inline bool
gate_paused(const struct pool *pool)
{
	return pool->group->paused;
}

static inline enum pool_gate
gate_of(const struct pool *pool)
{
	return pool->group->gate;
}

/* Is the pool closed to new sessions? If so, *e has the error, and is the caller's to clear. */
bool gate_refuses(const struct pool *, struct err *e);

/* How many servers the group has, and how many of them will be closed when they are returned. */
unsigned gate_servers(const struct pool *);
unsigned gate_retiring(const struct pool *);

/* The group's own pool, by its name; or NULL. */
struct pool *gate_find(const struct pools *, const char *name);

#endif
