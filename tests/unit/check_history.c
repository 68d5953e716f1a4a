/* history: the minutes of a pool, by looks at times that the test chooses. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/history.h"
#include "base/units.h"

#define SWEEP_US 100000
/* The first look: 20 s after a minute has begun. */
#define START_US (1000 * UNIT_MIN + 20 * UNIT_S)

static unsigned seed; /* CHECK_SEED, or the time */

static struct history_pool pool;
static struct histogram waits, holds;
static struct history_look look;
static int64_t now_us;

static void
setup(void)
{
	memset(&pool, 0, sizeof pool);
	memset(&waits, 0, sizeof waits);
	memset(&holds, 0, sizeof holds);
	look = (struct history_look){.wait = &waits, .hold = &holds};
	now_us = START_US;
}

/* Looks each `step_us` for `us`, while `a_second` transactions are done a second. */
static void
pass(int64_t us, int64_t step_us, unsigned a_second)
{
	for (int64_t end = now_us + us; now_us < end;) {
		now_us += step_us;
		look.stats.xacts += (uint64_t)(a_second * step_us / UNIT_S);
		history_look(&pool, now_us, &look);
	}
}

static const struct history_minute *
ago(unsigned minutes)
{
	return history_minute(&pool, now_us, minutes);
}

START_TEST(nothing_is_known_before_the_first_look)
{
	ck_assert_ptr_null(history_minute(NULL, now_us, 0));
	ck_assert_ptr_null(ago(0));
	ck_assert_int_eq(history_recent(NULL, now_us, &look.stats).us, 0);
	ck_assert_int_eq(history_recent(&pool, now_us, &look.stats).us, 0);
	/* What was before the first look is not counted. */
	look.stats.xacts = 1000000;
	history_look(&pool, now_us, &look);
	ck_assert_ptr_null(ago(0));
	pass(SWEEP_US, SWEEP_US, 0);
	ck_assert_ptr_nonnull(ago(0));
	ck_assert_uint_eq(ago(0)->xacts, 0);
	for (unsigned i = 1; i <= HISTORY_MINUTES; i++)
		ck_assert_ptr_null(ago(i));
}
END_TEST

START_TEST(minutes_turn)
{
	history_look(&pool, now_us, &look);
	/* The last look of the first two is just when a minute begins, and belongs to that. */
	pass(40 * UNIT_S, SWEEP_US, 100);
	pass(UNIT_MIN, SWEEP_US, 200);
	pass(30 * UNIT_S, SWEEP_US, 300);
	ck_assert_uint_eq(ago(0)->covered_ms, 30100);
	ck_assert_uint_eq(ago(0)->xacts, 300 * 30 + 20);
	ck_assert_uint_eq(ago(1)->covered_ms, 60000);
	ck_assert_uint_eq(ago(1)->xacts, 200 * 60 - 20 + 10);
	ck_assert_uint_eq(ago(2)->covered_ms, 39900);
	ck_assert_uint_eq(ago(2)->xacts, 100 * 40 - 10);
	ck_assert_ptr_null(ago(3));
}
END_TEST

START_TEST(most_is_most)
{
	history_look(&pool, now_us, &look);
	look.leased = 3;
	look.waiting = 7;
	look.oldest_wait_us = 1500 * UNIT_MS;
	pass(UNIT_S, SWEEP_US, 0);
	look.leased = 2;
	look.waiting = 0;
	look.oldest_wait_us = 0;
	pass(UNIT_S, SWEEP_US, 0);
	ck_assert_uint_eq(ago(0)->leased, 3);
	ck_assert_uint_eq(ago(0)->waiting, 7);
	ck_assert_uint_eq(ago(0)->oldest_wait_ms, 1500);
	pass(UNIT_MIN, SWEEP_US, 0);
	ck_assert_uint_eq(ago(0)->leased, 2);
	ck_assert_uint_eq(ago(0)->waiting, 0);
	ck_assert_uint_eq(ago(0)->oldest_wait_ms, 0);
	ck_assert_uint_eq(ago(1)->waiting, 7);
}
END_TEST

