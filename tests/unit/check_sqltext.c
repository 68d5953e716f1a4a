#include <check.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wire/sqltext.h"

#define MB (1 << 20)

/* Each text and its statements, joined by '|'. The same with '\' as an escape, if other. */
static const struct {
	const char *text, *statements, *backslash;
} splits[] = {
    {"", "", NULL},
    {" \t\r\n\f\v", "", NULL},
    {";; ; ;", "", NULL},
    {"-- only a comment", "", NULL},
    {"/* only a comment", "", NULL},
    {"SELECT 1", "SELECT 1", NULL},
    {"SELECT 1;", "SELECT 1", NULL},
    {" SELECT 1 ; SELECT 2 ", "SELECT 1|SELECT 2", NULL},
    {"a;b;;c", "a|b|c", NULL},
    /* comments */
    {"/* a; */ a /* b */ ; -- c; d\n b -- e\r; c", "a|b|c", NULL},
    {"a /* x /* ; */ ; */ b; c", "a /* x /* ; */ ; */ b|c", NULL},
    {"a /*/ ; */ b; c", "a /*/ ; */ b|c", NULL},
    {"a /**/; b /***/; c", "a|b|c", NULL},
    {"a /* ;", "a", NULL},
    {"a -- ;", "a", NULL},
    {"a - - b; c", "a - - b|c", NULL},
    {"a+--;\nb", "a+--;\nb", NULL},
    {"a*/*;*/b", "a*/*;*/b", NULL},
    {"a / * ; b", "a / *|b", NULL},
    {"a -", "a -", NULL},
    {"a /", "a /", NULL},
    /* plain strings */
    {"a ';' b; c", "a ';' b|c", NULL},
    {"a 'x'';y'; c", "a 'x'';y'|c", NULL},
    {"'--';'/*';a", "'--'|'/*'|a", NULL},
    {"'a\\'; b; '", "'a\\'|b|'", "'a\\'; b; '"},
    {"'a\\\\'; b", "'a\\\\'|b", "'a\\\\'|b"},
    {"';", "';", NULL},
    {"'", "'", NULL},
    {"'''", "'''", NULL},
    {"'a' ';'", "'a' ';'", NULL},
    /* identifiers */
    {"\";\" a; b", "\";\" a|b", NULL},
    {"\"a\"\";\"; b", "\"a\"\";\"|b", NULL},
    {"\"a\\\"; b", "\"a\\\"|b", NULL},
    {"\"; b", "\"; b", NULL},
    {"u&\";\";b", "u&\";\"|b", NULL},
    {"U&\"\\\";b", "U&\"\\\"|b", NULL},
    {"U&\"a\" UESCAPE ';'; b", "U&\"a\" UESCAPE ';'|b", NULL},
    {"U&\"a\" UESCAPE ; b", "U&\"a\" UESCAPE|b", NULL},
    {"U&\"a\" UESCAPE '; b", "U&\"a\" UESCAPE '; b", NULL},
    /* strings with a prefix */
    {"E'\\';'; b", "E'\\';'|b", NULL},
    {"e'\\\\'; b", "e'\\\\'|b", NULL},
    {"e'a'';'; b", "e'a'';'|b", NULL},
    {"e'\\", "e'\\", NULL},
    {"e'", "e'", NULL},
    {"e", "e", NULL},
    {"e;b", "e|b", NULL},
    {"U&'\\'; b", "U&'\\'|b", "U&'\\'|b"},
    {"u&", "u&", NULL},
    {"u&;b", "u&|b", NULL},
    {"b'\\'; c", "b'\\'|c", "b'\\'|c"},
    {"X'\\'; c", "X'\\'|c", "X'\\'|c"},
    {"N'\\'; c; '", "N'\\'|c|'", "N'\\'; c; '"},
    {"name'\\'; c; '", "name'\\'|c|'", "name'\\'; c; '"},
    {"be'\\'; c; '", "be'\\'|c|'", "be'\\'; c; '"},
    {"1e'\\';'; c", "1e'\\';'|c", NULL},
    {"1.5e-3e'\\';'; c", "1.5e-3e'\\';'|c", NULL},
    {"1e5;'\\';", "1e5|'\\'", "1e5|'\\';"},
    /* an escape string goes on after a line end, and stays one */
    {"e'a'\n'\\';'; b", "e'a'\n'\\';'|b", NULL},
    {"e'a' -- ;\n\t-- '\r '\\';'; b", "e'a' -- ;\n\t-- '\r '\\';'|b", NULL},
    {"e'a' '\\'; b; '", "e'a' '\\'|b|'", "e'a' '\\'; b; '"},
    {"e'a'\n/* */'\\'; b; '", "e'a'\n/* */'\\'|b|'", "e'a'\n/* */'\\'; b; '"},
    {"e'a'\n;b", "e'a'|b", NULL},
    {"'a'\n'\\'; b", "'a'\n'\\'|b", "'a'\n'\\'; b"},
    /* dollars */
    {"$$;$$; b", "$$;$$|b", NULL},
    {"$a$;$$;$b$;$a$; b", "$a$;$$;$b$;$a$|b", NULL},
    {"$a$ $a $a$; b", "$a$ $a $a$|b", NULL},
    {"$a$ $x$a$; b", "$a$ $x$a$|b", NULL},
    {"$\xc3\xa4_1$;$\xc3\xa4_1$; b", "$\xc3\xa4_1$;$\xc3\xa4_1$|b", NULL},
    {"$A$;$a$; b", "$A$;$a$; b", NULL},
    {"$1;$2; $3$;$", "$1|$2|$3$|$", NULL},
    {"$1$$;$$;b", "$1$$;$$|b", NULL},
    {"$1a$;$1a$", "$1a$|$1a$", NULL},
    {"a$$;b$$", "a$$|b$$", NULL},
    {"a$b$;c", "a$b$|c", NULL},
    {"1$a$;$a$;c", "1$a$;$a$|c", NULL},
    {"$a b$;c", "$a b$|c", NULL},
    {"$$ ;", "$$ ;", NULL},
    {"$", "$", NULL},
    {"$;$", "$|$", NULL},
    /* parentheses */
    {"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT (2)); b",
     "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT (2))|b", NULL},
    {"a) ; b", "a)|b", NULL},
    {"a) (;); b", "a) (;)|b", NULL},
    {"a (; b", "a (; b", NULL},
    {"a '('; b", "a '('|b", NULL},
    {"a[;]", "a[|]", NULL},
    /* bodies of functions */
    {"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; b",
     "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END|b", NULL},
    {"create or replace procedure p() begin/**/atomic select case when a then case b when 1 then "
     "2 end end; end; b",
     "create or replace procedure p() begin/**/atomic select case when a then case b when 1 then "
     "2 end end; end|b",
     NULL},
    {"CREATE FUNCTION f() BEGIN ATOMIC SELECT (CASE WHEN a THEN b END); END; b",
     "CREATE FUNCTION f() BEGIN ATOMIC SELECT (CASE WHEN a THEN b END); END|b", NULL},
    {"CREATE FUNCTION f() BEGIN ATOMIC SELECT 1 AS case, t.end; SELECT 2 AS end; END; b",
     "CREATE FUNCTION f() BEGIN ATOMIC SELECT 1 AS case, t.end; SELECT 2 AS end; END|b", NULL},
    {"CREATE FUNCTION f() BEGIN ATOMIC a; b", "CREATE FUNCTION f() BEGIN ATOMIC a; b", NULL},
    {"CREATE FUNCTION begin() RETURNS int AS 'x'; b",
     "CREATE FUNCTION begin() RETURNS int AS 'x'|b", NULL},
    {"CREATE FUNCTION begin.atomic() AS 'x'; b", "CREATE FUNCTION begin.atomic() AS 'x'|b", NULL},
    {"CREATE FUNCTION f(begin atomic) AS 'x'; b", "CREATE FUNCTION f(begin atomic) AS 'x'|b", NULL},
    {"CREATE FUNCTION f() AS $$begin atomic;$$; b", "CREATE FUNCTION f() AS $$begin atomic;$$|b",
     NULL},
    {"BEGIN ATOMIC; b", "BEGIN ATOMIC|b", NULL},
    {"CREATE TABLE function (begin atomic); b; CREATE VIEW v AS SELECT begin atomic; c",
     "CREATE TABLE function (begin atomic)|b|CREATE VIEW v AS SELECT begin atomic|c", NULL},
    {"CREATE \"function\" begin atomic; b", "CREATE \"function\" begin atomic|b", NULL},
};

