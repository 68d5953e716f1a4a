#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "wire/sqlname.h"

/* A text whose first token is read, and what that says; NULL: it is not certain. */
static const struct {
	const char *text, *says;
	unsigned flags;
} cases[] = {
    {"Name", "name", 0},
    {"a$1_", "a$1_", 0},
    {"\"Name\"", "Name", 0},
    {"\"a.b\"", "a.b", 0},
    {"\"a\"\"b\"", "a\"b", 0},
    {"\"a", NULL, 0},
    {"\"\"", NULL, 0},
    {"U&\"set\\005fconfig\"", "set_config", 0},
    {"u&\"\\+00005f\"", "_", 0},
    {"U&\"a\\\\b\"", "a\\b", 0},
    {"U&\"a!005fb\" UESCAPE '!'", "a_b", 0},
    {"U&\"a!005fb\"/**/uescape -- x\n '!'", "a_b", 0},
    {"U&\"a!005fb\" UESCAPE E'\\041'", "a_b", 0},
    {"U&\"a!005fb\" UESCAPE $x$!$x$", "a_b", 0},
    {"U&\"a\\005fb\" UESCAPE '!'", "a\\005fb", 0},
    {"U&\"a!!b\" UESCAPE '!'", "a!b", 0},
    {"U&\"a!005fb\" UESCAPES", "a!005fb", 0},
    {"U&\"a\" UESCAPE 'ab'", NULL, 0},
    {"U&\"a\" UESCAPE '+'", NULL, 0},
    {"U&\"a\" UESCAPE 'f'", NULL, 0},
    {"U&\"\\00e9\"", NULL, 0},
    {"U&\"\\00\"", NULL, 0},
    {"U&\"\\zzzz\"", NULL, 0},
    {"U&\"\\0000\"", NULL, 0},
    {"U&\"a", NULL, 0},
    {"'it''s'", "it's", 0},
    {"''", "", 0},
    {"'a\\b'", "a\\b", 0},
    {"'a\\142'", "ab", SQLTEXT_BACKSLASH},
    {"'a\\''", "a'", SQLTEXT_BACKSLASH},
    {"E'\\x41\\u0042\\U00000043\\104\\n\\E'", "ABCD\nE", 0},
    {"E'\\xe9'", NULL, 0},
    {"E'\\0'", NULL, 0},
    {"E'a'\n'b'", NULL, 0},
    {"U&'\\0061.b'", "a.b", 0},
    {"$$a'b$$", "a'b", 0},
    {"$x$a$$b$x$", "a$$b", 0},
    {"$x$a", NULL, 0},
    {"B'01'", NULL, 0},
    {"'a", NULL, 0},
    {"12", NULL, 0},
    {"(", NULL, 0},
    {"\xc3\x89T\xc3\xa9", "\xc3\x89t\xc3\xa9", 0},
    /* The second byte of a character is no backslash, and no letter. */
    {"'\x95\\'", "\x95\\", SQLTEXT_BACKSLASH | SQLTEXT_SJIS},
    {"E'\x95\\x'", "\x95\\x", SQLTEXT_DOUBLE},
    {"E'\x95\\\\n'", "\x95\\\n", SQLTEXT_GB18030},
    {"E'\xb1\\n'", "\xb1\n", SQLTEXT_SJIS},
    {"\x83\x41"
     "A",
     "\x83\x41"
     "a",
     SQLTEXT_SJIS},
    {"\x83\x41"
     "A",
     "\x83"
     "aa",
     SQLTEXT_BYTES},
};

static long
read_first(const char *text, unsigned flags, char *out, size_t size)
{
	struct sqltext_token tok;
	struct sqltext t;

	sqltext_init(&t, text, strlen(text), flags);
	sqltext_token(&t, &tok);
	return sqlname_read(&tok, flags, out, size);
}

START_TEST(tokens_say)
{
	char out[256];
	long n = read_first(cases[_i].text, cases[_i].flags, out, sizeof out);

	if (cases[_i].says == NULL) {
		ck_assert_msg(n == -1, "%s: %s", cases[_i].text, out);
		return;
	}
	ck_assert_msg(n == (long)strlen(cases[_i].says), "%s: %ld", cases[_i].text, n);
	ck_assert_str_eq(out, cases[_i].says);
}
END_TEST

START_TEST(names_are_cut_and_strings_must_fit)
{
	char name[300], out[SQLNAME_SIZE];

	memset(name, 'a', sizeof name);
	name[sizeof name - 1] = 0;
	ck_assert_int_eq(read_first(name, 0, out, sizeof out), SQLNAME_SIZE - 1);
	/* Not within a character. */
	memcpy(name + 62, "\xc3\xa9", 2);
	ck_assert_int_eq(read_first(name, 0, out, sizeof out), 62);
	ck_assert_int_eq(read_first(name, SQLTEXT_DOUBLE, out, sizeof out), -1);
	ck_assert_int_eq(read_first(name, 0, out, 20), -1);
	ck_assert_int_eq(read_first("'abc'", 0, out, 4), 3);
	ck_assert_int_eq(read_first("'abcd'", 0, out, 4), -1);
	ck_assert_int_eq(read_first("'a'", 0, out, 0), -1);
}
END_TEST

/* In memory of just their size, so that ASan and valgrind see a step past the end. */
START_TEST(every_prefix_stays_inside)
{
	static const unsigned flags[] = {0, SQLTEXT_BACKSLASH, SQLTEXT_SJIS, SQLTEXT_GB18030};
	struct sqltext_token tok;
	struct sqltext t;
	char out[16];

	for (unsigned c = 0; c < sizeof cases / sizeof *cases; c++) {
		for (size_t n = 0; n <= strlen(cases[c].text); n++) {
			for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
				char *text = malloc(n ? n : 1);

				memcpy(text, cases[c].text, n);
				sqltext_init(&t, text, n, flags[i]);
				while (sqltext_token(&t, &tok) != SQLTEXT_END) {
					long r = sqlname_read(&tok, flags[i], out, sizeof out);

					ck_assert_int_lt(r, (long)sizeof out);
					sqlname_word(&tok, flags[i]);
				}
				free(text);
			}
		}
	}
}
END_TEST

START_TEST(words_in_quotes_are_names_of_the_catalog)
{
	static const struct {
		const char *text;
		enum sqltext_word word;
	} words[] = {
	    {"set_config", SQLWORD_SET_CONFIG},
	    {"\"set_config\"", SQLWORD_SET_CONFIG},
	    {"U&\"\\0073et_config\"", SQLWORD_SET_CONFIG},
	    {"set", SQLWORD_SET},
	    {"\"set\"", SQLWORD_OTHER},
	    {"U&\"set\"", SQLWORD_OTHER},
	    {"'set_config'", SQLWORD_OTHER},
	};
	struct sqltext_token tok;
	struct sqltext t;

	for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
		sqltext_init(&t, words[i].text, strlen(words[i].text), 0);
		sqltext_token(&t, &tok);
		ck_assert_msg(sqlname_word(&tok, 0) == words[i].word, "%s", words[i].text);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sqlname");
	TCase *t = tcase_create("sqlname");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_loop_test(t, tokens_say, 0, sizeof cases / sizeof *cases);
	tcase_add_test(t, names_are_cut_and_strings_must_fit);
	tcase_add_test(t, every_prefix_stays_inside);
	tcase_add_test(t, words_in_quotes_are_names_of_the_catalog);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
