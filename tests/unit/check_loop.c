/* loop: how often it sweeps. */
#include <check.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "loop/timer.h"
#include "loops.h"

static struct loop *loop;
static bool needed;
static unsigned left; /* sweeps until the loop stops */

static void
setup(void)
{
	log_init("check_loop", LOG_ERROR);
	loop = loops_new();
	needed = false;
}

static void
teardown(void)
{
	loop_free(loop);
}

static void
sweep(void *arg)
{
	ck_assert_ptr_eq(arg, &left);
	if (--left == 0)
		loop_stop(loop);
}

static bool
is_needed(void *arg)
{
	ck_assert_ptr_eq(arg, &left);
	return needed;
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Runs the loop for so many sweeps. Returns the seconds that they took. */
static double
sweeps(unsigned n)
{
	double began = now();

	left = n;
	ck_assert_int_eq(loop_run(loop), 0);
	return now() - began;
}

static void
do_nothing(evutil_socket_t fd, short what, void *arg)
{
	loop_event_done(loop);
}

START_TEST(it_sweeps_seldom_while_nothing_happens)
{
	struct event event;

	loop_on_sweep(loop, sweep, is_needed, &left);
	sweeps(LOOP_QUIET + 1);
	/* From now on, once a second. The last one may have come late. */
	ck_assert(sweeps(2) > 1.0);
	/* An event: often again. */
	event_assign(&event, loop_base(loop), -1, 0, do_nothing, NULL);
	loop_activate(loop, &event);
	ck_assert(sweeps(6) < 5.0);
	sweeps(LOOP_QUIET);
	/* A time-out is running. */
	needed = true;
	sweeps(1);
	ck_assert(sweeps(6) < 5.0);
}
END_TEST

static void
on_timer(void *arg)
{
	(*(unsigned *)arg)++;
}

/* Whoever has a timer of the loop does not need the sweep for it; that it goes off is an event. */
START_TEST(a_timer_does_not_keep_it_from_resting)
{
	struct timer timer, stopped;
	unsigned calls = 0;

	loop_on_sweep(loop, sweep, is_needed, &left);
	timer_init(&timer, loop, on_timer, &calls);
	timer_init(&stopped, loop, on_timer, &calls);
	timer_start(&timer, 60000000);
	timer_start(&stopped, 50000000);
	sweeps(1);
	timer_stop(&stopped);
	sweeps(LOOP_QUIET + 1);
	ck_assert(sweeps(2) > 1.0);
	ck_assert_uint_eq(calls, 0);
	timer_start(&timer, 100000);
	ck_assert(sweeps(6) < 5.0);
	ck_assert_uint_eq(calls, 1);
}
END_TEST

START_TEST(it_sweeps_often_while_a_time_out_is_running)
{
	needed = true;
	loop_on_sweep(loop, sweep, is_needed, &left);
	sweeps(LOOP_QUIET + 1);
	ck_assert(sweeps(6) < 5.0);
}
END_TEST

/* A callback that blocks, for five periods of the sweep and a half. */
static void
block(void *arg)
{
	double began = now();

	while (now() - began < 5.5 * LOOP_SWEEP_US / 1e6)
		;
}

/* However late the loop is, one sweep counts how late the first of those is that have come due. */
START_TEST(it_counts_how_late_it_is)
{
	const struct histogram *lag = loop_lag(loop);
	struct timer timer;

	needed = true;
	loop_on_sweep(loop, sweep, is_needed, &left);
	sweeps(3);
	ck_assert_uint_eq(lag->count, 3);
	timer_init(&timer, loop, block, NULL);
	timer_start(&timer, 1000);
	/* One may be due before the timer. */
	sweeps(2);
	ck_assert_int_gt(lag->max_us, 4 * LOOP_SWEEP_US);
	ck_assert_uint_eq(lag->count, 5);
	ck_assert_uint_ge(lag->sum_us, (uint64_t)lag->max_us);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("loop");
	TCase *t = tcase_create("loop");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, it_sweeps_seldom_while_nothing_happens);
	tcase_add_test(t, a_timer_does_not_keep_it_from_resting);
	tcase_add_test(t, it_sweeps_often_while_a_time_out_is_running);
	tcase_add_test(t, it_counts_how_late_it_is);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
