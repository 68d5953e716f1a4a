#include <check.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/units.h"
#include "conf/conf.h"
#include "conf/option.h"
#include "conf/quote.h"

START_TEST(every_row_of_the_table_is_sound)
{
	struct conf c = {0};
	struct conf_pool pool = {0};
	struct conf_scope scope = {0};
	struct conf_cluster cluster = {0};
	struct conf_limits limits = {0};
	void *const bases[] = {[OPTION_PGWITH] = &c,
			       [OPTION_POOL] = &pool,
			       [OPTION_SCOPE] = &scope,
			       [OPTION_CLUSTER] = &cluster,
			       [OPTION_LIMITS] = &limits};
	const struct conf_option *table;
	unsigned count;

	table = option_table(&count);
	ck_assert_uint_gt(count, 20);
	for (unsigned i = 0; i < count; i++) {
		const struct conf_option *o = &table[i];
		void *base = bases[o->where];
		char *text, *range, *why;

		ck_assert_ptr_eq(option_find_in(o->name, o->where), o);
		ck_assert_uint_eq(option_index(o), i);
		ck_assert_uint_ge(strlen(o->help), 20);
		ck_assert_int_eq(o->help[strlen(o->help) - 1], '.');
		range = option_range(o);
		ck_assert_uint_gt(strlen(range), 5);
		free(range);
		if (o->type == OPTION_DURATION || o->type == OPTION_SIZE)
			ck_assert_ptr_nonnull(option_bare_unit(o));
		if (o->default_text == NULL)
			continue;
		/* The default passes its own checks, and is in the form that is shown. */
		ck_assert_msg(option_set(o, base, o->default_text, &why, NULL) == 0, "%s: %s",
			      o->name, why);
		text = option_text(o, base);
		ck_assert_str_eq(text, o->default_text);
		free(text);
		option_set_default(o, base);
	}
	for (unsigned i = 0; i < count; i++)
		option_clear(&table[i], bases[table[i].where]);
}
END_TEST

/* A struct of the test's own, for types that the table has no or few options of. */
struct values {
	bool flag;
	int64_t number;
	unsigned choice;
	char *string;
	struct conf_statements statements;
};

static const char *const colours[] = {"red", "green", NULL};
static const struct conf_option own[] = {
    {"flag", .type = OPTION_BOOL, .offset = offsetof(struct values, flag)},
    {"integer", .type = OPTION_INTEGER, .offset = offsetof(struct values, number), .min = -5,
     .max = 500},
    {"duration", .type = OPTION_DURATION, .offset = offsetof(struct values, number), .max = UNIT_H,
     .bare = UNIT_S},
    {"size", .type = OPTION_SIZE, .offset = offsetof(struct values, number), .min = 1024,
     .max = 1 << 30, .bare = 1024},
    {"mode", .type = OPTION_MODE, .offset = offsetof(struct values, number), .max = 0777},
    {"enum", .type = OPTION_ENUM, .offset = offsetof(struct values, choice), .choices = colours},
    {"string", .type = OPTION_STRING, .offset = offsetof(struct values, string)},
    {"statements", .type = OPTION_STATEMENTS, .offset = offsetof(struct values, statements)},
    {"unset", .type = OPTION_DURATION, .offset = offsetof(struct values, number), .max = UNIT_H,
     .bare = UNIT_MS, .default_text = ""},
};