static void
check_split(const char *text, unsigned flags, const char *wanted)
{
	struct sqltext_stmt s;
	struct sqltext t;
	char got[1000] = "";
	char *p = got;

	sqltext_init(&t, text, strlen(text), flags);
	while (sqltext_next(&t, &s)) {
		ck_assert_uint_gt(s.length, 0);
		ck_assert(s.start >= text);
		ck_assert_uint_lt((size_t)(p - got) + s.length + 2, sizeof got);
		if (p > got)
			*p++ = '|';
		memcpy(p, s.start, s.length);
		p += s.length;
		*p = 0;
	}
	ck_assert_msg(strcmp(got, wanted) == 0, "text: %s\nflags %u wanted: %s\n   got: %s", text,
		      flags, wanted, got);
}

START_TEST(texts_are_split)
{
	const char *backslash = splits[_i].backslash;

	check_split(splits[_i].text, 0, splits[_i].statements);
	check_split(splits[_i].text, SQLTEXT_BACKSLASH,
		    backslash ? backslash : splits[_i].statements);
}
END_TEST

START_TEST(unterminated_is_told)
{
	static const char *const open[] = {"'",      "a 'b''",   "\"",  "e'\\'", "$$ $",
					   "$a$ $$", "/* /* */", "u&'", "x'",    "e'a'\n'"};
	static const char *const closed[] = {"",       "''",   "'a';",   "\"\"",
					     "e'\\''", "$$$$", "$a$$a$", "/* /**/ */",
					     "-- '",   "$",    "(",      "e'a'\n''"};
	struct sqltext_stmt s;
	struct sqltext t;

	for (unsigned i = 0; i < sizeof open / sizeof *open; i++) {
		sqltext_init(&t, open[i], strlen(open[i]), 0);
		while (sqltext_next(&t, &s))
			;
		ck_assert_msg(t.unterminated, "%s", open[i]);
	}
	for (unsigned i = 0; i < sizeof closed / sizeof *closed; i++) {
		sqltext_init(&t, closed[i], strlen(closed[i]), 0);
		while (sqltext_next(&t, &s))
			;
		ck_assert_msg(!t.unterminated, "%s", closed[i]);
	}
}
END_TEST

