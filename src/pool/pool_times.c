#include "pool/pool_times.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"

void
pool_times_first_(struct pool_times *t, enum pool_time which, int64_t us)
{
	t->of[which] = mem_calloc(1, sizeof *t->of[which]);
	histogram_add(t->of[which], us);
}

const struct histogram *
pool_times_of(const struct pool_times *t, enum pool_time which)
{
	static const struct histogram empty;

	return t->of[which] ? t->of[which] : &empty;
}

void
pool_times_move(struct pool_times *to, struct pool_times *from)
{
	for (int i = 0; i < POOL_NTIMES; i++) {
		if (to->of[i] == NULL) {
			to->of[i] = from->of[i];
		} else if (from->of[i]) {
			histogram_merge(to->of[i], from->of[i]);
			free(from->of[i]);
		}
		from->of[i] = NULL;
	}
}

void
pool_times_clear(struct pool_times *t)
{
	for (int i = 0; i < POOL_NTIMES; i++)
		free(t->of[i]);
	*t = (struct pool_times){0};
}

void
pool_times_pack(struct pack *p, struct pool_times *t)
{
	for (int i = 0; i < POOL_NTIMES; i++) {
		struct pool_times one = {0};
		bool there = t->of[i] != NULL;

		PACK(p, there);
		if (!there)
			continue;
		if (!pack_reading(p)) {
			PACK(p, *t->of[i]);
			continue;
		}
		one.of[i] = mem_calloc(1, sizeof *one.of[i]);
		PACK(p, *one.of[i]);
		pool_times_move(t, &one);
	}
}
