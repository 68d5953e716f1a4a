#include "loop/timer.h"

#include <stdlib.h>

#include "base/mem.h"
#include "loop/loop.h"

static void
put(struct timers *all, struct timer *t, size_t place)
{
	all->heap[place] = t;
	t->place = place;
}

/* Puts `t` at `place`, or above it. */
static void
rise(struct timers *all, struct timer *t, size_t place)
{
	while (place > 1 && t->due_us < all->heap[place / 2]->due_us) {
		put(all, all->heap[place / 2], place);
		place /= 2;
	}
	put(all, t, place);
}

/* Puts `t` at `place`, or below it. */
static void
sink(struct timers *all, struct timer *t, size_t place)
{
	size_t below;

	while ((below = place * 2) <= all->count) {
		if (below < all->count && all->heap[below + 1]->due_us < all->heap[below]->due_us)
			below++;
		if (t->due_us <= all->heap[below]->due_us)
			break;
		put(all, all->heap[below], place);
		place = below;
	}
	put(all, t, place);
}

void
timer_init(struct timer *t, struct loop *loop, void (*fn)(void *), void *arg)
{
	*t = (struct timer){.loop = loop, .fn = fn, .arg = arg};
}

void
timer_start(struct timer *t, int64_t us)
{
	struct timers *all = loop_timers(t->loop);

	timer_stop(t);
	if (all->count + 1 >= all->size) {
		all->size = all->size ? all->size * 2 : 64;
		all->heap = mem_realloc(all->heap, all->size * sizeof *all->heap);
	}
	t->turn = all->turn;
	t->due_us = loop_now_us(t->loop) + us;
	rise(all, t, ++all->count);
}

void
timer_stop(struct timer *t)
{
	struct timers *all;
	struct timer *last;
	size_t place = t->place;

	if (place == 0)
		return;
	all = loop_timers(t->loop);
	t->place = 0;
	last = all->heap[all->count--];
	if (last == t)
		return;
	/* The last one takes the place, and is moved to where it belongs. */
	if (place > 1 && last->due_us < all->heap[place / 2]->due_us)
		rise(all, last, place);
	else
		sink(all, last, place);
}

int64_t
timers_first_us(const struct timers *all)
{
	return all->heap[1]->due_us;
}

struct timer *
timers_take_due(struct timers *all, int64_t now_us)
{
	struct timer *t;

	if (all->count == 0 || all->heap[1]->due_us > now_us || all->heap[1]->turn == all->turn)
		return NULL;
	t = all->heap[1];
	timer_stop(t);
	return t;
}

void
timers_clear(struct timers *all)
{
	free(all->heap);
	*all = (struct timers){0};
}
