#include <check.h>
#include <stdlib.h>

#include "base/mem.h"
#include "loop/timer.h"
#include "loops.h"

#define MANY 500

static struct loop *loop;
static struct timer timers[MANY];
static unsigned calls[MANY], all_calls;
static int64_t last_due_us;

static void
count(void *arg)
{
	struct timer *t = arg;

	ck_assert(!timer_started(t));
	ck_assert_int_ge(loop_now_us(loop), t->due_us);
	ck_assert_int_ge(t->due_us, last_due_us);
	last_due_us = t->due_us;
	calls[t - timers]++;
	all_calls++;
}

static void
setup(void)
{
	loop = loops_new();
	all_calls = 0;
	last_due_us = 0;
	memset(calls, 0, sizeof calls);
	for (int i = 0; i < MANY; i++)
		timer_init(&timers[i], loop, count, &timers[i]);
}

static void
teardown(void)
{
	loop_free(loop);
}

/* Some are stopped, some started anew: the others are called once each, in the order in which they
 * are due. */
START_TEST(they_are_called_in_order)
{
	unsigned expected = 0;

	srandom((unsigned)_i + 1);
	for (int i = 0; i < MANY; i++)
		timer_start(&timers[i], random() % 20000);
	for (int i = 0; i < MANY; i++) {
		if (random() % 3 == 0)
			timer_stop(&timers[i]);
		else if (random() % 3 == 0)
			timer_start(&timers[i], random() % 20000);
	}
	for (int i = 0; i < MANY; i++)
		expected += timer_started(&timers[i]);
	while (all_calls < expected)
		ck_assert_int_eq(loop_turn(loop, true), 0);
	for (int i = 0; i < MANY; i++) {
		ck_assert_uint_le(calls[i], 1);
		ck_assert(!timer_started(&timers[i]));
	}
}
END_TEST

static void
again(void *arg)
{
	all_calls++;
	timer_start(arg, 0);
}

/* One that starts itself anew is called once in a turn. */
START_TEST(once_a_turn)
{
	timer_init(&timers[0], loop, again, &timers[0]);
	timer_start(&timers[0], 0);
	for (unsigned i = 1; i <= 10; i++) {
		ck_assert_int_eq(loop_turn(loop, true), 0);
		ck_assert_uint_eq(all_calls, i);
	}
	timer_stop(&timers[0]);
	timer_stop(&timers[0]);
	ck_assert_int_eq(loop_turn(loop, false), 0);
	ck_assert_uint_eq(all_calls, 10);
}
END_TEST

static void
stop_next(void *arg)
{
	all_calls++;
	timer_stop(&timers[1]);
}

/* One that is due may be stopped by the one before it. */
START_TEST(a_due_one_is_stopped)
{
	timer_init(&timers[0], loop, stop_next, NULL);
	timer_start(&timers[0], 0);
	timer_start(&timers[1], 0);
	ck_assert_int_eq(loop_turn(loop, true), 0);
	ck_assert_int_eq(loop_turn(loop, false), 0);
	ck_assert_uint_eq(all_calls, 1);
	ck_assert_uint_eq(calls[1], 0);
}
END_TEST

/* The alarm of a timer that is stopped stays, and wakes the loop for nothing. */
START_TEST(a_stopped_one_does_not_hide_others)
{
	int64_t began = loop_now_us(loop);
	unsigned turns = 0;

	/* Half a second, in which valgrind gets to the stops below on a busy machine, too. */
	timer_start(&timers[0], 500000);
	timer_start(&timers[1], 0);
	ck_assert_int_eq(loop_turn(loop, true), 0);
	ck_assert_uint_eq(all_calls, 1);
	for (int i = 2; i < 10; i++) {
		/* Each is due later than the one before it, which is stopped. */
		timer_stop(&timers[i - 2]);
		timer_start(&timers[i], 505000 + i * 1000);
	}
	timer_stop(&timers[8]);
	for (; all_calls < 2; turns++)
		ck_assert_int_eq(loop_turn(loop, true), 0);
	ck_assert_uint_eq(calls[9], 1);
	ck_assert_int_ge(loop_now_us(loop) - began, 514000);
	ck_assert_uint_le(turns, 3);
	/* An earlier one is not late: the alarm is set anew. */
	last_due_us = 0;
	timer_start(&timers[0], 10000000);
	timer_start(&timers[1], 0);
	ck_assert_int_eq(loop_turn(loop, true), 0);
	began = loop_now_us(loop);
	timer_start(&timers[2], 5000);
	while (calls[2] == 0)
		ck_assert_int_eq(loop_turn(loop, true), 0);
	ck_assert_int_ge(loop_now_us(loop) - began, 5000);
	ck_assert_int_lt(loop_now_us(loop) - began, 5000000);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("timer");
	TCase *t = tcase_create("timer");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_loop_test(t, they_are_called_in_order, 0, 5);
	tcase_add_test(t, once_a_turn);
	tcase_add_test(t, a_due_one_is_stopped);
	tcase_add_test(t, a_stopped_one_does_not_hide_others);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
