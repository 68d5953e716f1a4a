/* The counts of wrong passwords: bounded, in order of time, handed over. And memory for secrets. */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/vault.h"
#include "session/failures.h"

static struct failures all;

static void
setup(void)
{
	failures_init(&all);
}

static void
teardown(void)
{
	failures_clear(&all);
}

static const struct failure *
last(void)
{
	return LIST_OBJ(list_last(&all.rows), const struct failure, node);
}

START_TEST(one_row_for_a_user_and_role)
{
	failures_add(&all, 33, "app", 100, "php", 1000);
	failures_add(&all, 33, "other", 101, NULL, 1001);
	failures_add(&all, 34, "app", 102, "psql", 1002);
	failures_add(&all, 33, "app", 103, "a program with a long name", 1003);
	ck_assert_uint_eq(all.wrong, 4);
	ck_assert_uint_eq(all.rows.count, 3);
	ck_assert_uint_eq(last()->count, 2);
	ck_assert_uint_eq(last()->uid, 33);
	ck_assert_str_eq(last()->role, "app");
	ck_assert_int_eq(last()->pid, 103);
	ck_assert_int_eq(last()->at, 1003);
	ck_assert_str_eq(last()->program, "a program with ");
}
END_TEST

START_TEST(the_oldest_goes_first)
{
	char role[32];

	for (int i = 0; i < 3 * FAILURES_MAX; i++) {
		snprintf(role, sizeof role, "role%d", i);
		failures_add(&all, 1, role, i, "x", i);
		/* This one fails again and again, and stays. */
		failures_add(&all, 2, "always", i, "x", i);
	}
	ck_assert_uint_eq(all.rows.count, FAILURES_MAX);
	ck_assert_uint_eq(all.wrong, 6 * FAILURES_MAX);
	ck_assert_str_eq(last()->role, "always");
	ck_assert_uint_eq(last()->count, 3 * FAILURES_MAX);
	ck_assert_int_eq(LIST_OBJ(list_first(&all.rows), const struct failure, node)->at,
			 2 * FAILURES_MAX + 1);
}
END_TEST

START_TEST(they_are_handed_over)
{
	struct failures next;
	struct pack p;
	struct buf b;

	all.proved = 7;
	failures_add(&all, 33, "app", 100, "php", 1000);
	failures_add(&all, 34, "", 101, NULL, 1001);
	buf_init(&b, 4096);
	pack_writer(&p, &b);
	failures_pack(&p, &all);
	failures_init(&next);
	pack_reader(&p, buf_data(&b), b.len);
	failures_pack(&p, &next);
	ck_assert(!p.failed);
	ck_assert_uint_eq(p.left, 0);
	ck_assert_uint_eq(next.proved, 7);
	ck_assert_uint_eq(next.wrong, 2);
	ck_assert_uint_eq(next.rows.count, 2);
	ck_assert_str_eq(LIST_OBJ(list_first(&next.rows), const struct failure, node)->role, "app");
	failures_clear(&next);
	buf_clear(&b);
}
END_TEST

/* Is the page of `p` left out of core files (dd in VmFlags: proc(5), smaps)? */
static bool
is_left_out(const void *p)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	bool here = false, left_out = false;
	unsigned long from, to;
	char line[512];

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof line, f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = (uintptr_t)p >= from && (uintptr_t)p < to;
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			left_out = strstr(line, " dd") != NULL;
	}
	fclose(f);
	return left_out;
}

START_TEST(a_vault_is_in_no_core)
{
	char *p = vault_alloc(10000);

	for (unsigned i = 0; i < 10000; i++)
		ck_assert_int_eq(p[i], 0);
	memset(p, 'x', 10000);
	ck_assert(is_left_out(p));
	ck_assert(is_left_out(p + 9999));
	ck_assert(!is_left_out(&all));
	vault_free(p, 10000);
	vault_free(NULL, 10000);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("failures");
	TCase *tc = tcase_create("failures");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, one_row_for_a_user_and_role);
	tcase_add_test(tc, the_oldest_goes_first);
	tcase_add_test(tc, they_are_handed_over);
	tcase_add_test(tc, a_vault_is_in_no_core);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
