#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/past.h"

/* The sums of a pool that has done `n` transactions, each of n us. */
static void
make(struct pool_stats *stats, struct pool_tally *tally, unsigned n)
{
	*stats = (struct pool_stats){.xacts = n, .cancels = 1};
	*tally = (struct pool_tally){0};
	for (unsigned i = 0; i < n; i++)
		pool_tally_time(tally, POOL_HOLD, n);
	pool_tally_error(tally, "22012", n);
}

static void
keep(struct past *past, const char *name, unsigned n)
{
	struct pool_stats stats;
	struct pool_tally tally;

	make(&stats, &tally, n);
	past_keep(past, name, &stats, &tally);
	ck_assert_uint_eq(stats.xacts, 0);
	for (int i = 0; i < POOL_NTIMES; i++)
		ck_assert_ptr_null(tally.of[i]);
}

/* How many transactions are kept by that name; they are kept no longer. */
static uint64_t
take(struct past *past, const char *name)
{
	struct pool_stats stats = {0};
	struct pool_tally tally = {0};

	past_restore(past, name, &stats, &tally);
	ck_assert_uint_eq(pool_tally_times(&tally, POOL_HOLD)->count, stats.xacts);
	ck_assert_uint_eq(pool_tally_times(&tally, POOL_LOGIN)->count, 0);
	ck_assert_uint_eq(tally.nerrors ? tally.errors[0].count : 0, stats.xacts);
	pool_tally_clear(&tally);
	return stats.xacts;
}

START_TEST(sums_are_kept_by_name)
{
	struct past past;

	past_init(&past);
	ck_assert_uint_eq(take(&past, "a"), 0);
	keep(&past, "a", 3);
	keep(&past, "b", 5);
	keep(&past, "a", 4);
	ck_assert_uint_eq(past.pools.count, 2);
	ck_assert_uint_eq(take(&past, "a"), 7);
	ck_assert_uint_eq(take(&past, "a"), 0);
	ck_assert_uint_eq(take(&past, "b"), 5);
	ck_assert_uint_eq(past.pools.count, 0);
	past_clear(&past);
}
END_TEST

START_TEST(what_is_restored_is_added)
{
	struct pool_stats stats;
	struct pool_tally tally;
	struct past past;

	past_init(&past);
	keep(&past, "a", 3);
	make(&stats, &tally, 2);
	past_restore(&past, "a", &stats, &tally);
	ck_assert_uint_eq(stats.xacts, 5);
	ck_assert_uint_eq(stats.cancels, 2);
	ck_assert_uint_eq(pool_tally_times(&tally, POOL_HOLD)->count, 5);
	ck_assert_uint_eq(pool_tally_times(&tally, POOL_HOLD)->sum_us, 3 * 3 + 2 * 2);
	pool_tally_clear(&tally);
	past_clear(&past);
}
END_TEST

static void
fill(struct past *past)
{
	char name[16];

	for (unsigned i = 0; i < PAST_POOLS_MAX + 10; i++) {
		snprintf(name, sizeof name, "%u", i);
		keep(past, name, 1);
	}
}

START_TEST(errors_are_bounded_and_none_is_lost)
{
	struct pool_tally tally = {0}, more = {0};
	uint64_t sum = 0;
	char sqlstate[8];

	for (unsigned i = 0; i < 2 * POOL_ERRORS_MAX; i++) {
		snprintf(sqlstate, sizeof sqlstate, "%05u", i % (POOL_ERRORS_MAX + 5));
		pool_tally_error(i % 2 ? &tally : &more, sqlstate, i);
		sum += i;
	}
	pool_tally_move(&tally, &more);
	ck_assert_uint_eq(more.nerrors, 0);
	ck_assert_ptr_null(more.errors);
	ck_assert_uint_eq(tally.nerrors, POOL_ERRORS_MAX);
	ck_assert_uint_gt(tally.other_errors, 0);
	sum -= tally.other_errors;
	for (unsigned i = 0; i < tally.nerrors; i++)
		sum -= tally.errors[i].count;
	ck_assert_uint_eq(sum, 0);
	pool_tally_clear(&tally);
}
END_TEST

START_TEST(names_are_bounded_and_no_sum_is_lost)
{
	struct past past;

	past_init(&past);
	fill(&past);
	ck_assert_uint_eq(past.pools.count, PAST_POOLS_MAX);
	ck_assert_uint_eq(past.others.stats.xacts, 10);
	ck_assert_uint_eq(pool_tally_times(&past.others.tally, POOL_HOLD)->count, 10);
	/* A name that is known has its place. */
	keep(&past, "0", 6);
	ck_assert_uint_eq(take(&past, "0"), 7);
	ck_assert_uint_eq(take(&past, "70"), 0);
	past_clear(&past);
}
END_TEST

START_TEST(it_is_handed_over)
{
	struct past past, next;
	struct pack p;
	struct buf out;

	past_init(&past);
	past_init(&next);
	fill(&past);
	keep(&past, "3", 8);
	buf_init(&out, 16 << 20);
	pack_writer(&p, &out);
	past_pack(&p, &past);
	ck_assert(!out.failed);
	for (size_t bytes = 0; bytes < out.len; bytes += 1 + bytes / 5) {
		struct past half;

		past_init(&half);
		pack_reader(&p, buf_data(&out), bytes);
		past_pack(&p, &half);
		ck_assert(p.failed);
		past_clear(&half);
	}
	pack_reader(&p, buf_data(&out), out.len);
	past_pack(&p, &next);
	ck_assert(!p.failed && p.left == 0);
	ck_assert_uint_eq(next.others.stats.xacts, 10);
	ck_assert_uint_eq(take(&next, "3"), 9);
	ck_assert_uint_eq(take(&next, "4"), 1);
	ck_assert_uint_eq(next.pools.count, PAST_POOLS_MAX - 2);
	past_clear(&next);
	past_clear(&past);
	buf_clear(&out);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("past");
	TCase *t = tcase_create("past");
	SRunner *r;
	int failed;

	tcase_add_test(t, sums_are_kept_by_name);
	tcase_add_test(t, what_is_restored_is_added);
	tcase_add_test(t, errors_are_bounded_and_none_is_lost);
	tcase_add_test(t, names_are_bounded_and_no_sum_is_lost);
	tcase_add_test(t, it_is_handed_over);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
