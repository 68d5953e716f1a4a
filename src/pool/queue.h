/* queue: in which order the leases that wait in a pool get its servers.
 *
 * pool->waiting has all of them, in the order in which they came. pool->turns has those that could
 * be given a server, the next one first: in the order in which they came, but those of a party with
 * a priority stand as if they had come so many seconds earlier. So nobody is passed by those who
 * came later than that, and within one priority the first comes first.
 *
 * A lease whose party has as many servers as it may have (max_servers) is no candidate: it waits in
 * a lane, of its party and its pool, and keeps nobody behind it waiting. As many of a lane are in
 * pool->turns as the party could have servers more. A party has one lane for each pool in which it
 * waits, so what waits for one pool does not keep the party from the servers of another.
 *
 * A lease that needs a server which nobody has had stands in front of all. */
#ifndef PGWITH_POOL_QUEUE_H
#define PGWITH_POOL_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "pool/party.h"

struct lease;
struct pool;
struct pools;
struct server;

/* Those of one party that wait in one pool. It exists while there is one. */
struct lane {
	struct list_node node; /* in party->lanes */
	struct party *party;
	struct pool *pool;
	unsigned leases;     /* of the party, that wait in the pool */
	struct list blocked; /* those of them that wait here (turn), the next one first */
	unsigned offered;    /* those of them that are in pool->turns */
};

/* The part of a lease that waits. */
struct turn {
	struct list_node node; /* in pool->turns, or in blocked->blocked */
	int64_t time_us;       /* when it came, earlier by its priority */
	uint64_t number;       /* of all that have begun to wait: the order within one time */
	/* by enum conf_party; NULL: the lease has no such party */
	struct party *party[PARTY_KINDS];
	struct lane *lane[PARTY_KINDS]; /* WAITING: of those parties */
	struct lane *blocked;           /* one of them, if it waits there; otherwise NULL */
};

/* A lease of these parties begins to wait; it is in pool->waiting already. */
void queue_enter(struct lease *);
/* It waits no longer. */
void queue_leave(struct lease *);

/* The next lease that can be given this server; NULL: none. */
struct lease *queue_next(struct pool *, const struct server *);

/* The lease in the `n`-th place of pool->turns, from 0; NULL: there are not so many. */
const struct lease *queue_at(const struct pool *, unsigned n);

/* The party of the lease that has as many servers as it may have; NULL: none. */
const struct party *queue_full_party(const struct lease *);

/* Counts a server that was lent to the lease (by = 1), or comes back from it (by = -1). Then others
 * of the party may be candidates again: pools_serve_soon(). */
void queue_count_server(struct pools *, struct turn *, int by);

/* The lease neither waits nor holds a server any more: it is of no party. */
void queue_leave_parties(struct pools *, struct turn *);

/* When the limits change: takes all leases out of their lanes and parties; and puts them in again,
 * and counts their servers, when `parties` of the pools has the new limits. */
void queues_forget(struct pools *);
void queues_again(struct pools *);

#endif
