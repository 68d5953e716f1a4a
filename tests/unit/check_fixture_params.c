#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture/params.h"

static struct params ps;
static struct fault why;

static void
setup(void)
{
	params_init(&ps);
	memset(&why, 0, sizeof why);
}

static void
teardown(void)
{
	params_clear(&ps);
	fault_clear(&why);
}

static void
set(const char *name, const char *value, bool local)
{
	ck_assert_int_eq(params_set(&ps, name, value, local, &why), 0);
}

START_TEST(values_are_checked_and_kept_in_one_form)
{
	static const char *const good[][3] = {
	    {"JIT", "YES", "on"},
	    {"jit", "0", "off"},
	    {"client_encoding", "utf-8", "UTF8"},
	    {"transaction_isolation", "SERIALIZABLE", "serializable"},
	    {"statement_timeout", "1min", "1min"},
	    {"my.own", "anything", "anything"},
	};
	static const char *const bad[][3] = {
	    {"jit", "maybe", "22023"},
	    {"statement_timeout", "-1", "22023"},
	    {"extra_float_digits", "", "22023"},
	    {"transaction_isolation", "serial", "22023"},
	    {"server_version", "16", "55P02"},
	    {"nosuch", "1", "42704"},
	    {"client_encoding", "latin1", "0A000"},
	};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		set(good[i][0], good[i][1], false);
		ck_assert_str_eq(params_get(&ps, good[i][0]), good[i][2]);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		ck_assert_int_ne(params_set(&ps, bad[i][0], bad[i][1], false, &why), 0);
		ck_assert_str_eq(why.sqlstate, bad[i][2]);
	}
	ck_assert_int_eq(params_ms(&ps, "statement_timeout"), 60000);
	ck_assert_ptr_null(params_get(&ps, "nosuch"));
}
END_TEST

START_TEST(rollback_brings_values_back)
{
	set("work_mem", "1MB", false);
	ps.level = 1;
	set("work_mem", "2MB", false);
	ps.level = 2;
	set("work_mem", "3MB", true);
	set("work_mem", "4MB", false);
	params_rollback(&ps, 2);
	ck_assert_str_eq(params_get(&ps, "work_mem"), "2MB");
	set("work_mem", "5MB", true);
	params_release(&ps, 2);
	ps.level = 1;
	ck_assert_str_eq(params_get(&ps, "work_mem"), "5MB");
	params_rollback(&ps, 2);
	ck_assert_str_eq(params_get(&ps, "work_mem"), "5MB");
	params_rollback(&ps, 1);
	ck_assert_str_eq(params_get(&ps, "work_mem"), "1MB");
	ck_assert_uint_eq(ps.undo_count, 0);
}
END_TEST

START_TEST(commit_ends_what_is_local)
{
	ps.level = 1;
	set("work_mem", "2MB", false);
	set("work_mem", "3MB", true);
	set("jit", "on", true);
	ck_assert_str_eq(params_get(&ps, "work_mem"), "3MB");
	params_commit(&ps);
	ps.level = 0;
	ck_assert_str_eq(params_get(&ps, "work_mem"), "2MB");
	ck_assert(!params_on(&ps, "jit"));
}
END_TEST

START_TEST(reset_goes_back_to_the_startup_packet)
{
	ck_assert_int_eq(params_startup(&ps, "application_name", "me", &why), 0);
	set("application_name", "you", false);
	set("my.own", "x", false);
	set("application_name", NULL, false);
	ck_assert_str_eq(params_get(&ps, "application_name"), "me");
	set("application_name", "you", false);
	params_reset_all(&ps);
	ck_assert_str_eq(params_get(&ps, "application_name"), "me");
}
END_TEST

START_TEST(only_changes_are_reported)
{
	struct buf out;

	buf_init(&out, 10000);
	params_report(&ps, &out, true);
	ck_assert_uint_gt(out.len, 200);
	buf_reset(&out);
	set("work_mem", "9MB", false);
	params_report(&ps, &out, false);
	ck_assert_uint_eq(out.len, 0);
	set("application_name", "x", false);
	params_report(&ps, &out, false);
	ck_assert_uint_eq(out.len, 5 + sizeof "application_name" + sizeof "x");
	ck_assert_mem_eq(buf_data(&out) + 5, "application_name\0x", 19);
	buf_clear(&out);
}
END_TEST

START_TEST(there_is_a_limit_to_own_parameters)
{
	char name[32];
	int i, r = 0;

	for (i = 0; r == 0 && i < 1000; i++) {
		snprintf(name, sizeof name, "my.p%d", i);
		r = params_set(&ps, name, "x", false, &why);
	}
	ck_assert_int_ne(r, 0);
	ck_assert_str_eq(why.sqlstate, "53400");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("params");
	TCase *t = tcase_create("params");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, values_are_checked_and_kept_in_one_form);
	tcase_add_test(t, rollback_brings_values_back);
	tcase_add_test(t, commit_ends_what_is_local);
	tcase_add_test(t, reset_goes_back_to_the_startup_packet);
	tcase_add_test(t, only_changes_are_reported);
	tcase_add_test(t, there_is_a_limit_to_own_parameters);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
