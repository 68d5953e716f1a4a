/* timer: calls a function once, when its time has come. */
#ifndef PGWITH_LOOP_TIMER_H
#define PGWITH_LOOP_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;

struct timer {
	struct loop *loop;
	void (*fn)(void *arg);
	void *arg;
	int64_t due_us; /* as loop_now_us() */
	uint64_t turn;  /* in which it was started: it is not due in that one */
	size_t place;   /* in timers->heap, from 1 on; 0: it is not started */
};

void timer_init(struct timer *, struct loop *, void (*fn)(void *arg), void *arg);

/* Calls fn(arg) in a turn after this one, when `us` microseconds have passed since this one began.
 * A timer that is started already is started anew. */
void timer_start(struct timer *, int64_t us);
/* Of a timer that is not started (or all zero), nothing happens. */
void timer_stop(struct timer *);

static inline bool
timer_started(const struct timer *t)
{
	return t->place > 0;
}

/* All timers of a loop that are started: a heap, the first one on top. For the loop only. */
struct timers {
	struct timer **heap; /* heap[1] is the first; heap[i / 2] is due before heap[i] */
	size_t count;
	size_t size;
	uint64_t turn; /* counts the loop's */
};

/* When the first timer is due. There must be one. */
int64_t timers_first_us(const struct timers *);
/* Takes out a timer that is due, or returns NULL. */
struct timer *timers_take_due(struct timers *, int64_t now_us);
void timers_clear(struct timers *);

#endif
