/* The configuration of scopes. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/units.h"
#include "conf/conf.h"
#include "conf/option.h"
#include "conf_text.h"

/* A scope, and what its list `enter` must be: the statements with a bar behind each. */
static const struct {
	const char *text;
	const char *expected;
	unsigned nargs;
} lists[] = {
    {"", "", 0},
    {"enter =\n", "", 0},
    {"enter = ;; ; ;\n", "", 0},
    {"enter = SELECT 1\n", "SELECT 1|", 0},
    {"enter: SELECT 1;\n", "SELECT 1|", 0},
    {"enter = SELECT 1; SELECT 2\n", "SELECT 1|SELECT 2|", 0},
    {"enter = SELECT 1 ; SELECT 2 ;\n", "SELECT 1|SELECT 2|", 0},
    {"  enter = SELECT 1 ; SELECT 2\n", "SELECT 1|SELECT 2|", 0},
    {"enter = ; SELECT 2\n", "SELECT 2|", 0},
    {"enter =\n\tSELECT 1 ; SELECT 2 ;\n\n\t# SELECT 3;\n\t; SELECT 4\n\tSELECT 5\n",
     "SELECT 1|SELECT 2|SELECT 5|", 0},
    {"enter = SELECT 1, -- one ; or\n  2 -- two\n", "SELECT 1, -- one ; or\n2|", 0},
    {"enter = SELECT 1 /* ; */ + 1 ;\n", "SELECT 1 /* ; */ + 1|", 0},
    {"enter = SELECT 'a ; b'\n", "SELECT 'a ; b'|", 0},
    {"enter = SELECT 'a\n ; a comment\n b'\n", "SELECT 'a\n\nb'|", 0},
    {"enter = SELECT \"a ; b\"; SELECT E'\\' ; $9'\n", "SELECT \"a ; b\"|SELECT E'\\' ; $9'|", 0},
    {"enter = DO $x$ BEGIN ; COMMIT ; END $x$ ; SELECT 1\n",
     "DO $x$ BEGIN ; COMMIT ; END $x$|SELECT 1|", 0},
    {"enter = CREATE FUNCTION pg_temp.f(int) RETURNS int\n  BEGIN ATOMIC\n  SELECT $2 ; END ;\n"
     "  SELECT $1\n",
     "CREATE FUNCTION pg_temp.f(int) RETURNS int\nBEGIN ATOMIC\nSELECT $2 ; END|SELECT $1|", 1},
    {"enter = SELECT $2, $1; SELECT $001\n", "SELECT $2, $1|SELECT $001|", 2},
    {"cleanup = SELECT $3, $2\nenter = SELECT $1\n", "SELECT $1|", 3},
    {"enter = SELECT '$5', $1, \"$7\", $$ $8 $$, a$9\n", "SELECT '$5', $1, \"$7\", $$ $8 $$, a$9|",
     1},
    {"enter = SELECT begin, \"commit\" FROM enter; TABLE use\n",
     "SELECT begin, \"commit\" FROM enter|TABLE use|", 0},
    {"enter = SHOW work_mem; COPY t FROM '/stdin'\n", "SHOW work_mem|COPY t FROM '/stdin'|", 0},
    {"enter = COPY (SELECT 1 FROM stdin) TO '/dev/null'\n",
     "COPY (SELECT 1 FROM stdin) TO '/dev/null'|", 0},
    {"enter = SET LOCAL x = 1; COMMIT PREPARED 'a'\n", "SET LOCAL x = 1|COMMIT PREPARED 'a'|", 0},
};

START_TEST(statements_are_split_as_sql)
{
	char *text = mem_printf(POOL "[scope s]\n%ssuppress = on ; off\n", lists[_i].text);
	struct conf *c = conf_good(text);
	const struct conf_scope *s = conf_scope(c, "s");
	char *found = mem_strdup("");

	for (unsigned i = 0; i < s->enter.count; i++) {
		char *more = mem_printf("%s%s|", found, s->enter.list[i].sql);

		free(found);
		found = more;
	}
	ck_assert_str_eq(found, lists[_i].expected);
	ck_assert_uint_eq(s->nargs, lists[_i].nargs);
	ck_assert(s->suppress);
	free(found);
	free(text);
	conf_free(c);
}
END_TEST

