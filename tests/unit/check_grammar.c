#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../fuzz/render.h"
#include "base/err.h"
#include "base/mem.h"
#include "scope/grammar.h"

static uint32_t seed; /* CHECK_SEED, or the time */

static char *
rendered(const struct grammar *g, bool bound)
{
	struct buf b;
	char *text;

	buf_init(&b, 1 << 24);
	render(&b, g, bound);
	ck_assert(!b.failed);
	text = mem_strdup((const char *)buf_data(&b));
	buf_clear(&b);
	return text;
}

/* In memory of just its size, so that ASan and valgrind see a step past the end. */
static int
parse(const char *text, size_t n, unsigned flags, struct grammar **g, struct grammar_error *e)
{
	char *exact = malloc(n ? n : 1);
	int rc;

	memcpy(exact, text, n);
	rc = grammar_parse(exact, n, flags, g, e);
	free(exact);
	return rc;
}

static struct grammar *
good(const char *text)
{
	struct grammar_error e = {0};
	struct grammar *g;
	int rc = parse(text, strlen(text), 0, &g, &e);

	ck_assert_msg(rc == 0, "%s: %s", text, e.expected);
	return g;
}

/* The text does not parse, and that is why. */
static void
bad(const char *text, size_t n, int wanted, size_t at, const char *expected)
{
	struct grammar_error e = {0};
	struct grammar *g;
	int rc = parse(text, n, 0, &g, &e);

	ck_assert_msg(rc == wanted, "%s: wanted %d, got %d", text, wanted, rc);
	ck_assert_ptr_null(g);
	ck_assert_msg(e.at == at, "%s: wanted at %zu, got %zu: %s", text, at, e.at, e.expected);
	ck_assert_msg(strcmp(e.expected, expected) == 0, "%s\nwanted: %s\n   got: %s", text,
		      expected, e.expected);
	free(e.expected);
}

/* ---- statements and what they are written out as (render.h) ---- */

static const struct {
	const char *text, *same;
} statements[] = {
    {"ENTER", "ENTER"},
    {"enter;", "ENTER"},
    {" \t\r\n\f -- c\n /* d /* e */ ; */ EnTeR /* f */ ; -- g", "ENTER"},
    /* items */
    {"ENTER a", "ENTER \"a\""},
    {"ENTER A_b$1", "ENTER \"a_b$1\""},
    {"ENTER \xc3\x84", "ENTER \"\xc3\x84\""},
    {"ENTER \"A b\"\"c\"", "ENTER \"A b\"\"c\""},
    {"ENTER\"a\"ON\"b\"", "ENTER \"a\" ON \"b\""},
    {"ENTER a, b ,c", "ENTER \"a\", \"b\", \"c\""},
    {"ENTER a ON orders, b ON billing;", "ENTER \"a\" ON \"orders\", \"b\" ON \"billing\""},
    {"ENTER a ON Orders, b ON \"Orders\"", "ENTER \"a\" ON \"orders\", \"b\" ON \"Orders\""},
    {"ENTER LOCK 'nightly'", "ENTER LOCK 'nightly'"},
    {"enter lock 'Nightly' shared", "ENTER LOCK 'Nightly' SHARED"},
    {"ENTER LOCK 'x' ON p", "ENTER LOCK 'x' ON \"p\""},
    {"ENTER LOCK'x'AS n", "ENTER LOCK 'x' AS \"n\""},
    {"ENTER LOCK 42", "ENTER LOCK '42'"},
    {"ENTER LOCK $1 WAIT $2", "ENTER LOCK $1 WAIT $2"},
    {"ENTER LOCK ''", "ENTER LOCK ''"},
    {"ENTER SEMAPHORE 'export' LIMIT 4", "ENTER SEMAPHORE 'export' LIMIT '4'"},
    {"ENTER SEMAPHORE $1 AS s DEADLINE 1 WAIT 2 SUPPRESS LIMIT $2",
     "ENTER SEMAPHORE $1 AS \"s\" SUPPRESS LIMIT $2 WAIT '2' DEADLINE '1'"},
    {"ENTER a, LOCK 'x', SEMAPHORE 'y' LIMIT 1, b ON c",
     "ENTER \"a\", LOCK 'x', SEMAPHORE 'y' LIMIT '1', \"b\" ON \"c\""},
    /* words that are names */
    {"ENTER \"lock\", \"LOCK\", \"semaphore\"", "ENTER \"lock\", \"LOCK\", \"semaphore\""},
    {"ENTER new ON lock", "ENTER \"new\" ON \"lock\""},
    {"ENTER on ON on AS as", "ENTER \"on\" AS \"as\" ON \"on\""},
    {"ENTER read, shared, wait", "ENTER \"read\", \"shared\", \"wait\""},
    {"ENTER locks, enter", "ENTER \"locks\", \"enter\""},
    {"ENTER e ON u", "ENTER \"e\" ON \"u\""},
    /* defined scopes */
    {"ENTER tenant AS t ('42')", "ENTER \"tenant\" AS \"t\" ('42')"},
    {"ENTER tenant('42')AS t", "ENTER \"tenant\" AS \"t\" ('42')"},
    {"ENTER tenant()", "ENTER \"tenant\" ()"},
    {"ENTER tenant AS t", "ENTER \"tenant\" AS \"t\""},
    {"ENTER tenant ON p AS t", "ENTER \"tenant\" AS \"t\" ON \"p\""},
    {"ENTER tenant AS t () ON p WAIT 1 DEADLINE 2 SUPPRESS",
     "ENTER \"tenant\" AS \"t\" ON \"p\" SUPPRESS WAIT '1' DEADLINE '2'"},
    {"ENTER a (1, 1.5, 1e3, -2, - 2.5, 'x', E'\\n', $$y$$, $3)",
     "ENTER \"a\" ('1', '1.5', '1e3', '-2', '-2.5', 'x', '\n', 'y', $3)"},
    {"ENTER a (TRUE, false, NULL, 'NULL')", "ENTER \"a\" ('true', 'false', NULL, 'NULL')"},
    /* clauses, in any order */
    {"ENTER a NEW", "ENTER \"a\" NEW"},
    {"ENTER a JOINABLE", "ENTER \"a\" JOINABLE"},
    {"ENTER joinable joinable on p", "ENTER \"joinable\" ON \"p\" JOINABLE"},
    {"ENTER t AS x JOINABLE WAIT 1", "ENTER \"t\" AS \"x\" JOINABLE WAIT '1'"},
    {"ENTER a WAIT '2s' DEADLINE '30s'", "ENTER \"a\" WAIT '2s' DEADLINE '30s'"},
    {"ENTER a DEADLINE 500 WAIT '0'", "ENTER \"a\" WAIT '0' DEADLINE '500'"},
    {"ENTER a READ ONLY", "ENTER \"a\" READ ONLY"},
    {"ENTER a read write", "ENTER \"a\" READ WRITE"},
    {"ENTER a ISOLATION LEVEL SERIALIZABLE", "ENTER \"a\" ISOLATION LEVEL SERIALIZABLE"},
    {"ENTER a ISOLATION LEVEL REPEATABLE READ", "ENTER \"a\" ISOLATION LEVEL REPEATABLE READ"},
    {"ENTER a isolation level read committed", "ENTER \"a\" ISOLATION LEVEL READ COMMITTED"},
    {"ENTER a ISOLATION LEVEL READ UNCOMMITTED", "ENTER \"a\" ISOLATION LEVEL READ UNCOMMITTED"},
    {"ENTER a ISOLATION LEVEL REPEATABLE READ READ ONLY",
     "ENTER \"a\" READ ONLY ISOLATION LEVEL REPEATABLE READ"},
    {"ENTER a SUPPRESS ISOLATION LEVEL READ COMMITTED DEADLINE $1 READ WRITE WAIT $2 NEW ON p",
     "ENTER \"a\" ON \"p\" NEW READ WRITE ISOLATION LEVEL READ COMMITTED SUPPRESS WAIT $2 "
     "DEADLINE $1"},
    {"ENTER a WAIT '1s', b WAIT '2s'", "ENTER \"a\" WAIT '1s', \"b\" WAIT '2s'"},
    /* the others */
    {"JOIN 'token'", "JOIN 'token'"},
    {"join $1;", "JOIN $1"},
    {"USE a", "USE 'a'"},
    {"use \"A\";", "USE 'A'"},
    {"USE 'Nightly run'", "USE 'Nightly run'"},
    {"USE all", "USE 'all'"},
    {"USE E'a\\'b'", "USE 'a''b'"},
    {"DEFER 'SELECT 1; SELECT 2'", "DEFER 'SELECT 1; SELECT 2'"},
    {"DEFER $$it's$$;", "DEFER 'it''s'"},
    {"DEFER ON COMMIT 'x'", "DEFER ON COMMIT 'x'"},
    {"defer on rollback $1", "DEFER ON ROLLBACK $1"},
    {"EXIT", "EXIT"},
    {"EXIT a", "EXIT 'a'"},
    {"EXIT a ROLLBACK;", "EXIT 'a' ROLLBACK"},
    {"EXIT 'nightly' rollback", "EXIT 'nightly' ROLLBACK"},
    {"EXIT ROLLBACK", "EXIT ROLLBACK"},
    {"EXIT ALL", "EXIT ALL"},
    {"exit all rollback", "EXIT ALL ROLLBACK"},
    {"EXIT \"all\"", "EXIT 'all'"},
    {"EXIT \"rollback\" ROLLBACK", "EXIT 'rollback' ROLLBACK"},
    {"LEAVE", "LEAVE"},
    {"LEAVE a", "LEAVE 'a'"},
    {"LEAVE a ROLLBACK;", "LEAVE 'a' ROLLBACK"},
    {"LEAVE 'nightly' rollback", "LEAVE 'nightly' ROLLBACK"},
    {"LEAVE ROLLBACK", "LEAVE ROLLBACK"},
    {"LEAVE ALL", "LEAVE ALL"},
    {"leave all rollback", "LEAVE ALL ROLLBACK"},
    {"LEAVE \"all\"", "LEAVE 'all'"},
    {"LEAVE \"rollback\" ROLLBACK", "LEAVE 'rollback' ROLLBACK"},
    {"SHOW SCOPES", "SHOW SCOPES"},
    {"show/**/scopes;", "SHOW SCOPES"},
};

