#include <check.h>
<<<<<<< HEAD
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
=======
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "session/params.h"

/* Parameters as name NUL value NUL ... are written here with | for NUL. */
static size_t
packed(const char *text, char *out, size_t out_size)
{
	size_t n = strlen(text);

	ck_assert_uint_lt(n, out_size);
	for (size_t i = 0; i <= n; i++)
		out[i] = text[i] == '|' ? 0 : text[i];
	return n;
}

static int
read_params(const char *text, struct buf *out, char *why, size_t why_size)
{
	char params[10000];
	struct startup st = {.kind = STARTUP_PROTOCOL, .major = 3, .params = params};

	params[packed(text, params, sizeof params - 1) + 1] = 0;
	buf_init(out, 65536);
	return params_read(&st, out, why, why_size);
}

static void
reads(const char *text, const char *expected)
{
	char why[200] = "", want[10000];
	size_t n = packed(expected, want, sizeof want);
	struct buf out;

	ck_assert_msg(read_params(text, &out, why, sizeof why) == 0, "%s: %s", text, why);
	ck_assert_msg(out.len == n && (n == 0 || memcmp(buf_data(&out), want, n) == 0),
		      "%s: %zu bytes", text, out.len);
	buf_clear(&out);
}

static void
refuses(const char *options, const char *reason)
{
	char text[10000], why[200] = "";
	struct buf out;

	snprintf(text, sizeof text, "user|u|options|%s|", options);
	ck_assert_int_eq(read_params(text, &out, why, sizeof why), -E_SYNTAX);
	ck_assert_str_eq(why, reason);
	buf_clear(&out);
}

START_TEST(what_is_for_the_login_is_left_out)
{
	reads("user|u|database|d|application_name|a|replication|0|_pq_.x|1|", "");
	reads("user|u|client_encoding|UTF8|DateStyle|ISO|", "client_encoding|UTF8|DateStyle|ISO|");
}
END_TEST

START_TEST(options)
{
	reads("user|u|options||", "");
	reads("user|u|options|-c a=1|", "a|1|");
	reads("user|u|options|-ca=1 --b-c=2   -c\td=|", "a|1|b_c|2|d||");
	reads("user|u|options|-c a=x\\ y\\\\z|", "a|x y\\z|");
	reads("user|u|options|-c a=b=c|", "a|b=c|");
	/* One of its own comes after, and so wins. */
	reads("a|2|user|u|options|-c a=1|", "a|1|a|2|");
	refuses("-c", "\"-c\"");
	refuses("-c a", "\"a\"");
	refuses("-c =1", "\"=1\"");
	refuses("--a", "\"--a\"");
	refuses("-B 5", "\"-B\"");
	refuses("x", "\"x\"");
}
END_TEST

START_TEST(a_long_word_overflows_nothing)
{
	char text[9500] = "user|u|options|-c a=";
	char why[200];
	struct buf out;
	size_t n = strlen(text);

	memset(text + n, 'x', sizeof text - n - 2);
	strcpy(text + sizeof text - 2, "|");
	read_params(text, &out, why, sizeof why);
	ck_assert_uint_le(out.len, sizeof text);
>>>>>>> core-tests
	buf_clear(&out);
}
END_TEST

<<<<<<< HEAD
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
=======
START_TEST(the_same_in_other_words)
{
	ck_assert(params_same("client_encoding", "utf-8", "UTF8"));
	ck_assert(params_same("CLIENT_ENCODING", "'unicode'", "UTF8"));
	ck_assert(!params_same("client_encoding", "latin1", "UTF8"));
	ck_assert(params_same("DateStyle", "iso", "ISO, MDY"));
	ck_assert(params_same("DateStyle", "ISO, MDY", "ISO, MDY"));
	ck_assert(!params_same("DateStyle", "ISO, DMY", "ISO, MDY"));
	ck_assert(!params_same("DateStyle", "IS", "ISO, MDY"));
	ck_assert(!params_same("DateStyle", "", "ISO, MDY"));
	ck_assert(!params_same("DateStyle", "ISO, MDY, x", "ISO, MDY"));
	ck_assert(params_same("TimeZone", "utc", "UTC"));
	ck_assert(!params_same("TimeZone", "UTC", "Europe/Berlin"));
}
END_TEST

static void
sets(const char *text, const char *expected)
{
	char params[1000], zone[] = "UTC", encoding[] = "UTF8";
	size_t n = packed(text, params, sizeof params);
	struct pool pool = {.params = {{"TimeZone", zone}, {"client_encoding", encoding}},
			    .nparams = 2};
	struct buf sql;

	buf_init(&sql, 65536);
	params_setup(params, n, &pool, &sql);
	if (*expected == 0)
		ck_assert_uint_eq(sql.len, 0);
	else
		ck_assert_str_eq((char *)buf_data(&sql), expected);
	buf_clear(&sql);
}

START_TEST(only_what_differs_is_set)
{
	sets("", "");
	sets("timezone|utc|client_encoding|UTF-8|", "");
	sets("timezone|CET|", "SELECT pg_catalog.set_config('timezone','CET',false)");
	sets("client_encoding|utf8|a|1|b|2|",
	     "SELECT pg_catalog.set_config('a','1',false), pg_catalog.set_config('b','2',false)");
}
END_TEST

START_TEST(values_cannot_break_out)
{
	sets("a|'; DROP TABLE t; --|",
	     "SELECT pg_catalog.set_config('a','''; DROP TABLE t; --',false)");
	sets("a|\\'|", "SELECT pg_catalog.set_config('a', E'\\\\''',false)");
	sets("a'b|x|", "SELECT pg_catalog.set_config('a''b','x',false)");
	sets("a||", "SELECT pg_catalog.set_config('a','',false)");
>>>>>>> core-tests
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("params");
	TCase *t = tcase_create("params");
	SRunner *r = srunner_create(s);
	int failed;

<<<<<<< HEAD
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, values_are_checked_and_kept_in_one_form);
	tcase_add_test(t, rollback_brings_values_back);
	tcase_add_test(t, commit_ends_what_is_local);
	tcase_add_test(t, reset_goes_back_to_the_startup_packet);
	tcase_add_test(t, only_changes_are_reported);
	tcase_add_test(t, there_is_a_limit_to_own_parameters);
=======
	tcase_add_test(t, what_is_for_the_login_is_left_out);
	tcase_add_test(t, options);
	tcase_add_test(t, a_long_word_overflows_nothing);
	tcase_add_test(t, the_same_in_other_words);
	tcase_add_test(t, only_what_differs_is_set);
	tcase_add_test(t, values_cannot_break_out);
>>>>>>> core-tests
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