START_TEST(tokens_have_their_kinds)
{
	static const char text[] =
	    "Select a$1, $12 \"q\"\"\" U&\"q\"e'x' u&'x'b'1' $x$y$x$ 1.5E+3 1e "
	    "(;) .5;\xc3\xa4";
	static const struct {
		enum sqltext_kind kind;
		const char *text;
	} wanted[] = {
	    {SQLTEXT_NAME, "Select"},    {SQLTEXT_NAME, "a$1"},         {SQLTEXT_PUNCT, ","},
	    {SQLTEXT_NUMBER, "$12"},     {SQLTEXT_QUOTED, "\"q\"\"\""}, {SQLTEXT_QUOTED, "U&\"q\""},
	    {SQLTEXT_STRING, "e'x'"},    {SQLTEXT_STRING, "u&'x'"},     {SQLTEXT_STRING, "b'1'"},
	    {SQLTEXT_STRING, "$x$y$x$"}, {SQLTEXT_NUMBER, "1.5E+3"},    {SQLTEXT_NUMBER, "1"},
	    {SQLTEXT_NAME, "e"},         {SQLTEXT_PUNCT, "("},          {SQLTEXT_PUNCT, ";"},
	    {SQLTEXT_PUNCT, ")"},        {SQLTEXT_PUNCT, "."},          {SQLTEXT_NUMBER, "5"},
	    {SQLTEXT_SPLIT, ";"},        {SQLTEXT_NAME, "\xc3\xa4"},    {SQLTEXT_END, ""},
	    {SQLTEXT_END, ""},
	};
	struct sqltext_token tok;
	struct sqltext t;

	sqltext_init(&t, text, sizeof text - 1, 0);
	for (unsigned i = 0; i < sizeof wanted / sizeof *wanted; i++) {
		ck_assert_int_eq(sqltext_token(&t, &tok), wanted[i].kind);
		ck_assert_int_eq(tok.kind, wanted[i].kind);
		ck_assert_uint_eq(tok.length, strlen(wanted[i].text));
		ck_assert_mem_eq(tok.start, wanted[i].text, tok.length);
	}
}
END_TEST