START_TEST(statements_are_read)
{
	struct grammar *g = good(statements[_i].text), *copy;
	char *got = rendered(g, false);

	ck_assert_msg(strcmp(got, statements[_i].same) == 0, "%s\nwanted: %s\n   got: %s",
		      statements[_i].text, statements[_i].same, got);
	free(got);
	copy = grammar_copy(g);
	grammar_free(g);
	got = rendered(copy, false);
	ck_assert_str_eq(got, statements[_i].same);
	free(got);
	grammar_free(copy);
	/* What is written out is read the same. */
	g = good(statements[_i].same);
	got = rendered(g, false);
	ck_assert_str_eq(got, statements[_i].same);
	free(got);
	grammar_free(g);
}
END_TEST

START_TEST(kinds_and_fields)
{
	struct grammar *g =
	    good("ENTER a, b AS c, d(), LOCK 'e' SHARED, SEMAPHORE 'f' LIMIT $7, g NEW SUPPRESS");

	ck_assert_int_eq(g->verb, GRAMMAR_ENTER);
	ck_assert_uint_eq(g->nitems, 6);
	ck_assert_uint_eq(g->nparams, 7);
	ck_assert_int_eq(g->items[0].kind, GRAMMAR_TRANSACTION);
	ck_assert_int_eq(g->items[1].kind, GRAMMAR_DEFINED);
	ck_assert_int_eq(g->items[2].kind, GRAMMAR_DEFINED);
	ck_assert_int_eq(g->items[3].kind, GRAMMAR_LOCK);
	ck_assert_int_eq(g->items[4].kind, GRAMMAR_SEMAPHORE);
	ck_assert_ptr_null(g->items[3].name);
	ck_assert_str_eq(g->items[3].key.text, "e");
	ck_assert_uint_eq(g->items[3].key.at, 27);
	ck_assert_uint_eq(g->items[3].at, 22);
	ck_assert(g->items[3].shared && !g->items[3].fresh);
	ck_assert_uint_eq(g->items[4].limit.param, 7);
	ck_assert_uint_eq(g->items[4].limit.at, 59);
	ck_assert(g->items[4].limit.given && !g->items[3].limit.given);
	ck_assert_ptr_null(g->items[4].limit.text);
	ck_assert(g->items[5].fresh && g->items[5].suppress);
	grammar_free(g);
	g = good("ENTER ");
	ck_assert_uint_eq(g->nitems, 1);
	ck_assert_int_eq(g->items[0].kind, GRAMMAR_TRANSACTION);
	ck_assert_ptr_null(g->items[0].name);
	grammar_free(g);
	g = good("EXIT ALL");
	ck_assert(g->all && !g->rollback && g->name == NULL);
	grammar_free(g);
	g = good("EXIT ROLLBACK");
	ck_assert(!g->all && g->rollback && g->name == NULL);
	grammar_free(g);
	grammar_free(NULL);
}
END_TEST

START_TEST(verbs_have_tags)
{
	static const struct {
		const char *text, *tag;
		enum grammar_verb verb;
	} cases[] = {
	    {"ENTER a", "ENTER", GRAMMAR_ENTER},           {"USE a", "USE", GRAMMAR_USE},
	    {"DEFER 'a'", "DEFER", GRAMMAR_DEFER},         {"EXIT", "EXIT", GRAMMAR_EXIT},
	    {"leave all rollback", "LEAVE", GRAMMAR_EXIT}, {"exit all", "EXIT", GRAMMAR_EXIT},
	    {"SHOW SCOPES", "SHOW", GRAMMAR_SHOW_SCOPES},
	};

	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct grammar *g = good(cases[i].text);

		ck_assert_int_eq(g->verb, cases[i].verb);
		ck_assert_str_eq(grammar_tag(g), cases[i].tag);
		grammar_free(g);
	}
}
END_TEST

