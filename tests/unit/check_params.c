#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "session/params.h"
#include "wire/msg.h"

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

static struct buf repeated;

static int
read_params(const char *text, struct buf *out, struct err *e)
{
	char params[10000];
	struct startup st = {.kind = STARTUP_PROTOCOL, .major = 3, .params = params};

	params[packed(text, params, sizeof params - 1) + 1] = 0;
	buf_init(out, 65536);
	buf_clear(&repeated);
	buf_init(&repeated, 65536);
	return params_read(&st, out, &repeated, e);
}

static void
reads(const char *text, const char *expected)
{
	char want[10000];
	size_t n = packed(expected, want, sizeof want);
	struct buf out;
	struct err e = {.message = NULL};

	ck_assert_msg(read_params(text, &out, &e) == 0, "%s: %s", text, e.message);
	ck_assert_msg(out.len == n && (n == 0 || memcmp(buf_data(&out), want, n) == 0),
		      "%s: %u bytes", text, out.len);
	buf_clear(&out);
}

static void
refuses(const char *options, const char *reason)
{
	char text[10000];
	struct buf out;
	struct err e;

	snprintf(text, sizeof text, "user|u|options|%s|", options);
	ck_assert_int_eq(read_params(text, &out, &e), -E_SYNTAX);
	ck_assert_str_eq(e.message, reason);
	ck_assert_str_eq(e.sqlstate, "42601");
	err_clear(&e);
	buf_clear(&out);
}

START_TEST(what_is_for_the_login_is_left_out)
{
	reads("user|u|database|d|application_name|a|replication|0|_pq_.x|1|",
	      "application_name|a|");
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
	reads("user|u|options|-c =1|", "|1|");
	refuses("-c", "invalid command-line argument for server process: -c");
	refuses("-c a", "-c a requires a value");
	refuses("--a", "--a requires a value");
	refuses("x", "invalid command-line argument for server process: x");
}
END_TEST

START_TEST(the_last_value_counts)
{
	/* One of its own comes after options, wherever it stands. */
	reads("a|2|user|u|options|-c a=1|", "a|2|");
	reads("user|u|options|-c a=1|a|2|", "a|2|");
	reads("a|1|b|3|A|2|", "b|3|A|2|");
	reads("user|u|options|-c a=1 --a=2 -c b=1 --A=3|", "b|1|A|3|");
	reads("options|-c a=1|options|-c b=2|user|u|", "b|2|");
	/* A DateStyle goes on from the one before. */
	reads("DateStyle|German|datestyle|SQL|", "datestyle|SQL, DMY|");
	reads("DateStyle|DMY|options|-c DateStyle=ISO,YMD|", "DateStyle|ISO, DMY|");
	reads("options|-e -c DateStyle=ISO|", "DateStyle|ISO, DMY|");
	reads("DateStyle|German|DATESTYLE|default|", "DATESTYLE|German, DMY|");
	reads("DateStyle|default|DateStyle|DEFAULT|", "DateStyle|DEFAULT|");
	reads("options|-c DateStyle=x -c DateStyle=ISO|", "DateStyle|ISO|");
	/* What has no effect is looked at all the same. */
	reads("a|1|b|3|a|2|a|1|a|2|", "b|3|a|2|");
	ck_assert_uint_eq(repeated.len, 20);
	ck_assert_mem_eq(buf_data(&repeated), "a\0001\0b\0003\0a\0002\0a\0001\0a\0002\0", 20);
}
END_TEST

/* Are all values to be looked at one by one? */
static void
each_is_looked_at(const char *text, const char *expected)
{
	char want[1000];
	size_t n = packed(expected, want, sizeof want);
	struct buf out;
	struct err e;

	ck_assert_int_eq(read_params(text, &out, &e), 0);
	ck_assert_msg(repeated.len == n && (n == 0 || memcmp(buf_data(&repeated), want, n) == 0),
		      "%s: %u bytes", text, repeated.len);
	buf_clear(&out);
}

START_TEST(a_role_comes_last_and_an_authorization_to_nothing)
{
	reads("role|r|a|1|b|2|", "a|1|b|2|role|r|");
	reads("Role|r|a|1|role|s|b|2|", "a|1|b|2|role|s|");
	reads("session_authorization|r|a|1|", "a|1|");
	reads("options|-c SESSION_AUTHORIZATION=r|", "");
	each_is_looked_at("a|1|role|r|", "");
	each_is_looked_at("role|r|a|1|", "role|r|a|1|");
	each_is_looked_at("a|1|session_authorization|r|", "a|1|session_authorization|r|");
	each_is_looked_at("a|1|A|2|", "a|1|A|2|");
}
END_TEST