/* A process that stands still, or is stopped, knows nothing of that time. */
START_TEST(a_gap_is_a_gap)
{
	history_look(&pool, now_us, &look);
	pass(40 * UNIT_S, SWEEP_US, 100);
	now_us += 7 * UNIT_MIN + 15 * UNIT_S;
	look.stats.xacts += 5;
	history_look(&pool, now_us, &look);
	ck_assert_uint_eq(ago(0)->xacts, 5);
	/* It may have begun to run at any time in this minute. */
	ck_assert_uint_eq(ago(0)->covered_ms, 15000);
	for (unsigned i = 1; i <= 6; i++)
		ck_assert_ptr_null(ago(i));
	ck_assert_ptr_nonnull(ago(7));
	ck_assert_ptr_nonnull(ago(8));
	ck_assert_ptr_null(ago(9));
	/* If it is looked at from later, without a look, the last minutes are not known either. */
	now_us += 2 * UNIT_MIN;
	ck_assert_ptr_null(ago(0));
	ck_assert_ptr_null(ago(1));
	ck_assert_uint_eq(ago(2)->xacts, 5);
	now_us += 2 * UNIT_H;
	history_look(&pool, now_us, &look);
	for (unsigned i = 1; i <= HISTORY_MINUTES; i++)
		ck_assert_ptr_null(ago(i));
}
END_TEST

START_TEST(an_hour_is_kept_and_no_more)
{
	history_look(&pool, now_us, &look);
	pass(3 * UNIT_H, UNIT_S, 60);
	for (unsigned i = 1; i <= HISTORY_MINUTES; i++) {
		ck_assert_uint_eq(ago(i)->xacts, 3600);
		ck_assert_uint_eq(ago(i)->covered_ms, 60000);
	}
	ck_assert_ptr_null(ago(HISTORY_MINUTES + 1));
	ck_assert_ptr_null(ago(UINT32_MAX));
	ck_assert_uint_le(sizeof pool, 16 << 10);
	ck_assert_uint_le(sizeof(struct history_errors), 64 << 10);
}
END_TEST

/* The part of a role that has gone may take its sums along. */
START_TEST(sums_that_fall_add_nothing)
{
	look.stats.xacts = 100;
	history_look(&pool, now_us, &look);
	look.stats.xacts = 40;
	now_us += SWEEP_US;
	history_look(&pool, now_us, &look);
	ck_assert_uint_eq(ago(0)->xacts, 0);
	look.stats.xacts = 50;
	now_us += SWEEP_US;
	history_look(&pool, now_us, &look);
	ck_assert_uint_eq(ago(0)->xacts, 10);
	look.stats.xacts = UINT64_MAX;
	now_us += SWEEP_US;
	history_look(&pool, now_us, &look);
	ck_assert_uint_eq(ago(0)->xacts, UINT32_MAX);
}
END_TEST

static void
wait_for(int64_t us)
{
	histogram_add(&waits, us);
	look.stats.waits++;
	look.stats.wait_us += us;
}

START_TEST(waits_of_a_minute)
{
	struct histogram recent;

	wait_for(50 * UNIT_S); /* before anybody looked */
	history_look(&pool, now_us, &look);
	pass(10 * UNIT_S, SWEEP_US, 0);
	for (int i = 0; i < 98; i++)
		wait_for(UNIT_MS);
	wait_for(UNIT_S);
	wait_for(UNIT_S);
	pass(UNIT_MIN, SWEEP_US, 0);
	ck_assert_uint_eq(ago(1)->waits, 100);
	ck_assert_uint_eq(ago(1)->wait_mean_us, (98 * UNIT_MS + 2 * UNIT_S) / 100);
	ck_assert_uint_ge(ago(1)->wait_p99_us, 950 * UNIT_MS);
	ck_assert_uint_le(ago(1)->wait_p99_us, 1050 * UNIT_MS);
	history_recent_waits(&pool, &waits, &recent);
	ck_assert_uint_eq(recent.count, 100);
	ck_assert_int_le(histogram_percentile(&recent, 50), 1100);
	pass(UNIT_MIN, SWEEP_US, 0);
	ck_assert_uint_eq(ago(1)->waits, 0);
	ck_assert_uint_eq(ago(1)->wait_p99_us, 0);
	/* This minute, and the one before: they are over. */
	history_recent_waits(&pool, &waits, &recent);
	ck_assert_uint_eq(recent.count, 0);
	history_recent_holds(NULL, &holds, &recent);
	ck_assert_uint_eq(recent.count, 0);
}
END_TEST

START_TEST(rates_are_of_the_last_seconds)
{
	struct history_recent r;

	history_look(&pool, now_us, &look);
	pass(3 * UNIT_S, SWEEP_US, 100);
	r = history_recent(&pool, now_us, &look.stats);
	ck_assert_int_eq(r.us, 3 * UNIT_S);
	ck_assert_uint_eq(r.xacts, 300);
	pass(40 * UNIT_S, SWEEP_US, 100);
	for (int i = 0; i < 200; i++) {
		pass(SWEEP_US, SWEEP_US, 50);
		r = history_recent(&pool, now_us, &look.stats);
		ck_assert_int_ge(r.us, HISTORY_STEP_US);
		ck_assert_int_le(r.us, 2 * HISTORY_STEP_US + SWEEP_US);
	}
	ck_assert_int_eq((int64_t)r.xacts, 50 * r.us / UNIT_S);
}
END_TEST