START_TEST(ours_are_told_by_first_words)
{
	static const struct {
		const char *text;
		bool is;
	} cases[] = {
	    {"ENTER", true},           {"/**/ eNter LOCK", true}, {"USE x", true},
	    {"JOIN 'x'", true},        {"joins", false},          {"DEFER", true},
	    {"EXIT nonsense 5", true}, {"lEave a", true},         {"leaves", false},
	    {"\"leave\"", false},      {"SHOW SCOPES", true},     {"show /* x */ scopes x", true},
	    {"SHOW", false},           {"SHOW x", false},         {"SHOW \"scopes\"", false},
	    {"SHOW scopes_", false},   {"\"enter\"", false},      {"'enter'", false},
	    {"SELECT enter", false},   {"enters", false},         {"(ENTER)", false},
	};

	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct sqltext_stmt s;
		struct sqltext t;

		sqltext_init(&t, cases[i].text, strlen(cases[i].text), 0);
		ck_assert(sqltext_next(&t, &s));
		ck_assert_msg(grammar_is(&s) == cases[i].is, "%s", cases[i].text);
	}
}
END_TEST

/* ---- errors: '@' is taken out, and stands at the place that the error names ---- */

#define END_WORDS "at the end of the statement"

static const struct {
	const char *text, *expected;
} errors[] = {
    /* not ours */
    {"@", "expected ENTER, JOIN, USE, DEFER, LEAVE, EXIT or SHOW SCOPES " END_WORDS},
    {" /* x */ @", "expected ENTER, JOIN, USE, DEFER, LEAVE, EXIT or SHOW SCOPES " END_WORDS},
    {"@;", "expected ENTER, JOIN, USE, DEFER, LEAVE, EXIT or SHOW SCOPES at or near \";\""},
    {" @SELECT 1",
     "expected ENTER, JOIN, USE, DEFER, LEAVE, EXIT or SHOW SCOPES at or near \"SELECT\""},
    {"@'enter'",
     "expected ENTER, JOIN, USE, DEFER, LEAVE, EXIT or SHOW SCOPES at or near \"'enter'\""},
    /* behind the end */
    {"ENTER;@;", "expected nothing more at or near \";\""},
    {"ENTER a; @EXIT", "expected nothing more at or near \"EXIT\""},
    {"EXIT; /* */ @x", "expected nothing more at or near \"x\""},
    /* items */
    {"ENTER @,a", "expected a name, LOCK or SEMAPHORE at or near \",\""},
    {"ENTER a,@", "expected a name, LOCK or SEMAPHORE " END_WORDS},
    {"ENTER a, @;", "expected a name, LOCK or SEMAPHORE at or near \";\""},
    {"ENTER a, @, b", "expected a name, LOCK or SEMAPHORE at or near \",\""},
    {"ENTER @'a'", "expected a name, LOCK or SEMAPHORE at or near \"'a'\""},
    {"ENTER @5", "expected a name, LOCK or SEMAPHORE at or near \"5\""},
    {"ENTER @$1", "expected a name, LOCK or SEMAPHORE at or near \"$1\""},
    {"ENTER @(1)", "expected a name, LOCK or SEMAPHORE at or near \"(\""},
    {"ENTER @\"\"", "expected a name that is not empty at or near \"\"\"\""},
    {"ENTER @U&\"a\"", "expected a name without U& at or near \"U&\"a\"\""},
    {"ENTER @\"a", "expected a quote that ends at or near \"\"a\""},
    {"ENTER a @b",
     "expected AS, ON, NEW, READ, ISOLATION, JOINABLE, WAIT, DEADLINE, SUPPRESS, '(', ',' or "
     "the end of the statement at or near \"b\""},
    {"ENTER a ON p WAIT 1 @b",
     "expected AS, NEW, READ, ISOLATION, JOINABLE, DEADLINE, SUPPRESS, ',' or the "
     "end of the statement at or near \"b\""},
    {"ENTER a AS b @c",
     "expected ON, JOINABLE, WAIT, DEADLINE, SUPPRESS, '(', ',' or the end of the "
     "statement at or near \"c\""},
    {"ENTER a() @(",
     "expected AS, ON, JOINABLE, WAIT, DEADLINE, SUPPRESS, ',' or the end of the statement at "
     "or near \"(\""},
    {"ENTER a ON b @(1)",
     "expected AS, NEW, READ, ISOLATION, JOINABLE, WAIT, DEADLINE, SUPPRESS, ',' or the "
     "end of the statement at or near \"(\""},
    {"ENTER a @\"on\" p",
     "expected AS, ON, NEW, READ, ISOLATION, JOINABLE, WAIT, DEADLINE, SUPPRESS, '(', "
     "',' or the end of the statement at or near \"\"on\"\""},
    {"ENTER a ON b@)",
     "expected AS, NEW, READ, ISOLATION, JOINABLE, WAIT, DEADLINE, SUPPRESS, ',' or the "
     "end of the statement at or near \")\""},
    {"ENTER LOCK 'x' @y",
     "expected AS, ON, SHARED, WAIT, DEADLINE, SUPPRESS, ',' or the end of the "
     "statement at or near \"y\""},
    {"ENTER LOCK 'x' @(1)", "expected AS, ON, SHARED, WAIT, DEADLINE, SUPPRESS, ',' or the end of "
			    "the statement at or near \"(\""},
    {"ENTER LOCK@", "expected the lock's text, as 'nightly' or $1, " END_WORDS},
    {"ENTER LOCK @x", "expected the lock's text, as 'nightly' or $1, at or near \"x\""},
    {"ENTER LOCK @NULL", "expected the lock's text, as 'nightly' or $1, at or near \"NULL\""},
    {"ENTER LOCK @-5", "expected the lock's text, as 'nightly' or $1, at or near \"-\""},
    {"ENTER SEMAPHORE @ON p",
     "expected the semaphore's text, as 'export' or $1, at or near \"ON\""},
    {"ENTER SEMAPHORE 'x'@", "expected LIMIT " END_WORDS},
    {"ENTER SEMAPHORE 'x' WAIT 1@, a", "expected LIMIT at or near \",\""},
    {"ENTER SEMAPHORE 'x' @y",
     "expected AS, LIMIT, WAIT, DEADLINE, SUPPRESS, ',' or the end of the statement at or near "
     "\"y\""},
    /* clauses */
    {"ENTER a ON@", "expected the name of a pool " END_WORDS},
    {"ENTER a ON @'p'", "expected the name of a pool at or near \"'p'\""},
    {"ENTER a AS @5", "expected a name for the scope at or near \"5\""},
    {"ENTER a WAIT@", "expected a duration, as '2s' or $1, " END_WORDS},
    {"ENTER a WAIT @x", "expected a duration, as '2s' or $1, at or near \"x\""},
    {"ENTER a WAIT @-1", "expected a duration, as '2s' or $1, at or near \"-\""},
    {"ENTER a DEADLINE @, b", "expected a duration, as '30s' or $1, at or near \",\""},
    {"ENTER SEMAPHORE 'x' LIMIT @x",
     "expected how many may be inside, as 4 or $1, at or near \"x\""},
    {"ENTER a READ@", "expected ONLY or WRITE " END_WORDS},
    {"ENTER a READ @COMMITTED", "expected ONLY or WRITE at or near \"COMMITTED\""},
    {"ENTER a ISOLATION @SERIALIZABLE", "expected LEVEL at or near \"SERIALIZABLE\""},
    {"ENTER a ISOLATION LEVEL@",
     "expected SERIALIZABLE, REPEATABLE READ, READ COMMITTED or READ UNCOMMITTED " END_WORDS},
    {"ENTER a ISOLATION LEVEL @'serializable'",
     "expected SERIALIZABLE, REPEATABLE READ, READ COMMITTED or READ UNCOMMITTED at or near "
     "\"'serializable'\""},
    {"ENTER a ISOLATION LEVEL REPEATABLE @", "expected READ " END_WORDS},
    {"ENTER a ISOLATION LEVEL READ @ONLY", "expected COMMITTED or UNCOMMITTED at or near \"ONLY\""},
    /* twice */
    {"ENTER a ON p @ON p", "expected ON once only at or near \"ON\""},
    {"ENTER a NEW @NEW", "expected NEW once only at or near \"NEW\""},
    {"ENTER a AS b @AS c", "expected AS once only at or near \"AS\""},
    {"ENTER LOCK 'a' SHARED @shared", "expected SHARED once only at or near \"shared\""},
    {"ENTER SEMAPHORE 'a' LIMIT 1 @LIMIT 1", "expected LIMIT once only at or near \"LIMIT\""},
    {"ENTER a WAIT 1 @WAIT 2", "expected WAIT once only at or near \"WAIT\""},
    {"ENTER a DEADLINE 1 @DEADLINE 1", "expected DEADLINE once only at or near \"DEADLINE\""},
    {"ENTER a READ ONLY @READ WRITE", "expected READ once only at or near \"READ\""},
    {"ENTER a ISOLATION LEVEL SERIALIZABLE @ISOLATION LEVEL SERIALIZABLE",
     "expected ISOLATION once only at or near \"ISOLATION\""},
    {"JOIN@", "expected the token of a joinable scope as a string or $1 " END_WORDS},
    {"JOIN @x", "expected the token of a joinable scope as a string or $1 at or near \"x\""},
    {"ENTER LOCK 'x' @JOINABLE",
     "expected no JOINABLE, which goes with a transaction only, at or near \"JOINABLE\""},
    {"ENTER a SUPPRESS @SUPPRESS", "expected SUPPRESS once only at or near \"SUPPRESS\""},
    /* where they make no sense */
    {"ENTER a @SHARED", "expected no SHARED, which goes with LOCK only, at or near \"SHARED\""},
    {"ENTER a() @SHARED", "expected no SHARED, which goes with LOCK only, at or near \"SHARED\""},
    {"ENTER SEMAPHORE 'a' @SHARED",
     "expected no SHARED, which goes with LOCK only, at or near \"SHARED\""},
    {"ENTER a @LIMIT 1", "expected no LIMIT, which goes with SEMAPHORE only, at or near \"LIMIT\""},
    {"ENTER LOCK 'a' @LIMIT 1",
     "expected no LIMIT, which goes with SEMAPHORE only, at or near \"LIMIT\""},
    {"ENTER SEMAPHORE 'a' LIMIT 1 @ON p",
     "expected no ON, which goes with a transaction or LOCK only, at or near \"ON\""},
    {"ENTER LOCK 'a' @NEW",
     "expected no NEW, which goes with a transaction only, at or near \"NEW\""},
    {"ENTER LOCK 'a' @READ ONLY",
     "expected no READ, which goes with a transaction only, at or near \"READ\""},
    {"ENTER SEMAPHORE 'a' @ISOLATION LEVEL SERIALIZABLE",
     "expected no ISOLATION, which goes with a transaction only, at or near \"ISOLATION\""},
    {"ENTER a AS b @NEW",
     "expected no NEW, which goes with a transaction only, at or near \"NEW\""},
    {"ENTER a() @READ ONLY",
     "expected no READ, which goes with a transaction only, at or near \"READ\""},
    {"ENTER a NEW @AS b", "expected no AS, as NEW goes with a transaction only, at or near \"AS\""},
    {"ENTER a ON p READ ONLY @AS b",
     "expected no AS, as READ goes with a transaction only, at or near \"AS\""},
    /* arguments */
    {"ENTER a (@", "expected a string, number, parameter, TRUE, FALSE or NULL " END_WORDS},
    {"ENTER a (@,", "expected a string, number, parameter, TRUE, FALSE or NULL at or near \",\""},
    {"ENTER a (1,@)", "expected a string, number, parameter, TRUE, FALSE or NULL at or near \")\""},
    {"ENTER a (@x)", "expected a string, number, parameter, TRUE, FALSE or NULL at or near \"x\""},
    {"ENTER a (1@", "expected ',' or ')' " END_WORDS},
    {"ENTER a (1 @2)", "expected ',' or ')' at or near \"2\""},
    {"ENTER a (1@;", "expected ',' or ')' at or near \";\""},
    {"ENTER a (-@'1')", "expected a number at or near \"'1'\""},
    {"ENTER a (-@$1)", "expected a number at or near \"$1\""},
    {"ENTER a (-@", "expected a number " END_WORDS},
    {"ENTER a (@+1)", "expected a string, number, parameter, TRUE, FALSE or NULL at or near \"+\""},
    {"ENTER a (@.5)", "expected a string, number, parameter, TRUE, FALSE or NULL at or near \".\""},
    {"ENTER a (1.5@.5)", "expected ',' or ')' at or near \".\""},
    /* numbers and parameters */
    {"ENTER a WAIT @2s", "expected a value in quotes, as '2s' is, at or near \"2s\""},
    {"ENTER a WAIT @1.5min ON p", "expected a value in quotes, as '2s' is, at or near \"1.5min\""},
    {"ENTER a (-@1x)", "expected a value in quotes, as '2s' is, at or near \"1x\""},
    {"ENTER LOCK @$1a", "expected a value in quotes, as '2s' is, at or near \"$1a\""},
    {"ENTER LOCK @$0", "expected a parameter from $1 to $65535 at or near \"$0\""},
    {"ENTER LOCK @$65536", "expected a parameter from $1 to $65535 at or near \"$65536\""},
    {"ENTER LOCK @$4294967297",
     "expected a parameter from $1 to $65535 at or near \"$4294967297\""},
    {"ENTER LOCK @$", "expected the lock's text, as 'nightly' or $1, at or near \"$\""},
    /* strings */
    {"ENTER LOCK @'a", "expected a quote that ends at or near \"'a\""},
    {"ENTER LOCK @E'a\\'", "expected a quote that ends at or near \"E'a\\'\""},
    {"ENTER LOCK @$a$x$b$", "expected a quote that ends at or near \"$a$x$b$\""},
    {"ENTER LOCK @U&'a'", "expected a string as '...', E'...' or $$...$$ at or near \"U&'a'\""},
    {"ENTER LOCK @b'1'", "expected a string as '...', E'...' or $$...$$ at or near \"b'1'\""},
    {"ENTER LOCK @X'1'", "expected a string as '...', E'...' or $$...$$ at or near \"X'1'\""},
    {"ENTER LOCK @N'1'", "expected the lock's text, as 'nightly' or $1, at or near \"N\""},
    {"ENTER LOCK 'a'\n@'b'", "expected AS, ON, SHARED, WAIT, DEADLINE, SUPPRESS, ',' or the end of "
			     "the statement at or near \"'b'\""},
    {"ENTER LOCK E'a@'\n'b'", "expected the string in one pair of quotes at or near \"'\\x0a'b'\""},
    {"ENTER LOCK E'a@\\000'", "expected a string without NUL at or near \"\\000'\""},
    {"ENTER LOCK E'a@\\400'", "expected a string without NUL at or near \"\\400'\""},
    {"ENTER LOCK E'@\\x0'", "expected a string without NUL at or near \"\\x0'\""},
    {"ENTER LOCK E'@\\u0000'",
     "expected a Unicode character other than NUL at or near \"\\u0000'\""},
    {"ENTER LOCK E'@\\U00110000'",
     "expected a Unicode character other than NUL at or near \"\\U00110000'\""},
    {"ENTER LOCK E'@\\u12'", "expected \\uXXXX or \\UXXXXXXXX at or near \"\\u12'\""},
    {"ENTER LOCK E'@\\U0001F60'", "expected \\uXXXX or \\UXXXXXXXX at or near \"\\U0001F60'\""},
    {"ENTER LOCK E'a@\\ud83d'", "expected both halves of a surrogate pair at or near \"\\ud83d'\""},
    {"ENTER LOCK E'@\\ud83dx'",
     "expected both halves of a surrogate pair at or near \"\\ud83dx'\""},
    {"ENTER LOCK E'@\\ud83d\\u0041'",
     "expected both halves of a surrogate pair at or near \"\\ud83d\\u0041'\""},
    {"ENTER LOCK E'@\\ude00'", "expected both halves of a surrogate pair at or near \"\\ude00'\""},
    /* comments */
    {"ENTER a /* x@", "expected */ behind the comment " END_WORDS},
    {"/*@", "expected */ behind the comment " END_WORDS},
    {"SHOW /* /* */@", "expected */ behind the comment " END_WORDS},
    /* the others */
    {"USE@", "expected the name of an open scope " END_WORDS},
    {"USE @5", "expected the name of an open scope at or near \"5\""},
    {"USE @$1", "expected the name of an open scope at or near \"$1\""},
    {"USE a @b", "expected the end of the statement at or near \"b\""},
    {"USE a@, b", "expected the end of the statement at or near \",\""},
    {"DEFER@", "expected ON or a statement as a string or $1 " END_WORDS},
    {"DEFER @SELECT", "expected ON or a statement as a string or $1 at or near \"SELECT\""},
    {"DEFER ON@", "expected COMMIT or ROLLBACK " END_WORDS},
    {"DEFER ON @'x'", "expected COMMIT or ROLLBACK at or near \"'x'\""},
    {"DEFER ON COMMIT@;", "expected a statement as a string or $1 at or near \";\""},
    {"DEFER 'x' @ON COMMIT", "expected the end of the statement at or near \"ON\""},
    {"EXIT @5", "expected a name, ALL, ROLLBACK or the end of the statement at or near \"5\""},
    {"EXIT a @b", "expected ROLLBACK or the end of the statement at or near \"b\""},
    {"EXIT a@, b", "expected ROLLBACK or the end of the statement at or near \",\""},
    {"EXIT ALL @a", "expected ROLLBACK or the end of the statement at or near \"a\""},
    {"EXIT ROLLBACK @a", "expected the end of the statement at or near \"a\""},
    {"EXIT ROLLBACK @ROLLBACK", "expected the end of the statement at or near \"ROLLBACK\""},
    {"LEAVE @5", "expected a name, ALL, ROLLBACK or the end of the statement at or near \"5\""},
    {"LEAVE a @b", "expected ROLLBACK or the end of the statement at or near \"b\""},
    {"LEAVE a@, b", "expected ROLLBACK or the end of the statement at or near \",\""},
    {"LEAVE ALL @a", "expected ROLLBACK or the end of the statement at or near \"a\""},
    {"LEAVE ROLLBACK @a", "expected the end of the statement at or near \"a\""},
    {"LEAVE ROLLBACK @ROLLBACK", "expected the end of the statement at or near \"ROLLBACK\""},
    {"SHOW@", "expected SCOPES " END_WORDS},
    {"SHOW @\"scopes\"", "expected SCOPES at or near \"\"scopes\"\""},
    {"SHOW SCOPES @a", "expected the end of the statement at or near \"a\""},
    /* what is shown of the text */
    {"USE a @'0123456789012345678901234567890123456789'",
     "expected the end of the statement at or near "
     "\"'012345678901234567890123456789012345678...\""},
    {"USE a @'01234567890123456789012345678901234567\xc3\xa4xx'",
     "expected the end of the statement at or near "
     "\"'01234567890123456789012345678901234567...\""},
    {"USE a @'\x1b[m\xff'", "expected the end of the statement at or near \"'\\x1b[m\\xff'\""},
};

