#include "loop/loop.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/inlet.h"
#include "loop/ring.h"
#include "loop/timer.h"
#include "loop/watch.h"

/* See give_way(). */
#define GIVE_WAY_LONG_US 1000 /* more is too long */
#define GIVE_WAY_REST    100  /* times as long as that took, there is no other */
/* With a ring. */
#define GIVE_WAY_FROM   6  /* streams that were called in a round of turns */
#define GIVE_WAY_ROUND  16 /* turns */
#define GIVE_WAY_RARELY 6  /* in vain so often in a row: only behind each 64th turn */
/* Without one. */
#define GIVE_WAY_EPOLL 4 /* streams that were called in the turn before */

struct deferred {
	void (*fn)(void *);
	void *arg;
};

struct on_signal {
	struct loop *loop;
	struct event event;
	void (*fn)(void *, int);
	void *arg;
};

struct loop {
	struct loop_clock clock; /* must be the first member: loop_now_us() */
	struct event_base *base;
	struct watches *watches;
	bool stopped;
	struct ring *ring; /* or NULL */
	struct inlets inlets;
	struct timers timers;
	struct event alarm; /* wakes the loop for the first timer */
	int alarm_fd;       /* a timerfd; -1: none was needed yet */
	int64_t alarm_us;   /* when it goes off; 0: it is not set */
	struct list ready;  /* of struct loop_ready */
	unsigned called;    /* how many of them in the turn before */
	uint16_t round;     /* of turns that call some */
	unsigned turns;     /* in this round */
	unsigned busy;      /* how many different ones it has called */
	unsigned was_busy;  /* the round before */
	int64_t stay_us;    /* until then, the processor is not given away */
	unsigned in_vain;   /* how often in a row it was */
	unsigned skip;      /* turns, before it is given away again */
	bool polled;        /* the ring tells when the epoll descriptor can be read */
	bool epoll_ready;   /* it can be read */
	bool activated;     /* libevent has something to do: loop_activate() */
	void (*work_fn)(void *);
	void *work_arg;
	struct deferred *deferred;
	size_t ndeferred;
	size_t deferred_size;
	struct event sweep;
	int sweep_fd; /* a timerfd */
	void (*sweep_fn)(void *);
	bool (*sweep_needed)(void *);
	void *sweep_arg;
	bool swept;     /* in this turn */
	unsigned quiet; /* sweeps in a row with no other turn between them */
	bool resting;   /* the period of the sweep is LOOP_REST_US */
	int64_t due_us; /* when the next sweep is due */
	struct histogram lag;
	struct on_signal signals[LOOP_SIGNALS];
	unsigned nsignals;
	uint8_t scratch[LOOP_SCRATCH];
};

static void on_signal(evutil_socket_t, short what, void *arg);

/* libevent does not tell its epoll descriptor: it is the one to which a descriptor that libevent
 * watches cannot be added once more. Returns -1 if there is none. */
static int
find_base_fd(struct loop *l)
{
	struct epoll_event add = {.events = EPOLLIN};
	int watched = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), found = -1;
	struct event event;

	if (watched < 0)
		return -1;
	event_assign(&event, l->base, watched, EV_READ, on_signal, NULL);
	if (event_add(&event, NULL) == 0) {
		for (int fd = 0; fd < watched + 256 && found < 0; fd++) {
			if (epoll_ctl(fd, EPOLL_CTL_ADD, watched, &add) == 0)
				epoll_ctl(fd, EPOLL_CTL_DEL, watched, NULL);
			else if (errno == EEXIST)
				found = fd;
		}
		event_del(&event);
	}
	close(watched);
	return found;
}

struct loop *
loop_new(void)
{
	struct event_config *config = event_config_new();
	struct loop *l = mem_calloc(1, sizeof *l);
	int base_fd;

	if (config == NULL)
		log_fatal("", LOG_ALONE, "cannot make an event configuration");
	/* No locks: only this thread uses the base. Worker threads write to an eventfd. */
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	/* Few timers of libevent are in use, and they are set rarely. So libevent need not read the
	 * clock in each turn. */
	event_config_set_flag(config, EVENT_BASE_FLAG_NO_CACHE_TIME);
	/* EV_CLOSED reports a hang-up without reading. It needs epoll. */
	event_config_require_features(config, EV_FEATURE_EARLY_CLOSE);
	l->base = event_base_new_with_config(config);
	event_config_free(config);
	list_init(&l->ready);
	l->alarm_fd = -1;
	l->round = 1; /* 0: of one that has never been called */
	if (l->base == NULL)
		log_fatal("", LOG_ALONE, "cannot make an event base that reports hang-ups (epoll)");
	base_fd = find_base_fd(l);
	if (base_fd < 0)
		log_fatal("", LOG_ALONE, "libevent's epoll is not found");
	l->watches = watches_new(base_fd);
	return l;
}

