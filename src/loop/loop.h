/* loop: the one event loop: time, signals, calls deferred to the end of a turn, and the sweep. A
 * turn is one wait for events and all callbacks that follow, one for each event. */
#ifndef PGWITH_LOOP_LOOP_H
#define PGWITH_LOOP_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/histogram.h"
#include "base/list.h"

#define LOOP_SCRATCH  (64 * 1024) /* bytes of the shared read buffer */
#define LOOP_SWEEP_US 100000      /* period of the sweep */
#define LOOP_REST_US  1000000     /* the same, while nothing happens */
#define LOOP_QUIET    20          /* sweeps with nothing between them, before that */

struct inlets;
struct loop;
struct watches;

struct loop *loop_new(void);
/* Waits by io_uring from now on, if that is possible: before anything is watched. Returns false,
 * with one line of reason, if it is not: then everything is as before. */
bool loop_use_ring(struct loop *, char *why, size_t why_size);
/* NULL: the loop waits by epoll. */
struct ring *loop_ring(struct loop *);
/* Of inlet.c. */
struct inlets *loop_inlets(struct loop *);
/* Runs the calls that are still deferred, then frees. The caller has removed its own events. */
void loop_free(struct loop *);

struct event_base *loop_base(struct loop *);
/* Calls the function of an event of libevent in this turn or the next, as event_active() does: what
 * that has made active outside of libevent is not looked for. */
void loop_activate(struct loop *, struct event *);
/* For streams. */
struct watches *loop_watches(struct loop *);

/* The first member of struct loop, known here so that loop_now_us() can be inline. */
struct loop_clock {
	int64_t now_us; /* 0: not read in this turn */
	bool work_left; /* loop_leave_work() was called */
};
int64_t loop_read_clock_(struct loop *);

/* Monotonic microseconds, read once a turn: everything in one turn happens at the same time. */
static inline int64_t
loop_now_us(struct loop *l)
{
	int64_t now_us = ((const struct loop_clock *)l)->now_us;

	return now_us ? now_us : loop_read_clock_(l);
}

/* A buffer of LOOP_SCRATCH bytes that all streams are read into. Its contents last until the
 * callback returns or something else is read into it; copy what is to be kept. */
uint8_t *loop_scratch(struct loop *);

/* Calls fn(arg) at the end of this turn, in the order of the calls of loop_defer(). Objects that
 * callbacks use are freed this way, so that none disappears under a callback that still uses it. */
void loop_defer(struct loop *, void (*fn)(void *arg), void *arg);

/* A callback can leave work to be done when it has returned, and nothing of its callers is on the
 * stack any more: fn(arg) is called then, before the callback of another event, if
 * loop_leave_work() was called. There is one such function. */
void loop_on_work(struct loop *, void (*fn)(void *arg), void *arg);

static inline void
loop_leave_work(struct loop *l)
{
	((struct loop_clock *)l)->work_left = true;
}

/* The callback of an event is about to return: does the work that was left. Called by every
 * callback that is given to libevent; what one has not done is done before the next wait. */
void loop_do_work_(struct loop *);
static inline void
loop_event_done(struct loop *l)
{
	if (((const struct loop_clock *)l)->work_left)
		loop_do_work_(l);
}

/* Sends what streams have written in this turn, and brings the receiving of held streams to its
 * end: after it, nothing is under way. Without a ring, nothing ever is. */
void loop_settle(struct loop *);

/* For timer.c. */
struct timers *loop_timers(struct loop *);

/* With a ring: calls fn() once, in this turn if the ring has just told something, else in the next
 * one. It is a member of the object that fn() is about: LIST_OBJ() finds that. */
struct loop_ready {
	struct list_node node;
	void (*fn)(struct loop_ready *);
	uint16_t round; /* of the loop, in which it was called last */
};
void loop_ready(struct loop *, struct loop_ready *);
void loop_not_ready(struct loop *, struct loop_ready *);

/* Calls fn(arg) every LOOP_SWEEP_US, so that time-outs of many objects are found by walking lists
 * that are ordered by time. If nothing but sweeps has happened for LOOP_QUIET of them, and
 * needed(arg) says that none of these time-outs is running, it is called every LOOP_REST_US, until
 * something happens. There is one sweeper: to be called once. */
void loop_on_sweep(struct loop *, void (*fn)(void *arg), bool (*needed)(void *arg), void *arg);

/* How much later than due the sweeps came: so long did the loop keep somebody waiting. */
const struct histogram *loop_lag(const struct loop *);

/* Calls fn(arg, signo) in the loop, not in the signal handler. At most LOOP_SIGNALS signals. */
#define LOOP_SIGNALS 8
void loop_on_signal(struct loop *, int signo, void (*fn)(void *arg, int signo), void *arg);

/* Runs turns until loop_stop(). Returns 0, or -E_IO if the event library fails. */
int loop_run(struct loop *);
void loop_stop(struct loop *);
/* One turn. Without `wait`, only what is there already is handled. Returns as loop_run(). */
int loop_turn(struct loop *, bool wait);

#endif