START_TEST(errors_have_places_and_words)
{
	char text[200];
	const char *mark = strchr(errors[_i].text, '@');
	size_t at = (size_t)(mark - errors[_i].text), n = strlen(errors[_i].text) - 1;

	memcpy(text, errors[_i].text, at);
	memcpy(text + at, mark + 1, n - at + 1);
	bad(text, n, -E_SYNTAX, at, errors[_i].expected);
}
END_TEST

START_TEST(nul_is_refused_everywhere)
{
	bad("ENTER \0a", 8, -E_SYNTAX, 6, "expected text without NUL at or near \"\\x00\"");
	bad("ENTER LOCK 'a\0'", 15, -E_SYNTAX, 13,
	    "expected text without NUL at or near \"\\x00\"");
	bad("EXIT -- \0", 9, -E_SYNTAX, 8, "expected text without NUL at or near \"\\x00\"");
	bad("\0", 1, -E_SYNTAX, 0, "expected text without NUL at or near \"\\x00\"");
}
END_TEST

/* ---- strings ---- */

static const struct {
	const char *text, *value, *backslash; /* the value with '\' as an escape; NULL: the same */
} strings[] = {
    {"'a'", "a", NULL},
    {"''", "", NULL},
    {"''''", "'", NULL},
    {"'a''b'''", "a'b'", NULL},
    {"' \n\t'", " \n\t", NULL},
    {"'$1 \"x\" -- /* ;'", "$1 \"x\" -- /* ;", NULL},
    {"'a\\nb'", "a\\nb", "a\nb"},
    {"'\\\\'", "\\\\", "\\"},
    {"E''", "", NULL},
    {"e'a''b\\'c'", "a'b'c", NULL},
    {"E'\\b\\f\\n\\r\\t'", "\b\f\n\r\t", NULL},
    {"E'\\a\\q\\\\\\\"\\8\\X41'", "aq\\\"8X41", NULL},
    {"E'\\1\\12\\101\\1012\\18'", "\1\nAA2\0018", NULL},
    {"E'\\777\\501'", "\377A", NULL},
    {"E'\\x41\\x4\\x4g\\x412'", "A\4\4gA2", NULL},
    {"E'\\xg\\x'", "xgx", NULL},
    {"E'\\xC3\\xa4'", "\xc3\xa4", NULL},
    {"E'\\u0041\\u00e4\\u20AC\\uffff'", "A\xc3\xa4\xe2\x82\xac\xef\xbf\xbf", NULL},
    {"E'\\u007f\\u0080\\u07ff\\u0800'", "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80", NULL},
    {"E'\\U0001F600\\U00010000\\U0010ffff'", "\xf0\x9f\x98\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
     NULL},
    {"E'\\ud83d\\ude00\\ud83d\\U0000de00x'", "\xf0\x9f\x98\x80\xf0\x9f\x98\x80x", NULL},
    {"E'\\u00411'", "A1", NULL},
    {"E'\xc3\xa4\xff'", "\xc3\xa4\xff", NULL},
    {"$$$$", "", NULL},
    {"$$a'b\\n$x$ $$", "a'b\\n$x$ ", NULL},
    {"$a$$$ $b$ '$a$", "$$ $b$ '", NULL},
    {"$\xc3\xa4_1$x$\xc3\xa4_1$", "x", NULL},
    {"0", "0", NULL},
    {"1.", "1.", NULL},
    {"1.50e-3", "1.50e-3", NULL},
};

