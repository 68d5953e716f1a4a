#include "pool/past.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void
past_init(struct past *past)
{
	*past = (struct past){0};
	list_init(&past->pools);
}

static void
free_one(struct past *past, struct past_pool *one)
{
	list_remove(&past->pools, &one->node);
	pool_tally_clear(&one->tally);
	free(one->name);
	free(one);
}

void
past_clear(struct past *past)
{
	struct list_node *n;

	while ((n = list_first(&past->pools)) != NULL)
		free_one(past, LIST_OBJ(n, struct past_pool, node));
	pool_tally_clear(&past->others.tally);
}

static struct past_pool *
find(struct past *past, const char *name)
{
	struct list_node *n;

	LIST_EACH (n, &past->pools)
		if (strcmp(LIST_OBJ(n, struct past_pool, node)->name, name) == 0)
			return LIST_OBJ(n, struct past_pool, node);
	return NULL;
}

static struct past_pool *
find_or_make(struct past *past, const char *name)
{
	struct past_pool *one = find(past, name);

	if (one)
		return one;
	if (past->pools.count == PAST_POOLS_MAX)
		return &past->others;
	one = mem_calloc(1, sizeof *one);
	one->name = mem_strdup(name);
	list_append(&past->pools, &one->node);
	return one;
}

void
past_keep(struct past *past, const char *name, struct pool_stats *stats, struct pool_tally *tally)
{
	struct past_pool *one = find_or_make(past, name);

	pool_stats_add(&one->stats, stats);
	*stats = (struct pool_stats){0};
	pool_tally_move(&one->tally, tally);
}

bool
past_has_others(const struct past *past)
{
	static const struct pool_stats none;

	/* Nothing is in a tally alone. */
	return memcmp(&past->others.stats, &none, sizeof none) != 0;
}

void
past_restore(struct past *past, const char *name, struct pool_stats *stats,
	     struct pool_tally *tally)
{
	struct past_pool *one = find(past, name);

	if (one == NULL)
		return;
	pool_stats_add(stats, &one->stats);
	pool_tally_move(tally, &one->tally);
	free_one(past, one);
}

static void
one_pack(struct pack *p, struct past *past, struct past_pool *one)
{
	char *name = one ? one->name : NULL;
	struct pool_stats stats = one ? one->stats : (struct pool_stats){0};
	struct pool_tally tally = {0};

	pack_str(p, &name);
	PACK(p, stats);
	pool_tally_pack(p, one ? &one->tally : &tally);
	if (!pack_reading(p))
		return;
	if (name)
		past_keep(past, name, &stats, &tally);
	pool_tally_clear(&tally);
	free(name);
}

void
past_pack(struct pack *p, struct past *past)
{
	uint32_t count = past->pools.count;
	const struct list_node *n;

	PACK(p, past->others.stats);
	pool_tally_pack(p, &past->others.tally);
	PACK(p, count);
	if (!pack_reading(p))
		LIST_EACH (n, &past->pools)
			one_pack(p, past, LIST_OBJ(n, struct past_pool, node));
	for (uint32_t i = 0; pack_reading(p) && i < count && !p->failed; i++)
		one_pack(p, past, NULL);
}