static void
run_deferred(struct loop *l)
{
	/* A deferred call may defer another, so ndeferred may grow here. */
	for (size_t i = 0; i < l->ndeferred; i++) {
		struct deferred d = l->deferred[i];

		d.fn(d.arg);
	}
	l->ndeferred = 0;
}

void
loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	run_deferred(l);
	if (l->sweep_fn) {
		event_del(&l->sweep);
		close(l->sweep_fd);
	}
	for (unsigned i = 0; i < l->nsignals; i++)
		event_del(&l->signals[i].event);
	free(l->deferred);
	if (l->alarm_fd >= 0) {
		event_del(&l->alarm);
		close(l->alarm_fd);
	}
	timers_clear(&l->timers);
	watches_free(l->watches);
	event_base_free(l->base);
	ring_free(l->ring);
	inlets_clear(&l->inlets);
	free(l);
}

/* ---- the ring ---- */

bool
loop_use_ring(struct loop *l, char *why, size_t why_size)
{
	l->ring = ring_new(why, why_size);
	return l->ring != NULL;
}

struct ring *
loop_ring(struct loop *l)
{
	return l->ring;
}

struct inlets *
loop_inlets(struct loop *l)
{
	return &l->inlets;
}

void
loop_ready(struct loop *l, struct loop_ready *ready)
{
	if (!list_linked(&ready->node))
		list_append(&l->ready, &ready->node);
}

void
loop_not_ready(struct loop *l, struct loop_ready *ready)
{
	if (list_linked(&ready->node))
		list_remove(&l->ready, &ready->node);
}

void
loop_settle(struct loop *l)
{
	if (l->ring && ring_settle(l->ring) < 0)
		log_fatal("", LOG_ALONE, "io_uring fails");
}

static void
on_epoll(void *arg, const struct ring_result *result)
{
	struct loop *l = arg;

	l->polled = false;
	l->epoll_ready = true;
}

/* Those that become ready meanwhile have their turn in the next one. */
static void
call_ready(struct loop *l)
{
	struct list_node *n;

	l->called = l->ready.count;
	if (l->called > 0 && ++l->turns > GIVE_WAY_ROUND) {
		l->was_busy = l->busy;
		l->busy = l->turns = 0;
		l->round++;
	}
	for (unsigned left = l->called; left > 0 && (n = list_first(&l->ready)); left--) {
		struct loop_ready *ready = LIST_OBJ(n, struct loop_ready, node);

		list_remove(&l->ready, n);
		if (ready->round != l->round) {
			ready->round = l->round;
			l->busy++;
		}
		ready->fn(ready);
		loop_event_done(l);
	}
}

static bool
something_came(const struct loop *l)
{
	return l->ready.count > 0 || l->epoll_ready;
}

/* Somebody else may take the processor for long: then the loop has lost time, and for a hundred
 * times as long it does not give it away again. */
static void
yield(struct loop *l, int64_t began_us)
{
	int64_t took_us;

	sched_yield();
	took_us = loop_read_clock_(l) - began_us;
	if (took_us > GIVE_WAY_LONG_US)
		l->stay_us = began_us + took_us + GIVE_WAY_REST * took_us;
}

/* The turns before have given work to several processes. If those run first that wait for this
 * processor, the loop finds their answers when it goes on, and neither sleeps nor is woken up.
 * That is tried more and more rarely if nothing comes of it, because they run elsewhere. */
static int
give_way(struct loop *l)
{
	int64_t began_us;

	if (l->called == 0 || (l->busy < GIVE_WAY_FROM && l->was_busy < GIVE_WAY_FROM))
		return 0;
	if (l->skip > 0) {
		l->skip--;
		return 0;
	}
	began_us = loop_read_clock_(l);
	if (began_us < l->stay_us)
		return 0;
	/* What was written is sent first. */
	if (ring_wait(l->ring, 0) < 0)
		return -E_IO;
	if (something_came(l))
		return 0;
	yield(l, began_us);
	if (ring_wait(l->ring, 0) < 0)
		return -E_IO;
	if (something_came(l)) {
		l->in_vain = 0;
		return 0;
	}
	if (l->in_vain < GIVE_WAY_RARELY)
		l->in_vain++;
	l->skip = 1u << l->in_vain;
	return 0;
}