START_TEST(strings_are_decoded)
{
	char text[200];

	snprintf(text, sizeof text, "ENTER LOCK %s", strings[_i].text);
	for (unsigned flags = 0; flags <= SQLTEXT_BACKSLASH; flags++) {
		const char *wanted =
		    flags && strings[_i].backslash ? strings[_i].backslash : strings[_i].value;
		struct grammar_error e = {0};
		struct grammar *g;
		int rc = parse(text, strlen(text), flags, &g, &e);

		ck_assert_msg(rc == 0, "%s: %s", text, e.expected);
		ck_assert_msg(strcmp(g->items[0].key.text, wanted) == 0, "%s: %s", text,
			      g->items[0].key.text);
		ck_assert_uint_eq(g->items[0].key.at, 11);
		grammar_free(g);
	}
}
END_TEST

/* With the flag, a quote behind a backslash does not end the string. */
START_TEST(the_backslash_flag_matters)
{
	static const char text[] = "DEFER 'a\\'; EXIT --'";
	struct grammar_error e = {0};
	struct grammar *g;

	bad(text, sizeof text - 1, -E_SYNTAX, 12, "expected nothing more at or near \"EXIT\"");
	ck_assert_int_eq(parse(text, sizeof text - 1, SQLTEXT_BACKSLASH, &g, &e), 0);
	ck_assert_str_eq(g->sql.text, "a'; EXIT --");
	grammar_free(g);
}
END_TEST

