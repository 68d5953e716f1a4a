#include "pool/reason.h"

#include <stdio.h>

#include "pool/gate.h"
#include "pool/pool.h"

/* Has the last attempt to open a server failed, and is that what keeps one away? A server that is
 * being opened now is another attempt: it does not count. */
static bool
cannot_connect(const struct pool *pool)
{
	unsigned opening = pool->servers[SERVER_CONNECTING].count;

	return pool->last_error.id != ERR_NONE &&
	       (pool->down_us || (int64_t)(pool->group->total - opening) < pool->conf->size);
}

enum reason
reason_of_pool(const struct pool *pool)
{
	const struct pool *group = pool->group;

	if (gate_paused(pool))
		return REASON_PAUSED;
	if (pool->all->handing)
		return REASON_HANDING;
	if (cannot_connect(pool))
		return REASON_DOWN;
	if (group->total >= pool->conf->size)
		return REASON_POOL;
	return cluster_lets(group->cluster, group->total + group->leaving, group->reserved)
		   ? REASON_OPENING
		   : REASON_CLUSTER;
}

static const struct party *
party_of(const struct lease *l)
{
	return l->turn.blocked ? l->turn.blocked->party : NULL;
}

enum reason
reason_of(const struct lease *l)
{
	if (gate_paused(l->pool))
		return REASON_PAUSED;
	return party_of(l) ? REASON_PARTY : reason_of_pool(l->pool);
}

/* `party`: the full one of REASON_PARTY. */
static void
say(enum reason reason, const struct pool *pool, const struct party *party, char *out,
    size_t out_size)
{
	const struct cluster *c = pool->group->cluster;

	switch (reason) {
	case REASON_PAUSED:
		snprintf(out, out_size, "the pool is paused: an administrator can RESUME it");
		return;
	case REASON_HANDING:
		snprintf(out, out_size, "a new pgwithd takes over: clients wait until it has");
		return;
	case REASON_PARTY:
		party_say_full(party, out, out_size);
		return;
	case REASON_DOWN:
		snprintf(out, out_size, "%s", pool->last_error.message);
		return;
	case REASON_POOL:
		if (pool->own_conf) {
			snprintf(out, out_size,
				 "a joined scope serves one session at a time, to the end of its "
				 "transaction");
			return;
		}
		snprintf(out, out_size, "the pool has %u of %lld servers (size)",
			 pool->group->total, (long long)pool->conf->size);
		return;
	case REASON_CLUSTER:
		snprintf(out, out_size, "cluster \"%s\" has %u of %lld servers (server_limit)",
			 c->name, c->held, (long long)c->limit);
		return;
	case REASON_OPENING:
		snprintf(out, out_size, "a server is being opened, checked or cleaned up");
		return;
	}
}

void
reason_say(const struct lease *l, char *out, size_t out_size)
{
	say(reason_of(l), l->pool, party_of(l), out, out_size);
}

void
reason_say_pool(const struct pool *pool, char *out, size_t out_size)
{
	say(reason_of_pool(pool), pool, NULL, out, out_size);
}

void
reason_hint(const struct pool *pool, const struct party *party, struct err *e)
{
	enum reason reason = party && !gate_paused(pool) ? REASON_PARTY : reason_of_pool(pool);
	char says[REASON_TEXT];

	say(reason, pool, party, says, sizeof says);
	switch (reason) {
	case REASON_PAUSED:
	case REASON_HANDING:
	case REASON_DOWN:
		err_hint(e, "%s", says);
		return;
	case REASON_PARTY:
	case REASON_CLUSTER:
		err_hint(e, "%s: raise it, or see in SHOW WAITS who holds them", says);
		return;
	case REASON_POOL:
	case REASON_OPENING:
		if (pool->own_conf)
			err_hint(e, "a joined scope serves one session at a time: the one that "
				    "holds the server has to end its transaction first; a larger "
				    "size does not help");
		return;
	}
}

bool
reason_is_held(const struct lease *waiting, const struct lease *held)
{
	const struct party *party = party_of(waiting);

	switch (reason_of(waiting)) {
	case REASON_PAUSED:
	case REASON_HANDING:
		return false;
	case REASON_PARTY:
		return held->turn.party[party->kind] == party;
	case REASON_CLUSTER:
		return held->pool->group->cluster == waiting->pool->group->cluster;
	case REASON_DOWN:
	case REASON_POOL:
	case REASON_OPENING:
		break;
	}
	return held->pool->group == waiting->pool->group;
}