static const struct {
	unsigned option; /* of own[] */
	const char *text;
	int e;             /* of option_set() */
	const char *shown; /* option_text(), or what the reason must contain */
} sets[] = {
    {0, "on", 0, "on"},
    {0, "YES", 0, "on"},
    {0, "1", 0, "on"},
    {0, "true", 0, "on"},
    {0, "off", 0, "off"},
    {0, "No", 0, "off"},
    {0, "0", 0, "off"},
    {0, "false", 0, "off"},
    {0, "", -E_SYNTAX, "on or off"},
    {0, "2", -E_SYNTAX, "\"2\""},
    {1, "-5", 0, "-5"},
    {1, "500", 0, "500"},
    {1, "007", 0, "7"},
    {1, "501", -E_RANGE, "an integer from -5 to 500"},
    {1, "-6", -E_RANGE, "an integer from -5 to 500"},
    {1, "", -E_SYNTAX, "\"\": expected an integer"},
    {1, "-", -E_SYNTAX, "expected"},
    {1, "+1", -E_SYNTAX, "expected"},
    {1, " 1", -E_SYNTAX, "expected"},
    {1, "1.0", -E_SYNTAX, "expected"},
    {1, "0x10", -E_SYNTAX, "expected"},
    {1, "12 # many", -E_SYNTAX, "\"12 # many\""},
    {1, "99999999999999999999", -E_RANGE, "expected"},
    {1, "-99999999999999999999", -E_RANGE, "expected"},
    {2, "5", 0, "5s"},
    {2, "90", 0, "90s"},
    {2, "1500ms", 0, "1500ms"},
    {2, "1.5s", 0, "1500ms"},
    {2, "60min", 0, "1h"},
    {2, "0", 0, "0"},
    {2, "61min", -E_RANGE, "from 0 to 1h"},
    {2, "-1s", -E_RANGE, "expected"},
    {2, "5 parsec", -E_SYNTAX, "a duration from 0 to 1h, like"},
    {2, "1e999", -E_RANGE, "expected"},
    {3, "64", 0, "64kB"},
    {3, "1024", 0, "1MB"},
    {3, "2048B", 0, "2kB"},
    {3, "1000B", -E_RANGE, "a size from 1kB to 1GB, like 64kB or 1MB"},
    {3, "2GB", -E_RANGE, "expected"},
    {3, "1 furlong", -E_SYNTAX, "expected"},
    {4, "770", 0, "0770"},
    {4, "0600", 0, "0600"},
    {4, "0", 0, "0000"},
    {4, "0778", -E_SYNTAX, "an octal number from 0000 to 0777"},
    {4, "1777", -E_RANGE, "expected"},
    {4, "rwx", -E_SYNTAX, "expected"},
    {5, "red", 0, "red"},
    {5, "GREEN", 0, "green"},
    {5, "blue", -E_SYNTAX, "\"blue\": expected one of red, green"},
    {6, "any thing", 0, "any thing"},
    {6, "", 0, ""},
    {7, "", 0, ""},
    {7, " ;; ", 0, ""},
    {7, "SELECT $1 ;; SELECT 'a;b';", 0, "SELECT $1; SELECT 'a;b'"},
    {7, "SELECT 1; COMMIT", -E_SYNTAX, "\"COMMIT\" cannot stand here"},
    {8, "", 0, ""},
    {8, "0", 0, "0"},
    {8, "5", 0, "5ms"},
    {8, "-1", -E_RANGE, "a duration from 0 to 1h"},
};

START_TEST(values_are_parsed_checked_and_shown)
{
	const struct conf_option *o = &own[sets[_i].option];
	struct values v = {0}, copy = {0};
	char *why, *text;
	int e = option_set(o, &v, sets[_i].text, &why, NULL);

	ck_assert_msg(e == sets[_i].e, "%s = %s: %d", o->name, sets[_i].text, e);
	if (e) {
		ck_assert_msg(strstr(why, sets[_i].shown) != NULL, "%s", why);
		ck_assert_mem_eq(&v, &copy, sizeof v);
		free(why);
		return;
	}
	ck_assert_ptr_null(why);
	option_copy(o, &copy, &v);
	text = option_text(o, &copy);
	ck_assert_str_eq(text, sets[_i].shown);
	free(text);
	option_clear(o, &v);
	option_clear(o, &copy);
}
END_TEST

START_TEST(a_refused_value_leaves_the_old_one)
{
	struct values v = {.number = 7, .choice = 1};
	char *why;

	ck_assert_int_lt(option_set(&own[1], &v, "9999", &why, NULL), 0);
	free(why);
	ck_assert_int_lt(option_set(&own[5], &v, "pink", &why, NULL), 0);
	free(why);
	ck_assert_int_eq(v.number, 7);
	ck_assert_uint_eq(v.choice, 1);
}
END_TEST

