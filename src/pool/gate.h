/* gate: what an administrator does to whole pools: who may come in, who may lease, and which
 * servers are to be replaced. Each takes any pool of a group, and is about all of them. */
#ifndef PGWITH_POOL_GATE_H
#define PGWITH_POOL_GATE_H

#include "pool/pool.h"

/* Nobody gets a lease any more, and servers are closed as soon as nobody holds them. Who waits goes
 * on waiting, without wait_timeout. */
void gate_pause(struct pool *);
/* Whoever has waited is served. Returns false if it was not paused. */
bool gate_resume(struct pool *);

/* Servers that are there now are closed: idle ones at once, others when they are returned. */
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

/* May nobody new come in? Then *e says it, and is the caller's to clear. */
bool gate_refuses(const struct pool *, struct err *e);

/* Servers that exist, and of those the ones that are to be closed when they are returned. */
unsigned gate_servers(const struct pool *);
unsigned gate_retiring(const struct pool *);

/* The pool that stands for the group of that name, or NULL. */
struct pool *gate_find(const struct pools *, const char *name);

#endif