/* In these encodings the second byte of a character may look like a backslash or a letter. */
START_TEST(half_of_a_character_is_no_ascii)
{
	static const struct {
		const char *text, *name, *key, *sql;
		unsigned flags;
	} halves[] = {
	    {"ENTER LOCK E'\x95\x5c'", NULL, "\x95\x5c", NULL, SQLTEXT_SJIS},
	    {"ENTER LOCK E'\x95\x5c\\x41'", NULL,
	     "\x95\x5c"
	     "A",
	     NULL, SQLTEXT_DOUBLE},
	    {"ENTER LOCK E'\x81\x5c'", NULL, "\x81\x5c", NULL, SQLTEXT_GB18030},
	    {"DEFER '\x95\x5c'", NULL, NULL, "\x95\x5c", SQLTEXT_SJIS | SQLTEXT_BACKSLASH},
	    {"ENTER \x83\x41"
	     "A",
	     "\x83\x41"
	     "a",
	     NULL, NULL, SQLTEXT_SJIS},
	    {"ENTER \"\x83\x41\"", "\x83\x41", NULL, NULL, SQLTEXT_SJIS},
	    /* one byte each */
	    {"ENTER \x83\x41", "\x83\x61", NULL, NULL, SQLTEXT_BYTES},
	};

	for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
		struct grammar_error e = {0};
		struct grammar *g;
		int rc = parse(halves[i].text, strlen(halves[i].text), halves[i].flags, &g, &e);

		ck_assert_msg(rc == 0, "%zu: %s", i, e.expected);
		if (halves[i].name)
			ck_assert_str_eq(g->items[0].name, halves[i].name);
		if (halves[i].key)
			ck_assert_str_eq(g->items[0].key.text, halves[i].key);
		if (halves[i].sql)
			ck_assert_str_eq(g->sql.text, halves[i].sql);
		grammar_free(g);
	}
}
END_TEST

/* ---- bounds ---- */

/* `before`, `n` times `unit`, `after`. */
static char *
many(const char *before, const char *unit, size_t n, const char *after)
{
	size_t length = strlen(unit), at = strlen(before);
	char *text = malloc(at + n * length + strlen(after) + 1);

	memcpy(text, before, at);
	for (size_t i = 0; i < n; i++, at += length)
		memcpy(text + at, unit, length);
	memcpy(text + at, after, strlen(after) + 1);
	return text;
}

/* The most that is good, and one more, which is not. */
static void
bound(const char *before, const char *unit, size_t most, const char *after, size_t at,
      const char *expected)
{
	char *text = many(before, unit, most, after);

	grammar_free(good(text));
	free(text);
	text = many(before, unit, most + 1, after);
	bad(text, strlen(text), -E_TOOBIG, at, expected);
	free(text);
}

START_TEST(bounds_are_kept)
{
	bound("USE ", "a", GRAMMAR_NAME, "", 4,
	      "expected a name of at most 63 bytes at or near "
	      "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\"");
	bound("ENTER a ON \"", "a", GRAMMAR_NAME, "\"", 11,
	      "expected a name of at most 63 bytes at or near "
	      "\"\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\"");
	bound("ENTER \"", "\"\"", GRAMMAR_NAME, "\"", 6,
	      "expected a name of at most 63 bytes at or near "
	      "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\".."
	      ".\"");
	bound("ENTER a", ",b", GRAMMAR_ITEMS - 1, "", 5 + 2 * GRAMMAR_ITEMS + 1,
	      "expected at most 32 scopes at or near \"b\"");
	bound("ENTER a(1", ",2", GRAMMAR_ARGS - 1, ")", 8 + 2 * GRAMMAR_ARGS,
	      "expected at most 64 arguments at or near \"2\"");
	bound("DEFER '", "x", GRAMMAR_TEXT, "'", 6,
	      "expected a string of at most 65536 bytes at or near "
	      "\"'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\"");
	bound("USE E'", "\\101", GRAMMAR_TEXT, "'", 4,
	      "expected a string of at most 65536 bytes at or near "
	      "\"E'\\101\\101\\101\\101\\101\\101\\101\\101\\101\\1...\"");
	bound("DEFER $$", "x", GRAMMAR_TEXT, "$$", 6,
	      "expected a string of at most 65536 bytes at or near "
	      "\"$$xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\"");
	bound("ENTER LOCK ", "1", GRAMMAR_TEXT, "", 11,
	      "expected a number of at most 65536 bytes at or near "
	      "\"1111111111111111111111111111111111111111...\"");
	bound("ENTER a(-", "1", GRAMMAR_TEXT - 1, ")", 9,
	      "expected a number of at most 65536 bytes at or near "
	      "\"1111111111111111111111111111111111111111...\"");
	grammar_free(good("ENTER LOCK $65535"));
}
END_TEST

