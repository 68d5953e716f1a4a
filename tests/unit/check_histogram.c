#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/histogram.h"

static unsigned seed; /* CHECK_SEED, or the time */

START_TEST(an_empty_one_is_all_zero)
{
	struct histogram h = {0};

	ck_assert_int_eq(histogram_percentile(&h, 50), 0);
	ck_assert_int_eq(histogram_percentile(&h, 100), 0);
}
END_TEST

START_TEST(buckets_follow_each_other_without_a_gap)
{
	int64_t low, high, next = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		histogram_bounds(i, &low, &high);
		ck_assert_int_eq(low, next);
		ck_assert_int_ge(high, low);
		ck_assert_uint_eq(histogram_bucket(low), i);
		if (high <= HISTOGRAM_TOP_US)
			ck_assert_uint_eq(histogram_bucket(high), i);
		/* What is read back is the middle. */
		ck_assert_int_le((high - low + 1) * 500, low * 32 + 500);
		next = high + 1;
	}
	ck_assert_int_gt(next, HISTOGRAM_TOP_US);
	ck_assert_uint_eq(histogram_bucket(HISTOGRAM_TOP_US), HISTOGRAM_BUCKETS - 1);
	ck_assert_uint_eq(histogram_bucket(INT64_MAX), HISTOGRAM_BUCKETS - 1);
	ck_assert_uint_eq(histogram_bucket(-1), 0);
	ck_assert_uint_eq(histogram_bucket(INT64_MIN), 0);
}
END_TEST

START_TEST(one_value_is_every_percentile)
{
	for (int64_t us = 0; us <= HISTOGRAM_TOP_US; us += 1 + us / 7) {
		struct histogram h = {0};
		static const double percents[] = {0, 50, 95, 99, 100};

		histogram_add(&h, us);
		for (unsigned i = 0; i < sizeof percents / sizeof *percents; i++) {
			int64_t got = histogram_percentile(&h, percents[i]);

			ck_assert_int_le(llabs(got - us) * 1000, us * 32);
		}
		ck_assert_int_eq(h.max_us, us);
		ck_assert_uint_eq(h.sum_us, (uint64_t)us);
	}
}
END_TEST

START_TEST(too_long_and_too_short)
{
	struct histogram h = {0};

	histogram_add(&h, -5);
	ck_assert_uint_eq(h.count, 1);
	ck_assert_uint_eq(h.sum_us, 0);
	ck_assert_int_eq(h.max_us, 0);
	histogram_add(&h, INT64_MAX);
	histogram_add(&h, INT64_MAX);
	histogram_add(&h, INT64_MAX);
	ck_assert_uint_eq(h.count, 4);
	ck_assert_uint_eq(h.sum_us, UINT64_MAX);
	ck_assert_int_eq(h.max_us, INT64_MAX);
	ck_assert_int_eq(histogram_percentile(&h, 100), INT64_MAX);
	ck_assert_int_eq(histogram_percentile(&h, 25), 0);
	/* about an hour */
	ck_assert_int_gt(histogram_percentile(&h, 50), HISTOGRAM_TOP_US / 100 * 95);
	ck_assert_int_lt(histogram_percentile(&h, 50), HISTOGRAM_TOP_US / 100 * 105);
}
END_TEST

static int
by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

#define VALUES 2000

/* Random durations of all magnitudes, in two that are merged, against the sorted list. */
START_TEST(random_values)
{
	static const double percents[] = {0, 1, 10, 50, 90, 95, 99, 99.9, 100};

	srandom(seed);
	for (int round = 0; round < 50; round++) {
		static int64_t values[VALUES];
		struct histogram h[2];
		uint64_t sum = 0;

		memset(h, 0, sizeof h);
		for (int i = 0; i < VALUES; i++) {
			int64_t us = ((int64_t)random() << 31 | random()) >> (28 + random() % 34);

			values[i] = us > HISTOGRAM_TOP_US ? HISTOGRAM_TOP_US : us;
			sum += (uint64_t)values[i];
			histogram_add(&h[random() % 2], values[i]);
		}
		histogram_merge(&h[0], &h[1]);
		qsort(values, VALUES, sizeof *values, by_value);
		ck_assert_uint_eq(h[0].count, VALUES);
		ck_assert_uint_eq(h[0].sum_us, sum);
		ck_assert_int_eq(h[0].max_us, values[VALUES - 1]);
		for (unsigned i = 0; i < sizeof percents / sizeof *percents; i++) {
			/* the smallest one that so many are not longer than */
			int at = (int)(percents[i] * VALUES / 100 + 0.999999) - 1;
			int64_t want = values[at < 0 ? 0 : at];
			int64_t got = histogram_percentile(&h[0], percents[i]);

			ck_assert_msg(llabs(got - want) * 1000 <= want * 32,
				      "CHECK_SEED=%u: %g %% is %lld, not %lld", seed, percents[i],
				      (long long)want, (long long)got);
		}
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("histogram");
	TCase *t = tcase_create("histogram");
	SRunner *r = srunner_create(s);
	const char *given = getenv("CHECK_SEED");
	int failed;

	seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
	fprintf(stderr, "check_histogram: CHECK_SEED=%u\n", seed);
	tcase_add_test(t, an_empty_one_is_all_zero);
	tcase_add_test(t, buckets_follow_each_other_without_a_gap);
	tcase_add_test(t, one_value_is_every_percentile);
	tcase_add_test(t, too_long_and_too_short);
	tcase_add_test(t, random_values);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
