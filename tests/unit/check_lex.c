#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "fixture/lex.h"

/* The tokens with a bar between them, each as it stands in the text. */
static const char *
tokens_of(const char *sql)
{
	static char out[1000];
	struct lex l;
	const char *why;

	out[0] = 0;
	ck_assert_int_eq(lex_run(&l, sql, &why), 0);
	for (size_t i = 0; i < l.count; i++)
		snprintf(out + strlen(out), sizeof out - strlen(out), "%s%.*s", i ? "|" : "",
			 (int)l.tokens[i].bytes, l.tokens[i].at);
	ck_assert_int_eq(l.tokens[l.count].kind, LEX_END);
	lex_clear(&l);
	return out;
}

START_TEST(texts_become_tokens)
{
	static const char *const cases[][2] = {
	    {"", ""},
	    {" -- only a comment", ""},
	    {"select 1", "select|1"},
	    {"a/* b /* c */ d */e", "a|e"},
	    {"'it''s' \"a\"\"b\"", "'it''s'|\"a\"\"b\""},
	    {"E'\\'' e'a''b'", "E'\\''|e'a''b'"},
	    {"$$a;b$$ $x$ $$ $x$", "$$a;b$$|$x$ $$ $x$"},
	    {"$1::int $12", "$1|::|int|$12"},
	    {"1.5 .5 1e10 1e+5 1.", "1.5|.5|1e10|1e+5|1."},
	    {"1..2", "1|.|.2"},
	    {"a.b<=c", "a|.|b|<|=|c"},
	    {"x'ab' b'01' xx", "x'ab'|b'01'|xx"},
	    {"a$b \xc3\xa4", "a$b|\xc3\xa4"},
	    {"1-- x\n-1", "1|-|1"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		ck_assert_str_eq(tokens_of(cases[i][0]), cases[i][1]);
}
END_TEST

START_TEST(what_does_not_end_is_an_error)
{
	static const char *const cases[] = {"'",
					    "'a''",
					    "\"",
					    "E'\\'",
					    "$$ $",
					    "$a$ $b$",
					    "/* /* */",
					    "x'",
					    "$0",
					    "$65536",
					    "$99999999999999999999"};
	struct lex l;
	const char *why;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		why = NULL;
		ck_assert_int_eq(lex_run(&l, cases[i], &why), -E_SYNTAX);
		ck_assert_ptr_nonnull(why);
		lex_clear(&l);
	}
}
END_TEST

START_TEST(there_is_a_limit)
{
	size_t n = LEX_MAX_TOKENS + 1;
	char *many = malloc(n + 1);
	struct lex l;
	const char *why;

	memset(many, '(', n);
	many[n] = 0;
	ck_assert_int_eq(lex_run(&l, many, &why), -E_TOOBIG);
	lex_clear(&l);
	many[n - 1] = 0;
	ck_assert_int_eq(lex_run(&l, many, &why), 0);
	lex_clear(&l);
	free(many);
}
END_TEST

START_TEST(statements_are_taken_apart)
{
	static const char *const cases[][2] = {
	    {"", ""},
	    {"a", "[a]"},
	    {"a;", "[a]"},
	    {";a;;b c", "[][a][][b c]"},
	    {"'a;b';c", "['a;b'][c]"},
	    {"create trigger t begin insert x; delete y; end; z",
	     "[create trigger t begin insert x; delete y; end][z]"},
	    {"create temp trigger t begin a; end", "[create temp trigger t begin a; end]"},
	    {"create table trigger; end; b", "[create table trigger][end][b]"},
	    {"create", "[create]"},
	};
	char out[200];
	const char *why;
	struct lex l;
	struct span s;
	size_t at;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		ck_assert_int_eq(lex_run(&l, cases[i][0], &why), 0);
		out[0] = 0;
		for (at = 0; lex_statement(&l, &at, &s);) {
			char *text = span_text(&s);

			snprintf(out + strlen(out), sizeof out - strlen(out), "[%s]", text);
			free(text);
		}
		ck_assert_str_eq(out, cases[i][1]);
		lex_clear(&l);
	}
}
END_TEST

START_TEST(parentheses_find_their_partners)
{
	struct lex l;
	const char *why;
	struct span s, part;

	ck_assert_int_eq(lex_run(&l, "a ( b ( c ) d ) ) ( e", &why), 0);
	s = (struct span){.tokens = l.tokens, .count = l.count};
	ck_assert_uint_eq(span_close(&s, 1), 8);
	ck_assert_uint_eq(span_close(&s, 3), 6);
	ck_assert_uint_eq(span_close(&s, 0), 0);
	ck_assert_uint_eq(span_close(&s, 9), l.count);
	ck_assert_uint_eq(span_close(&s, 99), 99);
	ck_assert_uint_eq(span_open(&s, 7), 1);
	ck_assert_uint_eq(span_open(&s, 8), 0);
	/* A part that ends before the partner, and one that begins after it. */
	part = span_part(&s, 1, 5);
	ck_assert_uint_eq(span_close(&part, 0), 4);
	part = span_part(&s, 2, 8);
	ck_assert_uint_eq(span_open(&part, 5), 0);
	lex_clear(&l);
}
END_TEST

START_TEST(strings_mean_what_they_say)
{
	static const char *const cases[][2] = {
	    {"'it''s'", "it's"},
	    {"''", ""},
	    {"$$a$b$$", "a$b"},
	    {"$q$$$q$", "$"},
	    {"E'a\\n\\t\\\\\\'b'''", "a\n\t\\'b'"},
	    {"E'\\x41\\101\\u00e4\\U0001F600'", "AA\xc3\xa4\xf0\x9f\x98\x80"},
	    {"E'\\q'", "q"},
	    {"E'\\0'", NULL},
	    {"E'\\x00'", NULL},
	    {"E'\\u12'", NULL},
	    {"E'\\U00110000'", NULL},
	};
	struct lex l;
	const char *why;
	char *got;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		ck_assert_int_eq(lex_run(&l, cases[i][0], &why), 0);
		ck_assert_uint_eq(l.count, 1);
		got = token_string(&l.tokens[0]);
		ck_assert_pstr_eq(got, cases[i][1]);
		free(got);
		lex_clear(&l);
	}
}
END_TEST

START_TEST(names_are_folded_unless_quoted)
{
	struct lex l;
	const char *why;
	char *name;

	ck_assert_int_eq(lex_run(&l, "FooBar \"Foo\"\"Bar\" 'x'", &why), 0);
	name = token_name(&l.tokens[0]);
	ck_assert_str_eq(name, "foobar");
	free(name);
	name = token_name(&l.tokens[1]);
	ck_assert_str_eq(name, "Foo\"Bar");
	free(name);
	ck_assert_ptr_null(token_name(&l.tokens[2]));
	ck_assert(token_is(&l.tokens[0], "foobar"));
	ck_assert(!token_is(&l.tokens[1], "Foo\"Bar"));
	ck_assert(!token_is(&l.tokens[0], "foo"));
	lex_clear(&l);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("lex");
	TCase *t = tcase_create("lex");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, texts_become_tokens);
	tcase_add_test(t, what_does_not_end_is_an_error);
	tcase_add_test(t, there_is_a_limit);
	tcase_add_test(t, statements_are_taken_apart);
	tcase_add_test(t, parentheses_find_their_partners);
	tcase_add_test(t, strings_mean_what_they_say);
	tcase_add_test(t, names_are_folded_unless_quoted);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
