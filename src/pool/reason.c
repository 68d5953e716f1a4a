#include "pool/reason.h"

#include <stdio.h>

#include "pool/gate.h"
#include "pool/pool.h"

enum reason
reason_of_pool(const struct pool *pool)
{
	if (gate_paused(pool))
		return REASON_PAUSED;
	if (pool->down_us)
		return REASON_DOWN;
	if (pool->group->total >= pool->conf->size)
		return REASON_POOL;
	return cluster_has_room(pool->group) ? REASON_OPENING : REASON_CLUSTER;
}

enum reason
reason_of(const struct lease *l)
{
	if (gate_paused(l->pool))
		return REASON_PAUSED;
	return l->turn.blocked ? REASON_PARTY : reason_of_pool(l->pool);
}

void
reason_say(const struct lease *l, char *out, size_t out_size)
{
	const struct pool *group = l->pool->group;

	switch (reason_of(l)) {
	case REASON_PAUSED:
		snprintf(out, out_size, "the pool is paused");
		return;
	case REASON_PARTY:
		party_say_full(l->turn.blocked->party, out, out_size);
		return;
	case REASON_DOWN:
		snprintf(out, out_size, "the server cannot be reached");
		return;
	case REASON_POOL:
		snprintf(out, out_size, "the pool has %u of %lld servers (size)", group->total,
			 (long long)group->conf->size);
		return;
	case REASON_CLUSTER:
		cluster_say(group, out, out_size);
		return;
	case REASON_OPENING:
		snprintf(out, out_size, "a server is being opened, checked or cleaned up");
		return;
	}
}
