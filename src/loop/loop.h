/* loop: the one event loop. Time, signals, work deferred to the end of a turn, and the sweep. */
#ifndef PGWITH_LOOP_LOOP_H
#define PGWITH_LOOP_LOOP_H

#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#define LOOP_SCRATCH  (64 * 1024) /* bytes of the shared read buffer */
#define LOOP_SWEEP_US 100000      /* period of the sweep */

struct loop;

struct loop *loop_new(void);
/* Runs what is still deferred, then frees. Everything that was registered must have been removed.
 */
void loop_free(struct loop *);

struct event_base *loop_base(struct loop *);

/* What a loop begins with, for loop_now_us() alone. */
struct loop_clock {
	int64_t now_us; /* 0: not read in this turn */
};
int64_t loop_read_clock_(struct loop *);

/* Monotonic microseconds, read once in a turn: all that happens in one turn has one time. */
static inline int64_t
loop_now_us(struct loop *l)
{
	int64_t now_us = ((const struct loop_clock *)l)->now_us;

	return now_us ? now_us : loop_read_clock_(l);
}

/* A buffer of LOOP_SCRATCH bytes that everyone reads into. Its contents last until the callback
 * returns or somebody else reads; what is to be kept is copied. */
uint8_t *loop_scratch(struct loop *);

/* Calls fn(arg) at the end of this turn, in the order of the calls. What the loop can reach is
 * freed this way, so that it does not disappear under a callback that still uses it. */
void loop_defer(struct loop *, void (*fn)(void *arg), void *arg);

/* Calls fn(arg) every LOOP_SWEEP_US: time-outs of many objects are found by walking lists that are
 * ordered by time. One sweeper. */
void loop_on_sweep(struct loop *, void (*fn)(void *arg), void *arg);

/* Calls fn(arg, signo) in the loop, not in the signal handler. At most LOOP_SIGNALS signals. */
#define LOOP_SIGNALS 8
void loop_on_signal(struct loop *, int signo, void (*fn)(void *arg, int signo), void *arg);

/* Runs turns until loop_stop(). Returns 0, or -E_IO if the event library fails. */
int loop_run(struct loop *);
void loop_stop(struct loop *);

#endif
