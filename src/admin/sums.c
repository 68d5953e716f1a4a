#include "admin/sums.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int
by_group(const void *a, const void *b)
{
	const struct sums_pool *x = a, *y = b;

	return ((uintptr_t)x->group > (uintptr_t)y->group) -
	       ((uintptr_t)x->group < (uintptr_t)y->group);
}

static int
by_name(const void *a, const void *b)
{
	const struct sums_pool *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : by_group(a, b);
}

/* While they are sorted by group. */
static struct sums_pool *
find(const struct sums *sums, const struct pool *pool)
{
	struct sums_pool key = {.group = pool->group};

	return bsearch(&key, sums->pools, sums->count, sizeof key, by_group);
}

static int64_t
later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static void
add_leased(struct sums_pool *sum, const struct pool *pool, int64_t now)
{
	const struct list_node *n;

	LIST_EACH (n, &pool->servers[SERVER_LEASED]) {
		struct lease *l = LIST_OBJ(n, const struct server, node)->lease;

		if (l == NULL)
			continue;
		sum->pinned += (hold_of(l)->pinned & ~HOLD_PIN_MODE) != 0;
		if (l->xact_us)
			sum->hold_us = later(sum->hold_us, now - l->xact_us);
	}
}

static void
add_pool(struct sums_pool *sum, const struct pool *pool)
{
	int64_t since_us = lease_oldest_wait(pool), now = loop_now_us(pool->all->loop);

	pool_stats_add(&sum->stats, &pool->stats);
	pool_stats_add(&sum->period, &pool->period);
	for (int i = 0; i < SERVER_NSTATES; i++)
		sum->servers[i] += pool->servers[i].count;
	sum->waiting += pool->waiting.count;
	if (pool->waiting.count > sum->longest_queue)
		sum->longest_queue = pool->waiting.count;
	sum->down |= pool->down_us != 0;
	if (since_us)
		sum->wait_us = later(sum->wait_us, now - since_us);
	add_leased(sum, pool, now);
}

static void
add_past(struct sums *sums, const struct past_pool *past)
{
	sums->pools[sums->count++] = (struct sums_pool){
	    .name = past->name ? past->name : "", .stats = past->stats, .tally = &past->tally};
}

void
sums_take(struct sums *sums, const struct daemon *d)
{
	const struct list *pools = &d->site.pools.list;
	const struct past *past = &d->site.pools.past;
	const struct list_node *n;

	*sums = (struct sums){
	    .pools = mem_calloc(pools->count + past->pools.count + 1, sizeof *sums->pools)};
	LIST_EACH (n, pools) {
		const struct pool *pool = LIST_OBJ(n, const struct pool, node);

		if (pool->group == pool)
			sums->pools[sums->count++] = (struct sums_pool){
			    .name = pool->conf->name, .group = pool, .tally = &pool->tally};
	}
	qsort(sums->pools, sums->count, sizeof *sums->pools, by_group);
	LIST_EACH (n, pools) {
		const struct pool *pool = LIST_OBJ(n, const struct pool, node);

		add_pool(find(sums, pool), pool);
	}
	LIST_EACH (n, &d->site.in_state[SESSION_IDLE]) {
		const struct pool *pool = LIST_OBJ(n, const struct session, node)->pool;

		if (pool)
			find(sums, pool)->idle++;
	}
	LIST_EACH (n, &past->pools)
		add_past(sums, LIST_OBJ(n, const struct past_pool, node));
	if (past_has_others(past))
		add_past(sums, &past->others);
	qsort(sums->pools, sums->count, sizeof *sums->pools, by_name);
}

void
sums_clear(struct sums *sums)
{
	free(sums->pools);
	*sums = (struct sums){0};
}

const struct sums_pool *
sums_find(const struct sums *sums, const struct pool *pool)
{
	struct sums_pool key = {.name = pool->conf->name, .group = pool->group};

	return bsearch(&key, sums->pools, sums->count, sizeof key, by_name);
}