/* ---- parameters ---- */

START_TEST(parameters_are_bound)
{
	struct grammar *g = good("ENTER a ($1, $3, $1, '$1', NULL) WAIT $2, SEMAPHORE $4 LIMIT $2");
	const char *values[] = {"it's", "500", NULL, ""};
	const char *others[] = {NULL, "1", "x", "y", "more"};
	struct grammar_error e = {0};
	struct grammar *copy = grammar_copy(g);
	char *got;

	ck_assert_uint_eq(g->nparams, 4);
	ck_assert_int_eq(grammar_bind(g, values, 4, &e), 0);
	got = rendered(g, true);
	ck_assert_str_eq(got, "ENTER \"a\" ('it''s', NULL, 'it''s', '$1', NULL) WAIT '500', "
			      "SEMAPHORE '' LIMIT '500'");
	free(got);
	ck_assert(g->items[0].args[0].text != values[0]);
	ck_assert_uint_eq(g->items[0].args[0].param, 1);
	/* Once more, and more of them than there are. */
	ck_assert_int_eq(grammar_bind(g, others, 5, &e), 0);
	got = rendered(g, true);
	ck_assert_str_eq(
	    got, "ENTER \"a\" (NULL, 'x', NULL, '$1', NULL) WAIT '1', SEMAPHORE 'y' LIMIT '1'");
	free(got);
	/* A copy has its own. */
	got = rendered(copy, false);
	ck_assert_str_eq(got,
			 "ENTER \"a\" ($1, $3, $1, '$1', NULL) WAIT $2, SEMAPHORE $4 LIMIT $2");
	free(got);
	ck_assert_ptr_null(copy->items[0].args[0].text);
	grammar_free(copy);
	copy = grammar_copy(g);
	grammar_free(g);
	ck_assert_str_eq(copy->items[1].key.text, "y");
	grammar_free(copy);
	g = good("DEFER $1");
	ck_assert_int_eq(grammar_bind(g, others + 2, 1, &e), 0);
	ck_assert_str_eq(g->sql.text, "x");
	grammar_free(g);
	g = good("EXIT");
	ck_assert_int_eq(grammar_bind(g, NULL, 0, &e), 0);
	grammar_free(g);
}
END_TEST

START_TEST(parameters_that_do_not_fit_change_nothing)
{
	struct grammar *g = good("ENTER a($1), LOCK $2 WAIT $3 DEADLINE $3");
	char *large = many("", "x", GRAMMAR_TEXT + 1, "");
	const char *first[] = {"a", "b", "c"};
	const struct {
		const char *values[3];
		unsigned n;
		int rc;
		size_t at;
		const char *expected;
	} cases[] = {
	    {{"x"}, 0, -E_RANGE, 8, "expected a value for $1, there are 0"},
	    {{"x", "y"}, 2, -E_RANGE, 26, "expected a value for $3, there are 2"},
	    {{"x", NULL, "z"}, 3, -E_SYNTAX, 18, "expected a value for $2, not NULL"},
	    {{"x", "y", NULL}, 3, -E_SYNTAX, 26, "expected a value for $3, not NULL"},
	    {{"x", large, "z"}, 3, -E_TOOBIG, 18, "expected a value for $2 of at most 65536 bytes"},
	    {{large, "y", "z"}, 3, -E_TOOBIG, 8, "expected a value for $1 of at most 65536 bytes"},
	};
	struct grammar_error e = {0};
	char *got;

	ck_assert_int_eq(grammar_bind(g, first, 3, &e), 0);
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		ck_assert_int_eq(grammar_bind(g, cases[i].values, cases[i].n, &e), cases[i].rc);
		ck_assert_uint_eq(e.at, cases[i].at);
		ck_assert_str_eq(e.expected, cases[i].expected);
		free(e.expected);
		got = rendered(g, true);
		ck_assert_str_eq(got, "ENTER \"a\" ('a'), LOCK 'b' WAIT 'c' DEADLINE 'c'");
		free(got);
	}
	large[GRAMMAR_TEXT] = 0;
	ck_assert_int_eq(grammar_bind(g, cases[4].values, 3, &e), 0);
	free(large);
	grammar_free(g);
}
END_TEST

/* ---- what values mean ---- */

START_TEST(durations_and_limits)
{
	static const struct {
		const char *text;
		int rc;
		int64_t us;
	} durations[] = {
	    {"0", 0, 0},           {"500", 0, 500000},      {"'500'", 0, 500000},
	    {"1.5", 0, 1500},      {"'2s'", 0, 2000000},    {"'1.5 min'", 0, 90000000},
	    {"''", -E_SYNTAX, 0},  {"'abc'", -E_SYNTAX, 0}, {"'2 parsecs'", -E_SYNTAX, 0},
	    {"'-1'", -E_RANGE, 0}, {"1e30", -E_RANGE, 0},
	};
	static const struct {
		const char *text;
		int rc;
		unsigned limit;
	} limits[] = {
	    {"1", 0, 1},
	    {"'4'", 0, 4},
	    {"007", 0, 7},
	    {"1000000", 0, 1000000},
	    {"0", -E_RANGE, 0},
	    {"1000001", -E_RANGE, 0},
	    {"4294967297", -E_RANGE, 0},
	    {"99999999999999999999", -E_RANGE, 0},
	    {"''", -E_SYNTAX, 0},
	    {"1.5", -E_SYNTAX, 0},
	    {"1e3", -E_SYNTAX, 0},
	    {"'-1'", -E_SYNTAX, 0},
	    {"' 1'", -E_SYNTAX, 0},
	    {"'1 '", -E_SYNTAX, 0},
	};
	struct grammar_error e = {0};
	struct grammar *g;
	unsigned limit;
	char text[100];
	int64_t us;
	int rc;

	for (unsigned i = 0; i < sizeof durations / sizeof *durations; i++) {
		snprintf(text, sizeof text, "ENTER a WAIT %s", durations[i].text);
		g = good(text);
		rc = grammar_duration(&g->items[0].wait, &us, &e);
		ck_assert_msg(rc == durations[i].rc, "%s: %d", text, rc);
		if (rc == 0) {
			ck_assert_int_eq(us, durations[i].us);
		} else {
			ck_assert_uint_eq(e.at, 13);
			snprintf(text, sizeof text,
				 "expected a duration, as 500 (ms), '2s' or "
				 "'1.5min', not \"%s\"",
				 g->items[0].wait.text);
			ck_assert_str_eq(e.expected, text);
			free(e.expected);
		}
		grammar_free(g);
	}
	for (unsigned i = 0; i < sizeof limits / sizeof *limits; i++) {
		snprintf(text, sizeof text, "ENTER SEMAPHORE 'a' LIMIT %s", limits[i].text);
		g = good(text);
		rc = grammar_limit(&g->items[0].limit, &limit, &e);
		ck_assert_msg(rc == limits[i].rc, "%s: %d", text, rc);
		if (rc == 0) {
			ck_assert_uint_eq(limit, limits[i].limit);
		} else {
			ck_assert_uint_eq(e.at, 26);
			snprintf(text, sizeof text,
				 "expected a whole number from 1 to 1000000, not \"%s\"",
				 g->items[0].limit.text);
			ck_assert_str_eq(e.expected, text);
			free(e.expected);
		}
		grammar_free(g);
	}
	/* not bound */
	g = good("ENTER SEMAPHORE 'a' LIMIT $1 WAIT $2");
	ck_assert_int_eq(grammar_limit(&g->items[0].limit, &limit, &e), -E_SYNTAX);
	ck_assert_str_eq(e.expected, "expected a whole number from 1 to 1000000, not NULL");
	free(e.expected);
	ck_assert_int_eq(grammar_duration(&g->items[0].wait, &us, &e), -E_SYNTAX);
	free(e.expected);
	grammar_free(g);
}
END_TEST

