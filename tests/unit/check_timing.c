#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scope/timing.h"

static char listed[64 << 10];

static void
list_row(void *arg, const struct timing_row *row)
{
	unsigned *rows = arg;
	char line[256];

	snprintf(line, sizeof line, "%s/%s:%llu ", row->pool, row->scope,
		 (unsigned long long)timing_phase(row, TIMING_HOLD)->count);
	strcat(listed, line);
	++*rows;
}

static unsigned
list_rows(const struct timing *t)
{
	unsigned rows = 0;

	listed[0] = 0;
	timing_each(t, list_row, &rows);
	return rows;
}

START_TEST(rows_are_by_pool_and_name)
{
	struct timing t;
	struct timing_row *a;

	timing_init(&t);
	ck_assert_uint_eq(list_rows(&t), 0);
	a = timing_row(&t, "orders", "a");
	timing_add(a, TIMING_HOLD, 7);
	ck_assert_ptr_eq(timing_row(&t, "orders", "a"), a);
	ck_assert_ptr_ne(timing_row(&t, "billing", "a"), a);
	ck_assert_ptr_ne(timing_row(&t, "orders", "b"), a);
	/* Where the one ends and the other begins makes a difference. */
	ck_assert_ptr_ne(timing_row(&t, "ordersa", ""), timing_row(&t, "orders", "a"));
	ck_assert_ptr_ne(timing_row(&t, "", "ordersa"), timing_row(&t, "ordersa", ""));
	ck_assert_uint_eq(list_rows(&t), 5);
	ck_assert_str_eq(listed, "orders/a:1 billing/a:0 orders/b:0 ordersa/:0 /ordersa:0 ");
	timing_clear(&t);
}
END_TEST

/* Whatever a client calls its scopes, no two rows have the same names. */
START_TEST(no_row_is_called_as_the_shared_one)
{
	struct timing t;

	timing_init(&t);
	ck_assert_ptr_eq(timing_row(&t, "", TIMING_OTHERS), &t.others);
	ck_assert_ptr_ne(timing_row(&t, "orders", TIMING_OTHERS), &t.others);
	timing_add(timing_row(&t, "", TIMING_OTHERS), TIMING_HOLD, 1);
	ck_assert_uint_eq(list_rows(&t), 2);
	ck_assert_str_eq(listed, "orders/(others):0 /(others):1 ");
	timing_clear(&t);
}
END_TEST

START_TEST(what_is_added_is_there)
{
	struct timing t;
	struct timing_row *row;

	timing_init(&t);
	row = timing_row(&t, "", "nightly");
	for (int i = 0; i < TIMING_NPHASES; i++)
		ck_assert_uint_eq(timing_phase(row, i)->count, 0);
	timing_add(row, TIMING_WAIT, 5);
	timing_add(row, TIMING_HOLD, 1000);
	timing_add(row, TIMING_HOLD, 3000);
	timing_count(row, TIMING_SUCCESS);
	timing_count(row, TIMING_EXPIRED);
	timing_count(row, TIMING_EXPIRED);
	ck_assert_uint_eq(timing_phase(row, TIMING_WAIT)->sum_us, 5);
	ck_assert_uint_eq(timing_phase(row, TIMING_HOLD)->sum_us, 4000);
	ck_assert_int_eq(timing_phase(row, TIMING_HOLD)->max_us, 3000);
	/* Nothing is kept for what nothing was added to. */
	ck_assert_ptr_null(row->phases[TIMING_ENTER]);
	ck_assert_ptr_null(row->phases[TIMING_CLEANUP]);
	ck_assert_uint_eq(row->outcomes[TIMING_SUCCESS], 1);
	ck_assert_uint_eq(row->outcomes[TIMING_ERROR], 0);
	ck_assert_uint_eq(row->outcomes[TIMING_EXPIRED], 2);
	timing_clear(&t);
}
END_TEST

START_TEST(names_are_bounded)
{
	struct timing t;
	struct timing_row *others, *row;
	char name[100];

	timing_init(&t);
	for (int i = 0; i < TIMING_ROWS_MAX; i++) {
		snprintf(name, sizeof name, "scope %d", i);
		timing_add(timing_row(&t, "orders", name), TIMING_HOLD, i);
	}
	ck_assert_uint_eq(list_rows(&t), TIMING_ROWS_MAX);
	others = timing_row(&t, "orders", "one more");
	ck_assert_ptr_eq(timing_row(&t, "billing", "another"), others);
	ck_assert_str_eq(others->scope, TIMING_OTHERS);
	ck_assert_str_eq(others->pool, "");
	ck_assert_uint_eq(list_rows(&t), TIMING_ROWS_MAX);
	timing_add(others, TIMING_HOLD, 1);
	ck_assert_uint_eq(list_rows(&t), TIMING_ROWS_MAX + 1);
	ck_assert_str_eq(strstr(listed, " /"), " /(others):1 ");
	/* Those that were there still have theirs. */
	row = timing_row(&t, "orders", "scope 255");
	ck_assert_ptr_ne(row, others);
	ck_assert_int_eq(timing_phase(row, TIMING_HOLD)->max_us, 255);
	timing_clear(&t);
}
END_TEST

START_TEST(long_names_are_cut)
{
	struct timing t;
	struct timing_row *row;
	char *name = malloc(65536);

	timing_init(&t);
	memset(name, 'x', 65535);
	name[65535] = 0;
	row = timing_row(&t, name, name);
	ck_assert_uint_eq(strlen(row->scope), TIMING_NAME_MAX);
	ck_assert_uint_eq(strlen(row->pool), TIMING_NAME_MAX);
	ck_assert_ptr_eq(timing_row(&t, name, name), row);
	name[TIMING_NAME_MAX] = 0;
	ck_assert_ptr_eq(timing_row(&t, name, name), row);
	name[TIMING_NAME_MAX - 1] = 0;
	ck_assert_ptr_ne(timing_row(&t, name, name), row);
	/* Not in the middle of a character. */
	memcpy(name + TIMING_NAME_MAX - 2, "\xe6\xbc\xa2", 4);
	ck_assert_uint_eq(strlen(timing_row(&t, "", name)->scope), TIMING_NAME_MAX - 2);
	free(name);
	timing_clear(&t);
}
END_TEST

START_TEST(names)
{
	ck_assert_str_eq(timing_outcome_name(TIMING_SUCCESS), "success");
	ck_assert_str_eq(timing_outcome_name(TIMING_EXPIRED), "expired");
	ck_assert_str_eq(timing_phase_name(TIMING_WAIT), "wait");
	ck_assert_str_eq(timing_phase_name(TIMING_CLEANUP), "cleanup");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("timing");
	TCase *t = tcase_create("timing");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, rows_are_by_pool_and_name);
	tcase_add_test(t, no_row_is_called_as_the_shared_one);
	tcase_add_test(t, what_is_added_is_there);
	tcase_add_test(t, names_are_bounded);
	tcase_add_test(t, long_names_are_cut);
	tcase_add_test(t, names);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
