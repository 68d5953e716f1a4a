/* handover: pools and their servers, from one process to the next. What waits in them is the
 * sessions'. */
#ifndef PGWITH_POOL_HANDOVER_H
#define PGWITH_POOL_HANDOVER_H

#include "base/pack.h"
#include "pool/pool.h"
#include "pool/prepared_pack.h"

/* Of the process before, or for the next one. */
struct handed_pools {
	struct pools *all;
	struct pool **list; /* by number; NULL: the configuration has it no more */
	uint32_t count;
	struct packed_texts texts;
	/* Reading: gives the descriptor of a server, which is the caller's then; or -1. */
	int (*take)(void *arg, uint64_t server);
	void *arg;
};

/* Servers that are being opened are given up, and those that cannot be moved are closed when nobody
 * holds them; nobody gets a lease. handover_end() takes that back. */
void handover_hold_pools(struct pools *);
void handover_release_pools(struct pools *);

/* Is no server in a state that only lasts for a moment, or cannot be moved? */
bool handover_pools_ready(const struct pools *);

/* Closes those that are. */
void handover_pools_force(struct pools *, const char *why);

/* All of them, without what is under way in the servers. Reading: the pools of the configuration
 * are there, and held. A server of a pool that is at another place now, or is not there any more,
 * is marked to be closed when its lease ends; an idle one is closed at once. */
void handover_pack_pools(struct pack *, struct handed_pools *);

/* The pool of that number in the file; reading: NULL if it is not there. */
struct pool *handover_pack_pool(struct pack *, struct handed_pools *, struct pool *);

/* A lease that is NONE, HELD or WAITING (reading: NONE, and initialized). One that waits is put
 * into its queue by the session, with the times that were read. Returns false if it was HELD, and
 * its server could not be taken over. */
bool handover_pack_lease(struct pack *, struct handed_pools *, struct lease *);

void handover_pools_clear(struct handed_pools *, bool reading);

#endif