/* Waits by the ring, which tells when epoll has something. */
static int
wait_with_ring(struct loop *l, bool wait)
{
	if (!l->polled) {
		ring_poll(l->ring, watches_fd(l->watches), on_epoll, l);
		l->polled = true;
	}
	if (wait && give_way(l) < 0)
		return -E_IO;
	l->clock.now_us = 0;
	if ((!wait || !something_came(l)) && ring_wait(l->ring, wait ? -1 : 0) < 0)
		return -E_IO;
	return 0;
}

/* ---- turns ---- */

struct timers *
loop_timers(struct loop *l)
{
	return &l->timers;
}

static void
on_alarm(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	uint64_t times;

	if (read(fd, &times, sizeof times) == sizeof times)
		l->alarm_us = 0;
}

static void
make_alarm(struct loop *l)
{
	l->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (l->alarm_fd < 0)
		log_fatal("", LOG_ALONE, "cannot make a timer");
	event_assign(&l->alarm, l->base, l->alarm_fd, EV_READ | EV_PERSIST, on_alarm, l);
	if (event_add(&l->alarm, NULL) < 0)
		log_fatal("", LOG_ALONE, "cannot watch a timer");
}

/* Lets the loop wake up when the first timer is due. Most timers are stopped before their time. A
 * time-out of each wait would be set up and taken down by the kernel each time, which is dear,
 * above all in a virtual machine. So the alarm stands when its timer is stopped, and wakes the loop
 * for nothing then; it is set anew only if another timer is due earlier. Returns false if the first
 * timer is due now. */
static bool
set_alarm(struct loop *l, int64_t due_us)
{
	const struct itimerspec timer = {
	    .it_value = {.tv_sec = due_us / 1000000, .tv_nsec = due_us % 1000000 * 1000}};

	if (l->alarm_us && l->alarm_us <= due_us)
		return true;
	if (due_us <= loop_now_us(l))
		return false;
	if (l->alarm_fd < 0)
		make_alarm(l);
	if (timerfd_settime(l->alarm_fd, TFD_TIMER_ABSTIME, &timer, NULL) < 0)
		log_fatal("", LOG_ALONE, "cannot set a timer");
	l->alarm_us = due_us;
	return true;
}

/* The same without a ring, where only a system call would tell whether something has come. So it is
 * done behind busy turns only, and not more rarely if nothing comes of it. */
static void
give_way_by_epoll(struct loop *l)
{
	int64_t began_us;

	if (watches_called(l->watches) < GIVE_WAY_EPOLL)
		return;
	began_us = loop_read_clock_(l);
	if (began_us >= l->stay_us)
		yield(l, began_us);
}

/* Streams wait by an epoll of the loop's own, which watches that of libevent. */
static int
wait_for_events(struct loop *l, bool wait)
{
	bool libevent = false;

	if (l->activated)
		wait = false;
	if (l->ring && wait_with_ring(l, wait) < 0)
		return -E_IO;
	if (l->ring == NULL && wait)
		give_way_by_epoll(l);
	l->clock.now_us = 0;
	if (l->ring == NULL || l->epoll_ready)
		libevent = watches_turn(l->watches, wait && l->ring == NULL);
	l->epoll_ready = false;
	if (!libevent && !l->activated)
		return 0;
	l->activated = false;
	return event_base_loop(l->base, EVLOOP_ONCE | EVLOOP_NONBLOCK) < 0 ? -E_IO : 0;
}

static void
call_timers(struct loop *l)
{
	struct timer *t;

	while (l->timers.count > 0 && (t = timers_take_due(&l->timers, loop_now_us(l))) != NULL) {
		t->fn(t->arg);
		loop_event_done(l);
	}
}

struct event_base *
loop_base(struct loop *l)
{
	return l->base;
}

void
loop_activate(struct loop *l, struct event *e)
{
	event_active(e, EV_TIMEOUT, 0);
	l->activated = true;
}

struct watches *
loop_watches(struct loop *l)
{
	return l->watches;
}

static int64_t
monotonic_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
loop_read_clock_(struct loop *l)
{
	l->clock.now_us = monotonic_us();
	return l->clock.now_us;
}

const struct histogram *
loop_lag(const struct loop *l)
{
	return &l->lag;
}

uint8_t *
loop_scratch(struct loop *l)
{
	return l->scratch;
}

void
loop_defer(struct loop *l, void (*fn)(void *), void *arg)
{
	if (l->ndeferred == l->deferred_size) {
		l->deferred_size = l->deferred_size ? l->deferred_size * 2 : 64;
		l->deferred = mem_realloc(l->deferred, l->deferred_size * sizeof *l->deferred);
	}
	l->deferred[l->ndeferred++] = (struct deferred){fn, arg};
}