/* A semicolon behind a blank on every place of inih's buffer. */
START_TEST(statements_may_stand_in_long_lines)
{
	for (int at = 150; at < 250; at++) {
		char *text = mem_printf(POOL "[scope s]\nenter = SELECT '%0*d   ;  ; y' ; SELECT "
					     "%0300d ; TABLE x\n  SELECT '%0*d  ; z' ; TABLE y\n",
					at, 1, 2, at, 3);
		char *first = mem_printf("SELECT '%0*d   ;  ; y'", at, 1);
		struct conf *c = conf_good(text);
		const struct conf_statements *s = &conf_scope(c, "s")->enter;

		ck_assert_uint_eq(s->count, 4);
		ck_assert_str_eq(s->list[0].sql, first);
		ck_assert_str_eq(s->list[3].sql, "TABLE y");
		conf_free(c);
		free(first);
		free(text);
	}
}
END_TEST

START_TEST(a_scope_has_its_options)
{
	struct conf *c =
	    conf_good("[scope Plain-1.x]\n[scope full]\npool = a\nwait = 250ms\ndeadline = 30\n"
		      "isolation = Repeatable Read\naccess = READ ONLY\nsuppress = yes\n"
		      "enter = SELECT $1, $3\non_commit = SELECT $2\non_rollback = SELECT 3\n"
		      "cleanup = SELECT 4; SELECT 5\n" POOL "[scope zero]\nwait = 0\n");
	const struct conf_scope *plain = conf_scope(c, "Plain-1.x"), *full = conf_scope(c, "full");

	ck_assert_uint_eq(c->nscopes, 3);
	ck_assert_ptr_eq(plain, &c->scopes[0]);
	ck_assert_ptr_null(conf_scope(c, "plain-1.x"));
	ck_assert_ptr_null(conf_scope(c, ""));
	ck_assert_str_eq(plain->pool, "");
	ck_assert_int_eq(plain->wait_us, CONF_UNSET);
	ck_assert_int_eq(plain->deadline_us, 0);
	ck_assert_int_eq(plain->isolation, CONF_ISOLATION_DEFAULT);
	ck_assert_int_eq(plain->access, CONF_ACCESS_DEFAULT);
	ck_assert(!plain->suppress);
	ck_assert_uint_eq(plain->enter.count + plain->on_commit.count + plain->on_rollback.count +
			      plain->cleanup.count,
			  0);
	ck_assert_uint_eq(plain->nargs, 0);
	ck_assert_int_eq(conf_scope(c, "zero")->wait_us, 0);
	ck_assert_str_eq(full->pool, "a");
	ck_assert_int_eq(full->wait_us, 250 * UNIT_MS);
	ck_assert_int_eq(full->deadline_us, 30 * UNIT_S);
	ck_assert_int_eq(full->isolation, CONF_REPEATABLE_READ);
	ck_assert_int_eq(full->access, CONF_READ_ONLY);
	ck_assert(full->suppress);
	ck_assert_str_eq(full->enter.list[0].sql, "SELECT $1, $3");
	ck_assert_uint_eq(full->enter.list[0].args, 5);
	ck_assert_uint_eq(full->on_commit.list[0].args, 2);
	ck_assert_str_eq(full->on_rollback.list[0].sql, "SELECT 3");
	ck_assert_uint_eq(full->on_rollback.list[0].args, 0);
	ck_assert_uint_eq(full->cleanup.count, 2);
	ck_assert_uint_eq(full->nargs, 3);
	conf_free(c);
}
END_TEST

START_TEST(as_many_arguments_as_there_may_be)
{
	char *text = mem_strdup(POOL "[scope s]\nenter = SELECT $1");
	struct conf *c;

	for (unsigned n = 2; n <= CONF_ARGS_MAX; n++) {
		char *more = mem_printf("%s, $%u", text, n);

		free(text);
		text = more;
	}
	c = conf_good(text);
	ck_assert_uint_eq(c->scopes[0].nargs, CONF_ARGS_MAX);
	ck_assert_uint_eq(c->scopes[0].enter.list[0].args, UINT64_MAX);
	conf_free(c);
	free(text);
}
END_TEST