START_TEST(every_word_is_found)
{
	for (enum sqltext_word w = SQLWORD_OTHER + 1; w < SQLWORD_N; w++) {
		const char *name = sqltext_word_name(w);
		char changed[40];
		size_t n = strlen(name);

		ck_assert_uint_lt(n, 64);
		ck_assert_msg(w == 1 || strcmp(sqltext_word_name(w - 1), name) < 0,
			      "%s stands in the wrong place", name);
		ck_assert_int_eq(sqltext_word(name, n), w);
		for (size_t i = 0; i < n; i++) {
			memcpy(changed, name, n + 1);
			if (name[i] != '_') {
				changed[i] = (char)(name[i] - 0x20);
				ck_assert_int_eq(sqltext_word(changed, n), w);
			}
			changed[i] = '\x7f';
			ck_assert_int_ne(sqltext_word(changed, n), w);
			changed[i] = name[i] ^ 0x40;
			ck_assert_int_ne(sqltext_word(changed, n), w);
		}
		ck_assert_int_ne(sqltext_word(name, n - 1), w);
	}
	ck_assert_int_eq(sqltext_word("", 0), SQLWORD_OTHER);
	ck_assert_int_eq(sqltext_word("select", 6), SQLWORD_OTHER);
	ck_assert_int_eq(sqltext_lone_word("Commit", 6), SQLWORD_COMMIT);
	ck_assert_int_eq(sqltext_lone_word("commit;", 7), SQLWORD_COMMIT);
	ck_assert_int_eq(sqltext_lone_word("commit ;", 8), SQLWORD_OTHER);
	ck_assert_int_eq(sqltext_lone_word("commit;;", 8), SQLWORD_OTHER);
	ck_assert_int_eq(sqltext_lone_word("commit work", 11), SQLWORD_OTHER);
	ck_assert_int_eq(sqltext_lone_word(";", 1), SQLWORD_OTHER);
	ck_assert_int_eq(sqltext_lone_word("", 0), SQLWORD_OTHER);
	ck_assert_int_eq(sqltext_word("\xe1ll", 3), SQLWORD_OTHER);
	ck_assert_int_eq(sqltext_word("setsetsetsetsetsetsetsetsetsetsetsetset", 39),
			 SQLWORD_OTHER);
	ck_assert_str_eq(sqltext_word_name(SQLWORD_OTHER), "");
}
END_TEST

START_TEST(first_words_are_kept)
{
	static const char text[] = "/**/ Begin; set/**/Local x to 1; \"set\"; prepare";
	struct sqltext_stmt s;
	struct sqltext t;

	sqltext_init(&t, text, sizeof text - 1, 0);
	ck_assert(sqltext_next(&t, &s));
	ck_assert_int_eq(s.first[0], SQLWORD_BEGIN);
	ck_assert_int_eq(s.first[1], SQLWORD_OTHER);
	ck_assert(sqltext_next(&t, &s));
	ck_assert_int_eq(s.first[0], SQLWORD_SET);
	ck_assert_int_eq(s.first[1], SQLWORD_LOCAL);
	ck_assert_int_eq(s.first[2], SQLWORD_OTHER);
	ck_assert_int_eq(s.first[3], SQLWORD_TO);
	ck_assert(sqltext_next(&t, &s));
	ck_assert_int_eq(s.first[0], SQLWORD_OTHER);
	ck_assert_int_eq(s.first[3], SQLWORD_OTHER);
	ck_assert(sqltext_next(&t, &s));
	ck_assert_int_eq(s.first[0], SQLWORD_PREPARE);
	ck_assert(!sqltext_next(&t, &s));
	ck_assert(!sqltext_next(&t, &s));

	ck_assert_int_eq(sqltext_first(" /* x */ -- y\n COMMIT", 21), SQLWORD_COMMIT);
	ck_assert_int_eq(sqltext_first("\"commit\"", 8), SQLWORD_OTHER);
	ck_assert_int_eq(sqltext_first("commits", 7), SQLWORD_OTHER);
	ck_assert_int_eq(sqltext_first("commits", 6), SQLWORD_COMMIT);
	ck_assert_int_eq(sqltext_first(";commit", 7), SQLWORD_OTHER);
	ck_assert_int_eq(sqltext_first(NULL, 0), SQLWORD_OTHER);
}
END_TEST

START_TEST(one_statement_is_seen_quickly)
{
	ck_assert(sqltext_single("SELECT 1", 8));
	ck_assert(sqltext_single("SELECT 1; \n", 11));
	ck_assert(sqltext_single("", 0));
	ck_assert(sqltext_single(NULL, 0));
	ck_assert(!sqltext_single("a;b", 3));
	ck_assert(sqltext_single("a;b", 2));
	ck_assert(!sqltext_single("a;;", 3));
}
END_TEST