/* ---- whatever comes ---- */

/* Read or refused; what is read is the same when it is written out and read again. */
static void
try(const char *text, size_t n, unsigned flags, const char *story)
{
	struct grammar_error e = {0};
	struct grammar *g, *again;
	char *first, *second;
	int rc = parse(text, n, flags, &g, &e);

	if (rc != 0) {
		ck_assert_msg(g == NULL && e.at <= n && strncmp(e.expected, "expected ", 9) == 0,
			      "%s: %.*s", story, (int)n, text);
		free(e.expected);
		return;
	}
	first = rendered(g, false);
	rc = parse(first, strlen(first), 0, &again, &e);
	ck_assert_msg(rc == 0, "%s: %.*s\nis: %s: %s", story, (int)n, text, first, e.expected);
	second = rendered(again, false);
	ck_assert_msg(strcmp(first, second) == 0, "%s: %.*s\nis: %s\nand: %s", story, (int)n, text,
		      first, second);
	free(first);
	free(second);
	grammar_free(g);
	grammar_free(again);
}

START_TEST(every_prefix_stays_inside)
{
	for (unsigned flags = 0; flags <= SQLTEXT_BACKSLASH; flags++) {
		for (unsigned i = 0; i < sizeof statements / sizeof *statements; i++)
			for (size_t n = 0; n <= strlen(statements[i].text); n++)
				try(statements[i].text, n, flags, "prefix");
		for (unsigned i = 0; i < sizeof errors / sizeof *errors; i++)
			for (size_t n = 0; n <= strlen(errors[i].text); n++)
				try(errors[i].text, n, flags, "prefix");
		for (unsigned i = 0; i < sizeof strings / sizeof *strings; i++) {
			char text[200];
			size_t n = (size_t)snprintf(text, sizeof text, "USE %s", strings[i].text);

			while (n > 0)
				try(text, n--, flags, "prefix");
		}
	}
}
END_TEST

static uint32_t
below(uint32_t *state, size_t n)
{
	*state = *state * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)*state * n) >> 32);
}

/* Puts a piece in, takes some bytes out, or changes one. */
static size_t
mutate(uint32_t *state, char *text, size_t n, size_t size)
{
	static const char *const pieces[] = {
	    " ",       "'",          "\"",     "$",        "$$",
	    "E'",      "\\",         "\\u0",   ",",        "(",
	    ")",       ";",          "-",      "--",       "/*",
	    "*/",      "\n",         "1",      "$1",       "0x",
	    " AS ",    " ON ",       " NEW ",  " LOCK ",   " LIMIT 3",
	    " WAIT 1", " READ",      " ONLY ", " SHARED ", " NULL ",
	    " TRUE ",  " ROLLBACK ", "ENTER ", "EXIT ",    "USE ",
	    "DEFER ",  "'a'",        "\xc3",   "\xa4",     " ISOLATION LEVEL ",
	};
	const char *piece = pieces[below(state, sizeof pieces / sizeof *pieces)];
	size_t at = below(state, n + 1), length = strlen(piece);

	switch (below(state, 4)) {
	case 0:
	case 1:
		if (n + length > size)
			return n;
		memmove(text + at + length, text + at, n - at);
		memcpy(text + at, piece, length);
		return n + length;
	case 2:
		length = below(state, 6);
		if (length > n - at)
			length = n - at;
		memmove(text + at, text + at + length, n - at - length);
		return n - length;
	default:
		if (at < n)
			text[at] = (char)below(state, 256);
		return n;
	}
}

START_TEST(random_statements_are_read_or_refused)
{
	const char *given = getenv("CHECK_ROUNDS");
	uint32_t rounds = given ? (uint32_t)atoi(given) : 50000;

	for (uint32_t i = 0; i < rounds; i++) {
		uint32_t state = seed + i;
		const char *from =
		    statements[below(&state, sizeof statements / sizeof *statements)].text;
		char text[1000], story[40];
		size_t n = strlen(from);

		snprintf(story, sizeof story, "seed %u", seed + i);
		memcpy(text, from, n);
		for (uint32_t m = 1 + below(&state, 3); m > 0; m--)
			n = mutate(&state, text, n, sizeof text);
		try(text, n, below(&state, 2) ? SQLTEXT_BACKSLASH : 0, story);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("grammar");
	TCase *t = tcase_create("grammar");
	SRunner *r = srunner_create(s);
	const char *given = getenv("CHECK_SEED");
	int failed;

	seed = given ? (uint32_t)strtoul(given, NULL, 10) : (uint32_t)time(NULL);
	fprintf(stderr, "check_grammar: CHECK_SEED=%u\n", seed);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, statements_are_read, 0, sizeof statements / sizeof *statements);
	tcase_add_test(t, kinds_and_fields);
	tcase_add_test(t, verbs_have_tags);
	tcase_add_test(t, ours_are_told_by_first_words);
	tcase_add_loop_test(t, errors_have_places_and_words, 0, sizeof errors / sizeof *errors);
	tcase_add_test(t, nul_is_refused_everywhere);
	tcase_add_loop_test(t, strings_are_decoded, 0, sizeof strings / sizeof *strings);
	tcase_add_test(t, the_backslash_flag_matters);
	tcase_add_test(t, half_of_a_character_is_no_ascii);
	tcase_add_test(t, bounds_are_kept);
	tcase_add_test(t, parameters_are_bound);
	tcase_add_test(t, parameters_that_do_not_fit_change_nothing);
	tcase_add_test(t, durations_and_limits);
	tcase_add_test(t, every_prefix_stays_inside);
	tcase_add_test(t, random_statements_are_read_or_refused);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