START_TEST(there_are_not_too_many_scopes)
{
	char *text = mem_alloc(64 << 10);
	size_t n = sprintf(text, "%s", POOL);
	struct conf_problems p;

	for (int i = 0; i < CONF_SCOPES_MAX; i++)
		n += sprintf(text + n, "[scope s%d]\n", i);
	/* Pools are counted on their own. */
	n += sprintf(text + n, "[pool b]\nconninfo=dbname=b\n");
	conf_free(conf_good(text));
	sprintf(text + n, "[scope more]\n");
	ck_assert_ptr_null(conf_load_bytes(text, strlen(text), &p));
	ck_assert_uint_eq(p.count, 1);
	ck_assert_uint_eq(p.list[0].line, CONF_SCOPES_MAX + 5);
	ck_assert_str_eq(p.list[0].text, "too many scopes: the maximum is 1000");
	conf_problems_clear(&p);
	free(text);
}
END_TEST

START_TEST(a_long_list_of_statements_is_refused)
{
	char *text = mem_alloc(100 << 10);
	size_t n = sprintf(text, POOL "[scope s]\nenter =\n");
	struct conf_problems p;

	for (int i = 0; i < 10000; i++)
		n += sprintf(text + n, " TABLE a;\n");
	ck_assert_ptr_null(conf_load_bytes(text, n, &p));
	ck_assert_uint_eq(p.count, 1);
	/* Each line has 8 bytes and its line end. */
	ck_assert_uint_eq(p.list[0].line, 4 + CONF_VALUE_MAX / 9 + 1);
	ck_assert_str_eq(p.list[0].text, "enter (line 4) is too long: the maximum is 65536 bytes");
	conf_problems_clear(&p);
	free(text);
}
END_TEST

START_TEST(show_config_lists_the_scopes)
{
	struct conf *c = conf_good(POOL "[scope s]\nenter = SELECT 1 ;\n  -- two\n  SELECT 2;\n"
					"wait = 90\n[scope t]\n");
	unsigned n = conf_entries(c), seen[2] = {0, 0};
	char *source = mem_printf("%s:4", conf_text_path);

	for (unsigned i = 0; i < n; i++) {
		struct conf_entry e;
		bool s, t;

		conf_entry(c, i, &e);
		s = strcmp(e.section, "scope s") == 0;
		t = strcmp(e.section, "scope t") == 0;
		seen[0] += s;
		seen[1] += t;
		if (s && strcmp(e.name, "enter") == 0) {
			ck_assert_str_eq(e.value, "SELECT 1; SELECT 2");
			ck_assert_str_eq(e.default_text, "");
			ck_assert_str_eq(e.source, source);
		} else if (s && strcmp(e.name, "wait") == 0) {
			ck_assert_str_eq(e.value, "90s");
		} else if (t && strcmp(e.name, "wait") == 0) {
			ck_assert_str_eq(e.value, "");
			ck_assert_str_eq(e.source, "default");
		} else if (!s && !t) {
			/* Nowhere else, and before them. */
			ck_assert_str_ne(e.name, "enter");
			ck_assert_uint_eq(seen[0] + seen[1], 0);
		}
		conf_entry_clear(&e);
	}
	ck_assert_uint_eq(seen[0], 10);
	ck_assert_uint_eq(seen[1], 10);
	free(source);
	conf_free(c);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("conf_scopes");
	TCase *t = tcase_create("conf_scopes");
	SRunner *r = srunner_create(s);
	int failed;

	if (!conf_text_begin())
		return EXIT_FAILURE;
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, statements_are_split_as_sql, 0, sizeof lists / sizeof *lists);
	tcase_add_test(t, statements_may_stand_in_long_lines);
	tcase_add_test(t, a_scope_has_its_options);
	tcase_add_test(t, as_many_arguments_as_there_may_be);
	tcase_add_test(t, there_are_not_too_many_scopes);
	tcase_add_test(t, a_long_list_of_statements_is_refused);
	tcase_add_test(t, show_config_lists_the_scopes);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	conf_text_end();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
