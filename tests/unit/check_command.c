#include <check.h>

/* Its statics are what is tested: with a table of our own, since no command of today is for
 * administrators only. */
#include "admin/command.c"

static const struct command some[] = {
    {.words = "SHOW", .arguments = "", .level = COMMAND_STATS, .help = "h"},
    {.words = "SHOW POOLS", .arguments = "", .level = COMMAND_STATS, .help = "h"},
    {.words = "SHOW POOLS EVER", .arguments = "", .level = COMMAND_STATS, .help = "h"},
    {.words = "PAUSE", .arguments = "[POOL]", .max_args = 1, .level = COMMAND_ADMIN, .help = "h"},
    {.words = "KILL",
     .arguments = "POOL NUMBER",
     .min_args = 2,
     .max_args = 2,
     .level = COMMAND_ADMIN,
     .help = "h"},
    {.words = "SET", .arguments = "...", .max_args = COMMAND_ANY_ARGS, .level = COMMAND_ANY},
};
#define SOME (sizeof some / sizeof *some)

/* The words of the command that was found; "" for an empty statement; NULL and the error in *e. */
static const char *
words_of(const char *text, bool admin, struct command_stmt *stmt, struct err *e)
{
	if (read_with(some, SOME, text, strlen(text), admin, stmt, e) < 0)
		return NULL;
	return stmt->command ? stmt->command->words : "";
}

START_TEST(the_most_words_win)
{
	static const char *const cases[][2] = {
	    {"SHOW", "SHOW"},
	    {" show\tpools ;", "SHOW POOLS"},
	    {"/* a /* b */ */ Show -- c\nPools Ever", "SHOW POOLS EVER"},
	    {"", ""},
	    {" -- nothing", ""},
	    {";", ""},
	    {"set a = 'b;c', d", "SET"},
	    {"set", "SET"},
	};
	struct command_stmt stmt;
	struct err e;

	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *words = words_of(cases[i][0], true, &stmt, &e);

		ck_assert_ptr_nonnull(words);
		ck_assert_str_eq(words, cases[i][1]);
	}
}
END_TEST

START_TEST(arguments_are_kept_and_counted)
{
	struct command_stmt stmt;
	struct err e;
	char text[200];

	ck_assert_str_eq(words_of("pause", true, &stmt, &e), "PAUSE");
	ck_assert_uint_eq(stmt.nargs, 0);
	ck_assert_str_eq(words_of("kill \"My Pool\" 12;", true, &stmt, &e), "KILL");
	ck_assert_uint_eq(stmt.nargs, 2);
	ck_assert_str_eq(stmt.args[0], "My Pool");
	ck_assert_str_eq(stmt.args[1], "12");
	ck_assert_ptr_null(words_of("kill a", true, &stmt, &e));
	ck_assert_str_eq(e.message, "wrong number of arguments: KILL POOL NUMBER");
	err_clear(&e);
	ck_assert_ptr_null(words_of("pause a b c d e f g h i", true, &stmt, &e));
	ck_assert_str_eq(e.sqlstate, "42601");
	err_clear(&e);
	snprintf(text, sizeof text, "pause %063d", 1);
	ck_assert_str_eq(words_of(text, true, &stmt, &e), "PAUSE");
	ck_assert_uint_eq(strlen(stmt.args[0]), 63);
	snprintf(text, sizeof text, "pause %064d", 1);
	ck_assert_ptr_null(words_of(text, true, &stmt, &e));
	err_clear(&e);
	/* A quote that does not end. */
	ck_assert_str_eq(words_of("pause '", true, &stmt, &e), "PAUSE");
}
END_TEST

START_TEST(privilege_comes_before_arguments)
{
	struct command_stmt stmt;
	struct err e;

	ck_assert_str_eq(words_of("SHOW POOLS", false, &stmt, &e), "SHOW POOLS");
	ck_assert_str_eq(words_of("SET a = b", false, &stmt, &e), "SET");
	ck_assert_ptr_null(words_of("PAUSE", false, &stmt, &e));
	ck_assert_str_eq(e.sqlstate, "42501");
	ck_assert_ptr_nonnull(strstr(e.message, "PAUSE"));
	err_clear(&e);
	ck_assert_ptr_null(words_of("KILL", false, &stmt, &e));
	ck_assert_str_eq(e.sqlstate, "42501");
	err_clear(&e);
}
END_TEST

START_TEST(the_nearest_command_is_named)
{
	static const char *const cases[][2] = {
	    {"SHOW POLS", "\"SHOW POOLS\""}, {"pools", "\"SHOW POOLS\""}, {"paus", "\"PAUSE\""},
	    {"completely different", NULL},  {"\"pause\"", NULL},
	};
	struct command_stmt stmt;
	struct err e;

	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		ck_assert_ptr_null(words_of(cases[i][0], true, &stmt, &e));
		ck_assert_str_eq(e.sqlstate, "42601");
		if (cases[i][1])
			ck_assert_ptr_nonnull(strstr(e.hint, cases[i][1]));
		else if (i == 3)
			ck_assert_ptr_null(strstr(e.hint, "did you mean"));
		err_clear(&e);
	}
}
END_TEST

/* The words in the table: what the parser relies on. */
START_TEST(the_table_is_sound)
{
	for (unsigned i = 0; i < COMMANDS; i++) {
		const struct command *c = &commands[i];

		ck_assert_ptr_nonnull(c->words);
		ck_assert_ptr_nonnull(c->arguments);
		ck_assert_ptr_nonnull(c->tag);
		ck_assert(c->run || (c->show && c->show->fill));
		ck_assert(c->max_args == COMMAND_ANY_ARGS || c->max_args <= COMMAND_ARGS);
		ck_assert_uint_le(c->min_args, c->max_args);
		ck_assert(!c->parameter == !c->value);
		for (unsigned j = 0; j < i; j++)
			ck_assert_str_ne(c->words, commands[j].words);
		for (const char *p = c->words; *p; p++)
			ck_assert((*p >= 'A' && *p <= 'Z') || *p == '_' ||
				  (*p == ' ' && p[1] != ' '));
	}
}
END_TEST

START_TEST(no_text_harms)
{
	static const char *const pieces[] = {"SHOW", " ",  "'",  "\"",   "$a$",    ";",   "POOLS",
					     "/*",   "--", "\n", "\xff", "SELECT", "\\x", "SET"};
	struct command_stmt stmt;
	struct err e;

	srand(7);
	for (unsigned i = 0; i < 20000; i++) {
		char text[128] = "";

		for (int n = rand() % 12; n > 0; n--)
			strcat(text, pieces[rand() % (int)(sizeof pieces / sizeof *pieces)]);
		if (command_read(text, strlen(text), rand() % 2, &stmt, &e) < 0)
			err_clear(&e);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("command");
	TCase *t = tcase_create("command");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, the_most_words_win);
	tcase_add_test(t, arguments_are_kept_and_counted);
	tcase_add_test(t, privilege_comes_before_arguments);
	tcase_add_test(t, the_nearest_command_is_named);
	tcase_add_test(t, the_table_is_sound);
	tcase_add_test(t, no_text_harms);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