START_TEST(statements_keep_and_give_their_line)
{
	const struct conf_option *o = &own[7];
	struct values v = {0}, copy = {0};
	unsigned row = 9;
	char *why;

	ck_assert_int_eq(option_set(o, &v, "SELECT $2, $64; TABLE a", &why, &row), 0);
	ck_assert_uint_eq(row, 0);
	/* The statement begins in the fourth line. */
	ck_assert_int_eq(option_set(o, &v, "TABLE b;\n\n-- ;\nEND\n;TABLE c", &why, &row),
			 -E_SYNTAX);
	ck_assert_uint_eq(row, 3);
	free(why);
	option_copy(o, &copy, &v);
	option_copy(o, &copy, &v); /* what it had is freed */
	ck_assert_ptr_eq(option_statements(o, &copy), &copy.statements);
	ck_assert_ptr_null(option_statements(&own[6], &copy));
	ck_assert_uint_eq(copy.statements.count, 2);
	ck_assert_uint_eq(copy.statements.list[0].args, 2 | UINT64_C(1) << 63);
	ck_assert_uint_eq(copy.statements.list[1].args, 0);
	ck_assert_ptr_ne(copy.statements.list[0].sql, v.statements.list[0].sql);
	option_clear(o, &v);
	ck_assert_uint_eq(v.statements.count, 0);
	ck_assert_str_eq(copy.statements.list[1].sql, "TABLE a");
	option_copy(o, &copy, &v);
	ck_assert_uint_eq(copy.statements.count, 0);
	ck_assert_ptr_null(copy.statements.list);
}
END_TEST

START_TEST(the_nearest_name_is_found)
{
	ck_assert_str_eq(option_nearest("prot", OPTION_PGWITH), "port");
	ck_assert_str_eq(option_nearest("max_client", OPTION_PGWITH), "max_clients");
	ck_assert_str_eq(option_nearest("MIN_SIZE", OPTION_POOL), "min_size");
	ck_assert_str_eq(option_nearest("wait-timeout", OPTION_POOL), "wait_timeout");
	ck_assert_str_eq(option_nearest("idletimeout", OPTION_POOL), "idle_timeout");
	ck_assert_str_eq(option_nearest("on-comit", OPTION_SCOPE), "on_commit");
	ck_assert_ptr_null(option_nearest("on-comit", OPTION_PGWITH));
	ck_assert_ptr_null(option_nearest("wait-timeout", OPTION_SCOPE));
	ck_assert_ptr_null(option_nearest("prot", OPTION_POOL));
	ck_assert_ptr_null(option_nearest("", OPTION_PGWITH));
	ck_assert_ptr_null(option_nearest("xyzzy", OPTION_PGWITH));
	ck_assert_ptr_null(option_nearest("zz", OPTION_PGWITH));
	ck_assert_ptr_null(
	    option_nearest("a_word_that_is_far_longer_than_any_name_that_the_table_could_ever_have",
			   OPTION_PGWITH));
}
END_TEST

START_TEST(quotes_are_short_and_printable)
{
	char *q = quote_text("a\n\x1b[31m\xff\x7f"), longer[200];

	ck_assert_str_eq(q, "\"a\\x0a\\x1b[31m\\xff\\x7f\"");
	free(q);
	memset(longer, '\1', sizeof longer);
	longer[199] = '\0';
	q = quote_text(longer);
	ck_assert_uint_eq(strlen(q), 60 * 4 + 5);
	free(q);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("option");
	TCase *t = tcase_create("option");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, every_row_of_the_table_is_sound);
	tcase_add_loop_test(t, values_are_parsed_checked_and_shown, 0, sizeof sets / sizeof *sets);
	tcase_add_test(t, a_refused_value_leaves_the_old_one);
	tcase_add_test(t, statements_keep_and_give_their_line);
	tcase_add_test(t, the_nearest_name_is_found);
	tcase_add_test(t, quotes_are_short_and_printable);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
