#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "admin/command.h"
#include "admin/metrics.h"
#include "admin/scrape.h"
#include "base/mem.h"
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

#define MANY 100

/* A shop with so many pools, by names in the order of their numbers. */
static struct pool *
open_many(struct shop *shop, struct conf_pool *confs)
{
	struct pool *pools = mem_calloc(MANY, sizeof *pools);

	shop_open(shop);
	for (unsigned i = 0; i < MANY; i++) {
		confs[i] = shop->conf;
		confs[i].name = mem_printf("p%03u", i);
		shop_pool(shop, &pools[i], &pools[i], &confs[i]);
		pools[i].stats.xacts = i;
	}
	return pools;
}

static void
close_many(struct shop *shop, struct pool *pools, struct conf_pool *confs)
{
	for (unsigned i = 0; i < MANY; i++) {
		pool_tally_clear(&pools[i].tally);
		free((char *)confs[i].name);
	}
	shop_close(shop);
	free(pools);
}

/* How often the text has these words. */
static unsigned
times(const struct buf *text, const char *words)
{
	const char *p = (const char *)buf_data(text), *end = p + text->len;
	unsigned n = 0;

	while ((p = memmem(p, (size_t)(end - p), words, strlen(words))) != NULL) {
		n++;
		p++;
	}
	return n;
}

/* All parts in one turn. */
static void
write_whole(const struct daemon *d, bool openmetrics, struct buf *out)
{
	struct scrape *run = scrape_begin(d, openmetrics, out);

	while (!scrape_go_on(run))
		continue;
	scrape_end(run);
}

/* No part is much longer than it should be, and all parts together are the text. */
START_TEST(parts_are_the_text)
{
	struct conf_pool confs[MANY];
	struct shop shop;
	struct pool *pools = open_many(&shop, confs);
	struct scrape *run;
	struct buf whole, parts;
	unsigned n = 0, before = 0;
	bool last;

	buf_init(&whole, BUF_MAX);
	buf_init(&parts, BUF_MAX);
	write_whole(&shop.d, true, &whole);
	run = scrape_begin(&shop.d, true, &parts);
	do {
		last = scrape_go_on(run);
		n++;
		ck_assert_uint_lt(parts.len - before, SCRAPE_PART + 8192);
		before = parts.len;
	} while (!last);
	scrape_end(run);
	ck_assert_uint_gt(n, 5);
	ck_assert_uint_ge(n, whole.len / (SCRAPE_PART + 8192));
	/* The times of the process are others by now. */
	ck_assert_uint_eq(times(&parts, "\n"), times(&whole, "\n"));
	for (unsigned i = 0; i < MANY; i++) {
		char sample[64];

		snprintf(sample, sizeof sample,
			 "\npgwith_pool_transactions_total{pool=\"p%03u\"} %u\n", i, i);
		ck_assert_uint_eq(times(&parts, sample), 1);
		snprintf(sample, sizeof sample, "{pool=\"p%03u\"", i);
		ck_assert_uint_eq(times(&parts, sample), times(&whole, sample));
	}
	ck_assert_uint_eq(times(&parts, "# EOF\n"), 1);
	buf_clear(&whole);
	buf_clear(&parts);
	close_many(&shop, pools, confs);
}
END_TEST

/* A pool goes between any two parts: nothing of it is read any more, no sample of another one is
 * left out or comes twice, and each family stands once. */
