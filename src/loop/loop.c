#include "loop/loop.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/watch.h"

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
	struct on_signal signals[LOOP_SIGNALS];
	unsigned nsignals;
	uint8_t scratch[LOOP_SCRATCH];
};

struct loop *
loop_new(void)
{
	struct event_config *config = event_config_new();
	struct loop *l = mem_calloc(1, sizeof *l);

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
	if (l->base == NULL)
		log_fatal("", LOG_ALONE, "cannot make an event base that reports hang-ups (epoll)");
	l->watches = watches_new(l->base);
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
	watches_free(l->watches);
	event_base_free(l->base);
	free(l);
}

struct event_base *
loop_base(struct loop *l)
{
	return l->base;
}

struct watches *
loop_watches(struct loop *l)
{
	return l->watches;
}

int64_t
loop_read_clock_(struct loop *l)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	l->clock.now_us = (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
	return l->clock.now_us;
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

static void
on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	uint64_t times;

	/* One call, even if several periods have passed. */
	if (read(fd, &times, sizeof times) == sizeof times)
		l->sweep_fn(l->sweep_arg);
	l->swept = true;
	loop_event_done(l);
}

static void
set_period(struct loop *l, bool resting)
{
	const long us = resting ? LOOP_REST_US : LOOP_SWEEP_US;
	const struct timespec period = {us / 1000000, us % 1000000 * 1000};
	const struct itimerspec timer = {period, period};

	if (timerfd_settime(l->sweep_fd, 0, &timer, NULL) < 0)
		log_fatal("", LOG_ALONE, "cannot set a timer");
	l->resting = resting;
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
loop_run(struct loop *l)
{
	cancel_nowhere();
	l->stopped = false;
	while (!l->stopped) {
		/* The turn ends here. Deferred calls must not wait for the next event. */
		loop_event_done(l);
		run_deferred(l);
		note_turn(l);
		l->clock.now_us = 0;
		watches_begin_turn(l->watches);
		if (event_base_loop(l->base, EVLOOP_ONCE) < 0)
			return -E_IO;
	}
	loop_event_done(l);
	run_deferred(l);
	return 0;
}

void
loop_stop(struct loop *l)
{
	l->stopped = true;
}
