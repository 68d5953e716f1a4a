#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "admin/metrics.h"
#include "shop.h"

static bool
ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), k = strlen(end);

	return n >= k && strcmp(text + n - k, end) == 0;
}

/* What OpenMetrics and promtool want of names. */
START_TEST(names_are_good)
{
	static const char *const reserved[] = {"_total",  "_count", "_sum",
					       "_bucket", "_info",  "_created"};
	const struct metric *table;
	unsigned count;

	table = metrics_table(&count);
	ck_assert_uint_gt(count, 40);
	for (unsigned i = 0; i < count; i++) {
		const struct metric *m = &table[i];

		ck_assert_msg(strncmp(m->name, "pgwith_", 7) == 0, "%s", m->name);
		ck_assert_uint_eq(strspn(m->name, "abcdefghijklmnopqrstuvwxyz_"), strlen(m->name));
		for (unsigned k = 0; k < sizeof reserved / sizeof *reserved; k++)
			ck_assert_msg(!ends_with(m->name, reserved[k]), "%s", m->name);
		if (*m->unit)
			ck_assert_msg(ends_with(m->name, m->unit), "%s", m->name);
		ck_assert_msg(
		    *m->unit || (!ends_with(m->name, "_seconds") && !ends_with(m->name, "_bytes")),
		    "%s", m->name);
		for (unsigned k = 0; k < i; k++)
			ck_assert_str_ne(m->name, table[k].name);
	}
}
END_TEST

/* Help is written as it is, in both formats and in the manual. */
START_TEST(help_needs_no_escapes)
{
	const struct metric *table;
	unsigned count;

	table = metrics_table(&count);
	for (unsigned i = 0; i < count; i++) {
		const struct metric *m = &table[i];

		ck_assert_msg(strpbrk(m->help, "\\\"\n\t") == NULL, "%s", m->name);
		ck_assert_msg(ends_with(m->help, ".") && *m->help != '.', "%s", m->name);
		ck_assert_ptr_nonnull(m->write);
	}
}
END_TEST

static void
keep(struct past *past, const char *name, uint64_t xacts)
{
	struct pool_stats stats = {.xacts = xacts};
	struct pool_tally tally = {0};

	past_keep(past, name, &stats, &tally);
}

/* The transactions of all pools by that name; -1: there is none. */
static int64_t
xacts_of(const struct shop *shop, const char *name)
{
	struct sums sums;
	int64_t xacts = -1;

	sums_take(&sums, &shop->d);
	for (unsigned i = 0; i < sums.count; i++) {
		if (strcmp(sums.pools[i].name, name) != 0)
			continue;
		ck_assert_int_eq(xacts, -1);
		xacts = (int64_t)sums.pools[i].stats.xacts;
	}
	sums_clear(&sums);
	return xacts;
}

/* Who needs a new server stands at the front of the queue, but has not waited longest. */
START_TEST(the_oldest_wait_is_not_that_of_the_first)
{
	struct shop shop;
	struct sums sums;

	shop_open(&shop);
	shop_wait(&shop, &shop.pool, 2, 1000)->hold.lease.fresh = true;
	shop_wait(&shop, &shop.pool, 3, 4000);
	shop_wait(&shop, &shop.pool, 4, 3000);
	sums_take(&sums, &shop.d);
	ck_assert_int_eq(sums_find(&sums, &shop.pool)->wait_us, 4000);
	sums_clear(&sums);
	shop_close(&shop);
}
END_TEST

/* When more pools were removed than can be kept by name, the rest is the pool "". It stays when one
 * of those with a name comes back, so that no total falls. */
START_TEST(what_is_added_up_without_a_name_stays)
{
	struct shop shop;
	struct past *past = &shop.d.site.pools.past;
	struct pool_stats stats = {0};
	struct pool_tally tally = {0};
	char name[16];

	shop_open(&shop);
	ck_assert_int_eq(xacts_of(&shop, "orders"), 0);
	for (unsigned i = 0; i < PAST_POOLS_MAX; i++) {
		snprintf(name, sizeof name, "%u", i);
		keep(past, name, i);
	}
	ck_assert_int_eq(xacts_of(&shop, "7"), 7);
	ck_assert_int_eq(xacts_of(&shop, ""), -1);
	keep(past, "one more", 40);
	keep(past, "another", 2);
	ck_assert_int_eq(xacts_of(&shop, ""), 42);
	past_restore(past, "7", &stats, &tally);
	ck_assert_int_eq(xacts_of(&shop, "7"), -1);
	ck_assert_int_eq(xacts_of(&shop, ""), 42);
	shop_close(&shop);
}
END_TEST

/* The sums of a pool are found even if one of its name is gone, too. */
START_TEST(a_pool_is_found_beside_one_that_is_gone)
{
	struct shop shop;
	struct sums sums;

	shop_open(&shop);
	keep(&shop.d.site.pools.past, "orders", 3);
	sums_take(&sums, &shop.d);
	ck_assert_uint_eq(sums.count, 2);
	ck_assert_ptr_eq(sums_find(&sums, &shop.pool)->group, &shop.pool);
	sums_clear(&sums);
	shop_close(&shop);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("metrics");
	TCase *t = tcase_create("metrics");
	SRunner *r;
	int failed;

	tcase_add_test(t, names_are_good);
	tcase_add_test(t, help_needs_no_escapes);
	tcase_add_test(t, the_oldest_wait_is_not_that_of_the_first);
	tcase_add_test(t, what_is_added_up_without_a_name_stays);
	tcase_add_test(t, a_pool_is_found_beside_one_that_is_gone);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
