/* handover: hands pools and their servers over to the next process. Sessions pack what waits in
 * them. */
#ifndef PGWITH_POOL_HANDOVER_H
#define PGWITH_POOL_HANDOVER_H

#include "base/pack.h"
#include "pool/pool.h"
#include "pool/prepared_pack.h"

/* The pools of the process before, or for the next one. */
struct handed_pools {
	struct pools *all;
	struct pool **list; /* by number; NULL: not in the configuration any more */
	uint32_t count;
	struct packed_texts texts;
	/* Reading: returns the descriptor of a server, which is the caller's from then on; or
	 * -1. */
	int (*take)(void *arg, uint64_t server);
	void *arg;
};

/* Holds all pools: attempts to connect are given up, servers that cannot be moved are closed when
 * nobody holds them, and nobody gets a lease. handover_release_pools() ends that. */
void handover_hold_pools(struct pools *);
void handover_release_pools(struct pools *);

/* Nothing is read from any server; handover_read_again() ends that. */
void handover_stop_reading(struct pools *);
void handover_read_again(struct pools *);

/* Can all servers be moved now? Not if one is in a state that only lasts for a moment, or cannot be
 * moved. */
bool handover_pools_ready(const struct pools *);

/* Closes the servers that cannot be moved now. */
void handover_pools_force(struct pools *, const char *why);

/* Packs all pools, without messages under way. Reading: the pools of the configuration exist and
 * are held. A server whose pool leads to another place now, or is gone, is closed when its lease
 * ends; an idle one at once. */
void handover_pack_pools(struct pack *, struct handed_pools *);

/* Packs which pool it is, by number; reading: NULL if it is not there. */
struct pool *handover_pack_pool(struct pack *, struct handed_pools *, struct pool *);

/* Packs a lease that is NONE, HELD or WAITING (reading: initialized, NONE). The session puts one
 * that waits into its queue, with the times that were read. False if it was HELD and its server
 * could not be taken over. */
bool handover_pack_lease(struct pack *, struct handed_pools *, struct lease *);

void handover_pools_clear(struct handed_pools *, bool reading);

#endif