/* Looks at random times, against the sums of the looks by minute. */
START_TEST(random_looks)
{
	static uint64_t want[4096];
	int64_t first = now_us / UNIT_MIN;

	srandom(seed);
	memset(want, 0, sizeof want);
	history_look(&pool, now_us, &look);
	for (int i = 0; i < 20000; i++) {
		uint64_t more = (uint64_t)(random() % 50);
		unsigned back;

		now_us += random() % 1000 == 0 ? random() % (20 * UNIT_MIN) : random() % UNIT_S;
		if (now_us / UNIT_MIN - first >= 4096)
			break;
		look.stats.xacts += more;
		want[now_us / UNIT_MIN - first] += more;
		history_look(&pool, now_us, &look);
		back = (unsigned)(random() % (HISTORY_MINUTES + 1));
		if (now_us / UNIT_MIN - back < first)
			continue;
		ck_assert_msg((ago(back) ? ago(back)->xacts : 0) ==
				  want[now_us / UNIT_MIN - back - first],
			      "CHECK_SEED=%u, look %d, %u minutes ago", seed, i, back);
	}
}
END_TEST

START_TEST(errors_of_the_minute_and_the_hour)
{
	static struct history_errors h;
	static struct error_count counts[ERR_N];
	int id = ERR_WAIT_TIMEOUT;

	memset(&h, 0, sizeof h);
	counts[id].count = 1000; /* before anybody looked */
	ck_assert_uint_eq(history_errors_minute(NULL, now_us, counts, id), 0);
	ck_assert_uint_eq(history_errors_hour(NULL, now_us, counts, id), 0);
	for (int i = 0; i < 2 * 3600; i++) {
		history_look_errors(&h, now_us, counts);
		now_us += UNIT_S;
		counts[id].count++;
	}
	history_look_errors(&h, now_us, counts);
	ck_assert_uint_ge(history_errors_minute(&h, now_us, counts, id), 60);
	ck_assert_uint_le(history_errors_minute(&h, now_us, counts, id), 70);
	ck_assert_uint_ge(history_errors_hour(&h, now_us, counts, id), 3600);
	ck_assert_uint_le(history_errors_hour(&h, now_us, counts, id), 3660);
	ck_assert_uint_eq(history_errors_hour(&h, now_us, counts, id + 1), 0);
	for (int i = 0; i < 80; i++) {
		now_us += UNIT_S;
		history_look_errors(&h, now_us, counts);
	}
	ck_assert_uint_eq(history_errors_minute(&h, now_us, counts, id), 0);
	now_us += 2 * UNIT_H;
	ck_assert_uint_eq(history_errors_hour(&h, now_us, counts, id), 0);
	history_look_errors(&h, now_us, counts);
	ck_assert_uint_eq(history_errors_hour(&h, now_us, counts, id), 0);
}
END_TEST

/* The loop's clock begins with the machine: there may be no hour behind it yet. */
START_TEST(the_machine_has_just_started)
{
	static struct history_errors h;
	static struct error_count counts[ERR_N];

	memset(&h, 0, sizeof h);
	now_us = 5 * UNIT_S;
	history_look(&pool, now_us, &look);
	history_look_errors(&h, now_us, counts);
	counts[1].count = 3;
	pass(90 * UNIT_S, SWEEP_US, 10);
	history_look_errors(&h, now_us, counts);
	ck_assert_uint_eq(ago(1)->xacts, 600 - 50 - 1);
	for (unsigned i = 2; i <= HISTORY_MINUTES; i++)
		ck_assert_ptr_null(ago(i));
	ck_assert_uint_eq(history_errors_hour(&h, now_us, counts, 1), 3);
	ck_assert_uint_eq(history_errors_minute(&h, now_us, counts, 1), 3);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("history");
	TCase *t = tcase_create("history");
	SRunner *r = srunner_create(s);
	const char *given = getenv("CHECK_SEED");
	int failed;

	seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
	fprintf(stderr, "check_history: CHECK_SEED=%u\n", seed);
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, nothing_is_known_before_the_first_look);
	tcase_add_test(t, minutes_turn);
	tcase_add_test(t, most_is_most);
	tcase_add_test(t, a_gap_is_a_gap);
	tcase_add_test(t, an_hour_is_kept_and_no_more);
	tcase_add_test(t, sums_that_fall_add_nothing);
	tcase_add_test(t, waits_of_a_minute);
	tcase_add_test(t, rates_are_of_the_last_seconds);
	tcase_add_test(t, the_machine_has_just_started);
	tcase_add_test(t, random_looks);
	tcase_add_test(t, errors_of_the_minute_and_the_hour);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
