/* sqlmention: which texts have to do with sequences, the seed, temp_buffers; at every place of a
 * text. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/sqlmention.h"

static const struct {
	const char *text;
	unsigned found;
} texts[] = {
    {"", 0},
    {"SELECT 1", 0},
    {"SELECT lastval()", SQLMENTION_SEQUENCE},
    {"SELECT LastVal ( )", SQLMENTION_SEQUENCE},
    {"SELECT pg_catalog . \"lastval\"()", SQLMENTION_SEQUENCE},
    {"select CURRVAL('a')", SQLMENTION_SEQUENCE},
    {"DO $$BEGIN PERFORM nextval('a'); END$$", SQLMENTION_SEQUENCE},
    {"EXECUTE 'SELECT setval(''a'', 1)'", SQLMENTION_SEQUENCE},
    {"SELECT U&\"l\\0061stval\"()", SQLMENTION_SEQUENCE},
    {"SELECT u&'x'", SQLMENTION_SEQUENCE},
    {"SELECT interval '1 day', 'retrieval', current_value", 0},
    {"SET temp_buffers = '1MB'", SQLMENTION_TEMP_BUFFERS},
    {"SELECT set_config('TEMP_BUFFERS', '200', false)", SQLMENTION_TEMP_BUFFERS},
    {"SELECT temp_buffer", 0},
    {"SELECT setseed(0.5)", SQLMENTION_SEED},
    {"SELECT \"setseed\"(0.5)", SQLMENTION_SEED},
    {"SET SEED TO 0.5", SQLMENTION_SEED},
    {"SET /* x */ SESSION seed = 1", SQLMENTION_SEED},
    {"SELECT 1; set local \"seed\" = 0.1", SQLMENTION_SEED},
    {"SELECT set_config('seed', '0.5', true)", SQLMENTION_SEED},
    {"SELECT U&\"set\\0073eed\"(0.5)", SQLMENTION_SEED | SQLMENTION_SEQUENCE},
    {"SET U&\"see!0064\" UESCAPE '!' = 0.5", SQLMENTION_SEED | SQLMENTION_SEQUENCE},
    {"SELECT set_config(U&'\\0073eed', '0.5', false)", SQLMENTION_SEED | SQLMENTION_SEQUENCE},
    {"UPDATE plants SET seed = 5", 0},
    {"SELECT seed FROM seeds WHERE seeded", 0},
    {"SET seeds.x = 1", 0},
    {"SELECT setseed(0), lastval()", SQLMENTION_SEED | SQLMENTION_SEQUENCE},
};

START_TEST(words_are_found_in_quotes_strings_and_any_case)
{
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		ck_assert_msg(sqlmention(texts[i].text, strlen(texts[i].text)) == texts[i].found,
			      "%s", texts[i].text);
}
END_TEST

START_TEST(words_are_found_at_every_place)
{
	static const char *const words[] = {"lastval", "currval", "nextval", "setval", "u&'"};
	char text[128];

	for (size_t w = 0; w < sizeof words / sizeof *words; w++)
		for (size_t at = 0; at + strlen(words[w]) <= 90; at++) {
			memset(text, ' ', sizeof text);
			memcpy(text + at, words[w], strlen(words[w]));
			for (size_t end = at + strlen(words[w]); end < 92; end++)
				ck_assert_uint_eq(sqlmention(text, end), SQLMENTION_SEQUENCE);
			ck_assert_uint_eq(sqlmention(text, at + strlen(words[w]) - 1), 0);
		}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sqlmention");
	TCase *t = tcase_create("sqlmention");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, words_are_found_in_quotes_strings_and_any_case);
	tcase_add_test(t, words_are_found_at_every_place);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
