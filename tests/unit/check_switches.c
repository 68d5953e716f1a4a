#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "wire/canonical.h"
#include "wire/switches.h"

/* What is read, as name=value;name=value; and behind it what is wrong. */
static const char *
says(const char *options)
{
	static char text[4096];
	char why[200] = "";
	struct buf out;
	const char *at, *end;
	int r;

	buf_init(&out, 4096);
	r = switches_read(options, &out, why, sizeof why);
	text[0] = 0;
	at = (const char *)buf_data(&out);
	for (end = at + out.len; at < end; at += strlen(at) + 1) {
		const char *name = at;

		at += strlen(at) + 1;
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s=%s;", name, at);
	}
	ck_assert((r == 0) == (*why == 0));
	ck_assert(r != -E_SYNTAX ||
		  strncmp(why, "invalid command-line argument for server process: ", 50) == 0);
	snprintf(text + strlen(text), sizeof text - strlen(text), "%s", r == -E_SYNTAX ? "!" : "");
	snprintf(text + strlen(text), sizeof text - strlen(text), "%s",
		 r == -E_SYNTAX ? why + 50 : why);
	buf_clear(&out);
	return text;
}

/* Seen with PostgreSQL 15.14 and 18.4. */
START_TEST(settings)
{
	ck_assert_str_eq(says(""), "");
	ck_assert_str_eq(says(" \t\n "), "");
	ck_assert_str_eq(says("-c a=1"), "a=1;");
	ck_assert_str_eq(says("-ca=1 --b-c=2 -c\td="), "a=1;b_c=2;d=;");
	ck_assert_str_eq(says("-c a=x\\ y\\\\z\\"), "a=x y\\z;");
	ck_assert_str_eq(says("-c\\ a=1"), " a=1;");
	ck_assert_str_eq(says("-c a=b=c -c -x=y"), "a=b=c;_x=y;");
	ck_assert_str_eq(says("-c a"), "-c a requires a value");
	ck_assert_str_eq(says("-c a=1 --a-b"), "a=1;--a-b requires a value");
}
END_TEST

START_TEST(short_switches)
{
	ck_assert_str_eq(says("-B 5 -e -F"), "shared_buffers=5;datestyle=euro;fsync=false;");
	ck_assert_str_eq(says("-eFS8MB"), "datestyle=euro;fsync=false;work_mem=8MB;");
	ck_assert_str_eq(says("-d0"), "log_min_messages=notice;");
	ck_assert_str_eq(says("-d 5"),
			 "log_min_messages=debug5;log_statement=all;debug_print_parse=true;"
			 "debug_print_plan=true;debug_print_rewritten=true;");
	ck_assert_str_eq(says("-fs -f nest"), "enable_seqscan=false;enable_nestloop=false;");
	ck_assert_str_eq(says("-tpa -t pl -te"),
			 "log_parser_stats=true;log_planner_stats=true;log_executor_stats=true;");
	ck_assert_str_eq(says("-C x -D y -b -E -j -n -r z -T -v 3"), "");
	ck_assert_str_eq(says("-fx"), "!-fx");
	ck_assert_str_eq(says("-t p"), "!p");
	ck_assert_str_eq(says("-f"), "!-f");
	ck_assert_str_eq(says("-e -f"), "datestyle=euro;!-f");
}
END_TEST

START_TEST(what_is_no_switch)
{
	ck_assert_str_eq(says("x"), "!x");
	ck_assert_str_eq(says("x -c a=1 y"), "a=1;!x");
	ck_assert_str_eq(says("-c a=1 -- -c b=2"), "a=1;!-c");
	ck_assert_str_eq(says("-c a=1 --"), "a=1;");
	ck_assert_str_eq(says("- -e"), "datestyle=euro;!-");
	ck_assert_str_eq(says("-z"), "!-z");
	ck_assert_str_eq(says("-ez"), "datestyle=euro;!-ez");
	ck_assert_str_eq(says("-ze"), "!postgres");
	ck_assert_str_eq(says("-e -ze"), "datestyle=euro;!-e");
	ck_assert_str_eq(says("-: -;"), "!-:");
	ck_assert_str_eq(says("\\"), "!");
}
END_TEST

START_TEST(booleans)
{
	static const char *const on[] = {"on", "ON", "t", "Tru", "true", "y", "yes", "1"};
	static const char *const off[] = {"off", "of", "f", "FALSE", "n", "no", "0"};
	static const char *const neither[] = {"", "o", "onn", "trues", "2", "00", " on", "on "};

	for (size_t i = 0; i < sizeof on / sizeof *on; i++)
		ck_assert_msg(canonical_bool(on[i]) == 1, "%s", on[i]);
	for (size_t i = 0; i < sizeof off / sizeof *off; i++)
		ck_assert_msg(canonical_bool(off[i]) == 0, "%s", off[i]);
	for (size_t i = 0; i < sizeof neither / sizeof *neither; i++)
		ck_assert_msg(canonical_bool(neither[i]) == -1, "%s", neither[i]);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("switches");
	TCase *t = tcase_create("switches");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, settings);
	tcase_add_test(t, short_switches);
	tcase_add_test(t, what_is_no_switch);
	tcase_add_test(t, booleans);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