START_TEST(nul_bytes_are_bytes)
{
	static const char text[] = "a\0b;'\0;'\0;c";
	struct sqltext_stmt s;
	struct sqltext t;

	sqltext_init(&t, text, sizeof text - 1, 0);
	ck_assert(sqltext_next(&t, &s));
	ck_assert_uint_eq(s.length, 3);
	ck_assert(sqltext_next(&t, &s));
	ck_assert_uint_eq(s.length, 5);
	ck_assert_mem_eq(s.start, "'\0;'\0", 5);
	ck_assert(sqltext_next(&t, &s));
	ck_assert_mem_eq(s.start, "c", 1);
	ck_assert(!sqltext_next(&t, &s));
}
END_TEST

/* Every start of a text, in memory of just its size: ASan and valgrind see a step past it. */
START_TEST(every_prefix_stays_inside)
{
	for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
		for (size_t n = 0; n <= strlen(splits[i].text); n++) {
			for (unsigned flags = 0; flags <= SQLTEXT_BACKSLASH; flags++) {
				char *text = malloc(n ? n : 1);
				struct sqltext_stmt s;
				struct sqltext t;
				const char *last = text;

				memcpy(text, splits[i].text, n);
				sqltext_init(&t, text, n, flags);
				while (sqltext_next(&t, &s)) {
					ck_assert(s.start >= last);
					last = s.start + s.length;
					ck_assert(last <= text + n);
				}
				free(text);
			}
		}
	}
}
END_TEST

static const char *const hostile[] = {
    "(",    ")",     "$",     "$a",  "$a$",   "$a$;",     "'",    "''",          "\"",
    "\"\"", "e'",    "e'\\'", "e''", "e''\n", "/*",       "/**/", "*/",          "-",
    "--",   "--\n",  ";",     "; ",  "a;",    "\\",       "u&",   "u&\"",        "begin ",
    "end ", "case ", "1e",    "1.",  "$1",    "e'' --\n", "\xff", "set_config(", "$a $b$",
};

static double
cpu_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double
walk(const char *text, size_t n, unsigned flags)
{
	double began = cpu_s();
	struct sqltext_stmt s;
	bool inside = true;
	struct sqltext t;

	sqltext_init(&t, text, n, flags);
	while (sqltext_next(&t, &s))
		inside = inside && s.start + s.length <= text + n;
	ck_assert(inside); /* not in the loop: check makes much of each assertion */
	return cpu_s() - began;
}

/* A megabyte takes a few ms, some hundred under valgrind. With the square of it, it would take
 * minutes. */
START_TEST(time_grows_with_the_text)
{
	static const char prefix[] = "CREATE FUNCTION f() BEGIN ATOMIC ";
	size_t unit = strlen(hostile[_i]), n = sizeof prefix - 1;
	char *text = malloc(MB + sizeof prefix);

	memcpy(text, prefix, n);
	for (; n + unit < MB; n += unit)
		memcpy(text + n, hostile[_i], unit);
	for (unsigned flags = 0; flags <= SQLTEXT_BACKSLASH; flags++) {
		ck_assert_double_lt(walk(text, n, flags), 10.0);
		ck_assert_double_lt(walk(text + sizeof prefix - 1, n - (sizeof prefix - 1), flags),
				    3.0);
	}
	free(text);
}
END_TEST

START_TEST(encodings_matter)
{
	static const struct {
		const char *encoding, *text, *statements;
	} texts[] = {
	    /* In SJIS, 0x95 0x5c is one character. */
	    {"SJIS", "E'\x95\\'; b", "E'\x95\\'|b"},
	    {"UTF8", "E'\x95\\'; b", "E'\x95\\'; b"},
	    {"LATIN1", "E'\x95\\'; b", "E'\x95\\'; b"},
	    {"Shift-JIS-2004", "E'\x95\\'; b", "E'\x95\\'|b"},
	    {"BIG5", "E'\xa5\\'; b", "E'\xa5\\'|b"},
	    {"gbk", "E'\x95\\'; b", "E'\x95\\'|b"},
	    {"windows-949", "E'\x95\\'; b", "E'\x95\\'|b"},
	    {"GB18030", "E'\x95\\'; E'\x81\x30\x81\x30'; b", "E'\x95\\'|E'\x81\x30\x81\x30'|b"},
	    /* Half-width katakana are one byte. */
	    {"SJIS", "E'\xb1\\'; b", "E'\xb1\\'; b"},
	    {"BIG5", "E'\xb1\\'; b", "E'\xb1\\'|b"},
	    {"SJIS", "$\x95\\$;$\x95\\$; b", "$\x95\\$;$\x95\\$|b"},
	    {"SJIS", "a\x95\\$x$; b", "a\x95\\$x$|b"},
	    {"SJIS", "E'\x95", "E'\x95"},
	};
	struct sqltext_stmt stmt;
	struct sqltext t;
	char got[100];

	for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
		size_t n = 0;

		sqltext_init(&t, texts[i].text, strlen(texts[i].text),
			     sqltext_encoding(texts[i].encoding));
		while (sqltext_next(&t, &stmt)) {
			if (n > 0)
				got[n++] = '|';
			memcpy(got + n, stmt.start, stmt.length);
			n += stmt.length;
		}
		got[n] = 0;
		ck_assert_msg(strcmp(got, texts[i].statements) == 0, "%s %s: %s", texts[i].encoding,
			      texts[i].text, got);
	}
}
END_TEST