#define NAME_63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz01234567890"

START_TEST(what_is_cut_is_said)
{
	static const char cut[] =
	    "application_name|" NAME_63 "x|client_min_messages|WARNING|role|" NAME_63
	    "y|client_min_messages|log|Role|" NAME_63 "z|a|" NAME_63 "q|",
			  hidden[] = "client_min_messages|error|application_name|" NAME_63 "x|";
	char params[1000];
	size_t n = packed(cut, params, sizeof params);
	struct pool pool = {.told = NULL};
	const uint8_t *second;
	struct buf out;

	buf_init(&out, 65536);
	params_notices(params, n, &pool, &out);
	ck_assert_str_eq(msg_report_field(buf_data(&out) + 5, out.len - 5, 'M'),
			 "identifier \"" NAME_63 "x\" will be truncated to \"" NAME_63 "\"");
	ck_assert_str_eq(msg_report_field(buf_data(&out) + 5, out.len - 5, 'C'), "42622");
	second = buf_data(&out) + out.len / 2;
	ck_assert_int_eq(second[0], 'N');
	ck_assert_str_eq(msg_report_field(second + 5, out.len / 2 - 5, 'M'),
			 "identifier \"" NAME_63 "z\" will be truncated to \"" NAME_63 "\"");
	buf_reset(&out);
	n = packed(hidden, params, sizeof params);
	params_notices(params, n, &pool, &out);
	ck_assert_uint_eq(out.len, 0);
	buf_clear(&out);
}
END_TEST

START_TEST(a_long_word_overflows_nothing)
{
	char text[9500] = "user|u|options|-c a=";
	struct buf out;
	struct err e;
	size_t n = strlen(text);

	memset(text + n, 'x', sizeof text - n - 2);
	strcpy(text + sizeof text - 2, "|");
	ck_assert_int_eq(read_params(text, &out, &e), 0);
	/* All of it arrives: "a", and what stands behind the "=". */
	ck_assert_uint_eq(out.len, 2 + sizeof text - n - 2 + 1);
	buf_clear(&out);
}
END_TEST

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
	ck_assert(params_same("standard_conforming_strings", "ON", "on"));
	ck_assert(params_same("intervalstyle", "Postgres", "postgres"));
	/* PostgreSQL keeps the case of these. */
	ck_assert(!params_same("search_path", "\"Tenant\"", "\"tenant\""));
	ck_assert(!params_same("application_name", "App", "app"));
	ck_assert(!params_same("session_authorization", "Bob", "bob"));
	ck_assert(params_same("search_path", "a, b", "a, b"));
	ck_assert(!params_same("search_path", "a, b", "a,b"));
}
END_TEST

static void
sets(const char *text, const char *expected)
{
	char params[1000];
	size_t n = packed(text, params, sizeof params);
	struct pool pool = {.told = NULL};
	struct tolds all;
	struct buf sql;

	tolds_init(&all);
	pool.told = told_with(&all, pool.told, "TimeZone", "UTC");
	pool.told = told_with(&all, pool.told, "client_encoding", "UTF8");
	buf_init(&sql, 65536);
	params_setup(params, n, &pool, &sql);
	if (*expected == 0)
		ck_assert_uint_eq(sql.len, 0);
	else
		ck_assert_str_eq((char *)buf_data(&sql), expected);
	buf_clear(&sql);
	told_drop(&all, pool.told);
	tolds_clear(&all);
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
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("params");
	TCase *t = tcase_create("params");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, what_is_for_the_login_is_left_out);
	tcase_add_test(t, options);
	tcase_add_test(t, the_last_value_counts);
	tcase_add_test(t, a_role_comes_last_and_an_authorization_to_nothing);
	tcase_add_test(t, what_is_cut_is_said);
	tcase_add_test(t, a_long_word_overflows_nothing);
	tcase_add_test(t, the_same_in_other_words);
	tcase_add_test(t, only_what_differs_is_set);
	tcase_add_test(t, values_cannot_break_out);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
