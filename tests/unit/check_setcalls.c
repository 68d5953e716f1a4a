/* The calls of set_config() in context.parameters_sql, whatever stands in the values. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session/setcalls.h"

#define CALL(name, value) "pg_catalog.set_config('" name "'," value ",false)"

/* clang-format off */
static const char sql[] =
    "SELECT " CALL("work_mem", "'1MB'") ", "
    CALL("app.x", "'a '',false), pg_catalog.set_config(''role'',''x'',false) b'") ", "
    CALL("search_path", "pg_catalog.convert_from(pg_catalog.decode('c3a4','hex'),'UTF8')") ", "
    CALL("role", "''");
/* clang-format on */

static void
is(const struct setcall *c, const char *text)
{
	ck_assert_uint_eq((size_t)(c->end - c->at), strlen(text));
	ck_assert_mem_eq(c->at, text, strlen(text));
}

START_TEST(one_after_the_other)
{
	const char *at = sql;
	struct setcall c;

	ck_assert(setcalls_next(&at, &c));
	is(&c, CALL("work_mem", "'1MB'"));
	ck_assert(setcalls_is(&c, "Work_Mem"));
	ck_assert(!setcalls_is(&c, "work_me"));
	ck_assert(!setcalls_is(&c, "work_memo"));
	ck_assert(setcalls_next(&at, &c));
	ck_assert(setcalls_is(&c, "app.x"));
	is(&c, CALL("app.x", "'a '',false), pg_catalog.set_config(''role'',''x'',false) b'"));
	ck_assert(setcalls_next(&at, &c));
	ck_assert(setcalls_is(&c, "search_path"));
	is(&c,
	   CALL("search_path", "pg_catalog.convert_from(pg_catalog.decode('c3a4','hex'),'UTF8')"));
	ck_assert(setcalls_next(&at, &c));
	is(&c, CALL("role", "''"));
	ck_assert(!setcalls_next(&at, &c));
	ck_assert(!setcalls_next(&at, &c));
}
END_TEST

START_TEST(empty_values)
{
	static const char *const values[] = {
	    "''", "'x'", "','''", "'x,'''", "''''", "',''''',false)'", "'x,'", "' '", "E'\\\\'"};

	for (unsigned i = 0; i < sizeof values / sizeof *values; i++) {
		char text[100];
		const char *at = text;
		struct setcall c;

		snprintf(text, sizeof text, "SELECT pg_catalog.set_config('app.x',%s,false)",
			 values[i]);
		ck_assert(setcalls_next(&at, &c));
		ck_assert_msg(setcalls_is_empty(&c) == (i == 0), "%s", text);
	}
}
END_TEST

START_TEST(some_parameters)
{
	static const char *const there[] = {"nothing", "ROLE"}, *const missing[] = {"x", "app", ""};

	ck_assert(setcalls_have(sql, there, 2));
	ck_assert(!setcalls_have(sql, there, 1));
	ck_assert(!setcalls_have(sql, missing, 3));
	/* in a value only */
	ck_assert(!setcalls_have("SELECT " CALL("app.x", "'set_config(''role'''"), there, 2));
}
END_TEST

START_TEST(no_statement)
{
	static const char *const names[] = {"role"};
	const char *at = NULL;
	struct setcall c;

	ck_assert(!setcalls_next(&at, &c));
	ck_assert(!setcalls_have(NULL, names, 1));
	ck_assert(!setcalls_have("", names, 1));
	/* cut off: the call ends with the text */
	at = "SELECT pg_catalog.set_config('role','x";
	ck_assert(setcalls_next(&at, &c));
	ck_assert_uint_eq(*c.end, 0);
	ck_assert(!setcalls_next(&at, &c));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("setcalls");
	TCase *t = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_test(t, one_after_the_other);
	tcase_add_test(t, empty_values);
	tcase_add_test(t, some_parameters);
	tcase_add_test(t, no_statement);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