START_TEST(characters_are_counted)
{
	static const struct {
		const char *encoding, *text;
		unsigned n;
	} texts[] = {
	    {"UTF8", "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 4},
	    {"LATIN1", "a\xe9\xa9", 3},
	    {"WIN1252", "\x80\x81", 2},
	    {"KOI8R", "\xc1\xc2", 2},
	    {"SQL_ASCII", "\xc3\xa9", 2},
	    {"EUC_JP",
	     "\xa4\xa2\x8e\xb1\x8f\xa2\xaf"
	     "a",
	     4},
	    {"EUC_KR",
	     "\xb0\xa1"
	     "a",
	     2},
	    {"SJIS",
	     "\x95\\\xb1"
	     "a",
	     3},
	    {"BIG5", "\xa5\\a", 2},
	    {"GB18030", "\x81\x30\x81\x30\x95\\a", 3},
	    {"UTF8", "", 0},
	};

	for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
		ck_assert_msg(sqltext_characters(texts[i].text, strlen(texts[i].text),
						 sqltext_encoding(texts[i].encoding)) == texts[i].n,
			      "%s %u", texts[i].encoding, i);
}
END_TEST

START_TEST(ambiguous_texts_are_known)
{
	static const char *const yes[] = {"'\\'", "$\xc3\xa9$", "\xc3\xa9 $1"};
	static const char *const no[] = {"", "SELECT 1", "\xc3\xa9", "$1 $$ $a$"};

	for (unsigned i = 0; i < sizeof yes / sizeof *yes; i++)
		ck_assert(sqltext_is_ambiguous(yes[i], strlen(yes[i])));
	for (unsigned i = 0; i < sizeof no / sizeof *no; i++)
		ck_assert(!sqltext_is_ambiguous(no[i], strlen(no[i])));
}
END_TEST

START_TEST(letters_digits_and_mentions)
{
	ck_assert_int_eq(sqltext_lower('A'), 'a');
	ck_assert_int_eq(sqltext_lower('Z'), 'z');
	ck_assert_int_eq(sqltext_lower('['), '[');
	ck_assert_int_eq(sqltext_lower('\xc4'), '\xc4');
	for (int c = 0; c < 256; c++) {
		const char *digits = "0123456789abcdef";
		const char *at = c ? strchr(digits, tolower(c)) : NULL;

		ck_assert_uint_eq(sqltext_digit((char)c), at ? (unsigned)(at - digits) : 99);
	}
	ck_assert(sqltext_mentions("SELECT SetSeed(1)", 17, "setseed"));
	ck_assert(sqltext_mentions("setseed", 7, "setseed"));
	ck_assert(!sqltext_mentions("setseed", 6, "setseed"));
	ck_assert(!sqltext_mentions("set_seed", 8, "setseed"));
	ck_assert(!sqltext_mentions("", 0, "setseed"));
	ck_assert(sqltext_mentions("U&'x'", 5, "u&'"));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sqltext");
	TCase *t = tcase_create("sqltext");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, texts_are_split, 0, sizeof splits / sizeof *splits);
	tcase_add_test(t, unterminated_is_told);
	tcase_add_test(t, tokens_have_their_kinds);
	tcase_add_test(t, every_word_is_found);
	tcase_add_test(t, first_words_are_kept);
	tcase_add_test(t, one_statement_is_seen_quickly);
	tcase_add_test(t, nul_bytes_are_bytes);
	tcase_add_test(t, encodings_matter);
	tcase_add_test(t, characters_are_counted);
	tcase_add_test(t, ambiguous_texts_are_known);
	tcase_add_test(t, every_prefix_stays_inside);
	tcase_add_test(t, letters_digits_and_mentions);
	tcase_add_loop_test(t, time_grows_with_the_text, 0, sizeof hostile / sizeof *hostile);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