void
loop_on_work(struct loop *l, void (*fn)(void *), void *arg)
{
	l->work_fn = fn;
	l->work_arg = arg;
}

void
loop_do_work_(struct loop *l)
{
	l->clock.work_left = false;
	if (l->work_fn)
		l->work_fn(l->work_arg);
}

static int64_t
sweep_period_us(const struct loop *l)
{
	return l->resting ? LOOP_REST_US : LOOP_SWEEP_US;
}

static void
on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	uint64_t times;

	/* One call, even if several periods have passed. */
	if (read(fd, &times, sizeof times) == sizeof times) {
		histogram_add(&l->lag, monotonic_us() - l->due_us);
		l->due_us += (int64_t)times * sweep_period_us(l);
		l->sweep_fn(l->sweep_arg);
	}
	l->swept = true;
	loop_event_done(l);
}

static void
set_period(struct loop *l, bool resting)
{
	struct itimerspec timer = {0};
	int64_t us;

	l->resting = resting;
	us = sweep_period_us(l);
	timer.it_interval = (struct timespec){us / 1000000, us % 1000000 * 1000};
	timer.it_value = timer.it_interval;
	if (timerfd_settime(l->sweep_fd, 0, &timer, NULL) < 0)
		log_fatal("", LOG_ALONE, "cannot set a timer");
	l->due_us = monotonic_us() + us;
}

/* A turn is over, and all that it has left to be done. */
static void
note_turn(struct loop *l)
{
	bool needed = !l->swept || l->sweep_needed(l->sweep_arg);

	l->swept = false;
	if (needed) {
		l->quiet = 0;
		if (l->resting)
			set_period(l, false);
	} else if (!l->resting && ++l->quiet >= LOOP_QUIET) {
		set_period(l, true);
	}
}

void
loop_on_sweep(struct loop *l, void (*fn)(void *), bool (*needed)(void *), void *arg)
{
	l->sweep_fn = fn;
	l->sweep_needed = needed;
	l->sweep_arg = arg;
	/* A timerfd and not a timer of libevent: that one would give every wait for events a
	 * time-out, which the kernel sets up and takes down, thousands of times a second under
	 * load. */
	l->sweep_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (l->sweep_fd < 0)
		log_fatal("", LOG_ALONE, "cannot make a timer");
	set_period(l, false);
	event_assign(&l->sweep, l->base, l->sweep_fd, EV_READ | EV_PERSIST, on_sweep, l);
	if (event_add(&l->sweep, NULL) < 0)
		log_fatal("", LOG_ALONE, "cannot watch a timer");
}

static void
on_signal(evutil_socket_t signo, short what, void *arg)
{
	struct on_signal *s = arg;

	s->fn(s->arg, (int)signo);
	loop_event_done(s->loop);
}

void
loop_on_signal(struct loop *l, int signo, void (*fn)(void *, int), void *arg)
{
	struct on_signal *s;

	if (l->nsignals == LOOP_SIGNALS)
		log_fatal("", LOG_ALONE, "too many signals");
	s = &l->signals[l->nsignals++];
	s->loop = l;
	s->fn = fn;
	s->arg = arg;
	event_assign(&s->event, l->base, signo, EV_SIGNAL | EV_PERSIST, on_signal, s);
	event_add(&s->event, NULL);
}

/* In a program with threads, glibc makes two atomic operations around each system call at which a
 * thread can be cancelled: recv(2), send(2), epoll_wait(2) ... Nobody cancels this thread; it says
 * so, and that it would be cancelled at any place, not only there. Then glibc leaves them out. */
static void
cancel_nowhere(void)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
}

int
loop_turn(struct loop *l, bool wait)
{
	/* The turn before ends here. Deferred calls must not wait for the next event. */
	loop_event_done(l);
	run_deferred(l);
	note_turn(l);
	l->clock.now_us = 0;
	l->timers.turn++;
	if (l->ready.count > 0)
		wait = false;
	if (wait && l->timers.count > 0)
		wait = set_alarm(l, timers_first_us(&l->timers));
	if (wait_for_events(l, wait) < 0)
		return -E_IO;
	/* The clock need not be read while the alarm stands. */
	if (!wait || l->alarm_us == 0)
		call_timers(l);
	call_ready(l);
	return 0;
}

int
loop_run(struct loop *l)
{
	cancel_nowhere();
	l->stopped = false;
	while (!l->stopped)
		if (loop_turn(l, true) < 0)
			return -E_IO;
	loop_event_done(l);
	run_deferred(l);
	return 0;
}

void
loop_stop(struct loop *l)
{
	l->stopped = true;
}