START_TEST(pools_go_between_parts)
{
	struct conf_pool confs[MANY];
	struct shop shop;
	struct pool *pools = open_many(&shop, confs);
	struct scrape *run;
	struct buf whole, parts;
	unsigned gone = 0;

	buf_init(&whole, BUF_MAX);
	buf_init(&parts, BUF_MAX);
	write_whole(&shop.d, false, &whole);
	run = scrape_begin(&shop.d, false, &parts);
	while (!scrape_go_on(run)) {
		struct pool *pool = &pools[gone * 37 % (MANY - 1)];

		list_remove(&shop.d.site.pools.list, &pool->node);
		shop.d.site.pools.changes++;
		pool_tally_clear(&pool->tally);
		memset(pool, 0xee, sizeof *pool);
		gone++;
	}
	scrape_end(run);
	ck_assert_uint_gt(gone, 5);
	ck_assert_uint_eq(times(&parts, "# TYPE "), times(&whole, "# TYPE "));
	ck_assert_uint_eq(times(&parts, "{pool=\"p099\""), times(&whole, "{pool=\"p099\""));
	ck_assert_uint_lt(times(&parts, "{pool=\"p000\""), times(&whole, "{pool=\"p000\""));
	for (unsigned i = 0; i < MANY; i++) {
		char sample[64];

		snprintf(sample, sizeof sample, "_login_seconds_count{pool=\"p%03u\"}", i);
		ck_assert_uint_le(times(&parts, sample), 1);
	}
	for (unsigned i = 0; i < gone; i++)
		memset(&pools[i * 37 % (MANY - 1)], 0, sizeof *pools);
	buf_clear(&whole);
	buf_clear(&parts);
	close_many(&shop, pools, confs);
}
END_TEST

/* SHOW METRICS has a row for each line of the text, some in each turn of the loop. */
START_TEST(the_console_shows_it_in_portions)
{
	struct conf_pool confs[MANY];
	struct shop shop;
	struct pool *pools = open_many(&shop, confs);
	struct buf whole, out;
	struct rows r = {
	    .out = &out, .columns = show_metrics.columns, .ncolumns = show_metrics.ncolumns};
	struct show_ids ids = {0};
	const struct command_call call = {.daemon = &shop.d, .rows = &r, .ids = &ids};
	uint64_t before = 0;
	unsigned n = 1;
	struct err e;
	int result;

	buf_init(&whole, BUF_MAX);
	buf_init(&out, BUF_MAX);
	for (result = scrape_show(&call, &e); result == -E_AGAIN; n++) {
		ck_assert(show_ids_left(&ids));
		ck_assert_uint_gt(r.count, before);
		/* A line has 40 bytes at least. */
		ck_assert_uint_lt(r.count - before, (SCRAPE_PART + 8192) / 40);
		before = r.count;
		result = scrape_show_go_on(&call, &e);
	}
	ck_assert_int_eq(result, 0);
	ck_assert(!show_ids_left(&ids));
	ck_assert_uint_gt(n, 5);
	write_whole(&shop.d, false, &whole);
	ck_assert_uint_eq(r.count, times(&whole, "\n"));
	ck_assert_uint_eq(times(&out, "{pool=\"p042\""), times(&whole, "{pool=\"p042\""));
	buf_clear(&out);
	/* The client goes before the end. */
	ck_assert_int_eq(scrape_show(&call, &e), -E_AGAIN);
	show_ids_clear(&ids);
	ck_assert(!show_ids_left(&ids));
	buf_clear(&out);
	buf_clear(&whole);
	close_many(&shop, pools, confs);
}
END_TEST

/* The client goes before the end. */
START_TEST(it_ends_in_between)
{
	struct conf_pool confs[MANY];
	struct shop shop;
	struct pool *pools = open_many(&shop, confs);
	struct scrape *run;
	struct buf parts;

	buf_init(&parts, BUF_MAX);
	run = scrape_begin(&shop.d, false, &parts);
	ck_assert(!scrape_go_on(run));
	ck_assert(!scrape_go_on(run));
	scrape_end(run);
	buf_clear(&parts);
	close_many(&shop, pools, confs);
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
	tcase_add_test(t, parts_are_the_text);
	tcase_add_test(t, the_console_shows_it_in_portions);
	tcase_add_test(t, pools_go_between_parts);
	tcase_add_test(t, it_ends_in_between);
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
