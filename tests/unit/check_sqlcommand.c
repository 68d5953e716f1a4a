#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "wire/sqlcommand.h"
#include "wire/sqltext.h"

static const struct {
	const char *text, *name;
} texts[] = {
    {"SELECT 1", "SELECT"},
    {"select 1;", "SELECT"},
    {"SELECT", "SELECT"},
    {"SELECT(1)", "SELECT"},
    {"SELECT*FROM t", "SELECT"},
    {"  \n\tupdate t SET a = 1", "UPDATE"},
    {"/* from the shop */ DELETE FROM t -- all", "DELETE"},
    {"-- first\nINSERT INTO t VALUES (1)", "INSERT"},
    {"((SELECT 1) UNION (SELECT 2))", "SELECT"},
    {"BEGIN; SET LOCAL a = b; UPDATE t SET a = 1", "UPDATE"},
    {"SELECT 1;;; ", "SELECT"},
    {"SELECT ';'", "SELECT"},
    {"SELECT 1; COMMIT", "COMMIT"},
    {"ENTER LOCK 'x'", "ENTER"},
    {"security label on t is 'x'", "SECURITY"},
    {"SELEC 1", "other"},
    {"SELECTS 1", "other"},
    {"SELECT_1", "other"},
    {"SELECT1", "other"},
    {"select\xc3\xa4 1", "other"},
    {"\"select\" 1", "other"},
    {"'select'", "other"},
    {"1", "other"},
    {"", NULL},
    {" ; ; ", NULL},
    {"-- nothing", NULL},
};

START_TEST(each_text)
{
	const char *text = texts[_i].text;
	const char *name = sqlcommand_name(sqlcommand_of(text, strlen(text), 0));

	ck_assert_pstr_eq(name, texts[_i].name);
}
END_TEST

/* With standard_conforming_strings off, the backslash keeps the string open. */
START_TEST(flags_are_used)
{
	static const char text[] = "SELECT 'a\\'; DELETE FROM t; --'";

	ck_assert_int_eq(sqlcommand_of(text, sizeof text - 1, 0), SQLCOMMAND_DELETE);
	ck_assert_int_eq(sqlcommand_of(text, sizeof text - 1, SQLTEXT_BACKSLASH),
			 SQLCOMMAND_SELECT);
}
END_TEST

/* A text need not end in a NUL. */
START_TEST(no_byte_behind_is_read)
{
	char *text = malloc(6);

	memcpy(text, "UPDATE", 6);
	ck_assert_int_eq(sqlcommand_of(text, 6, 0), SQLCOMMAND_UPDATE);
	ck_assert_int_eq(sqlcommand_of(text, 5, 0), SQLCOMMAND_OTHER);
	free(text);
}
END_TEST

START_TEST(names)
{
	for (unsigned i = SQLCOMMAND_NONE + 1; i < SQLCOMMAND_N; i++)
		ck_assert_ptr_nonnull(sqlcommand_name((enum sqlcommand)i));
	ck_assert_ptr_null(sqlcommand_name(SQLCOMMAND_NONE));
	ck_assert_str_eq(sqlcommand_name(SQLCOMMAND_USE), "USE");
	ck_assert_str_eq(sqlcommand_name(SQLCOMMAND_OTHER), "other");
	ck_assert_str_eq(sqlcommand_name(SQLCOMMAND_FUNCTION), "function call");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sqlcommand");
	TCase *tc = tcase_create("sqlcommand");
	SRunner *r;
	int failed;

	tcase_add_loop_test(tc, each_text, 0, sizeof texts / sizeof *texts);
	tcase_add_test(tc, flags_are_used);
	tcase_add_test(tc, no_byte_behind_is_read);
	tcase_add_test(tc, names);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
