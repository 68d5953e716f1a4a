#include <check.h>

/* Its statics are what is tested: with a table of our own, which has all that a command can be. */
#include "admin/command.c"

static const struct command some[] = {
    {.words = "SHOW", .arguments = "", .level = LEVEL_STATS, .help = "h"},
    {.words = "SHOW POOLS", .arguments = "", .level = LEVEL_STATS, .help = "h"},
    {.words = "SHOW POOLS EVER", .arguments = "", .level = LEVEL_STATS, .help = "h"},
    {.words = "PAUSE", .arguments = "[POOL]", .max_args = 1, .level = LEVEL_ADMIN, .help = "h"},
    {.words = "KILL",
     .arguments = "POOL NUMBER",
     .min_args = 2,
     .max_args = 2,
     .level = LEVEL_ADMIN,
     .help = "h"},
    {.words = "SET", .arguments = "...", .max_args = COMMAND_ANY_ARGS, .level = LEVEL_ANY},
    {.words = "SET NAME", .max_args = COMMAND_ANY_ARGS, .level = LEVEL_ANY, .without_for = true},
};
#define SOME (sizeof some / sizeof *some)

/* The words of the command that was found; "" for an empty statement; NULL and the error in *e. */
static const char *
words_of(const char *text, enum level level, struct command_stmt *stmt, struct err *e)
{
	if (read_with(some, SOME, text, strlen(text), level, stmt, e) < 0)
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
	    {"SET name = 'x for y'", "SET NAME"},
	    {"SET name = x FOR POOL y", "SET"},
	    {"SET name = %a/%b/%c/%d for pool y", "SET"},
	};
	struct command_stmt stmt;
	struct err e;

	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *words = words_of(cases[i][0], LEVEL_ADMIN, &stmt, &e);

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

	ck_assert_str_eq(words_of("pause", LEVEL_ADMIN, &stmt, &e), "PAUSE");
	ck_assert_uint_eq(stmt.nargs, 0);
	ck_assert_str_eq(words_of("kill \"My Pool\" 12;", LEVEL_ADMIN, &stmt, &e), "KILL");
	ck_assert_uint_eq(stmt.nargs, 2);
	ck_assert_str_eq(stmt.args[0], "My Pool");
	ck_assert_str_eq(stmt.args[1], "12");
	ck_assert_ptr_null(words_of("kill a", LEVEL_ADMIN, &stmt, &e));
	ck_assert_str_eq(e.message, "wrong number of arguments: KILL POOL NUMBER");
	err_clear(&e);
	ck_assert_ptr_null(words_of("pause a b c d e f g h i", LEVEL_ADMIN, &stmt, &e));
	ck_assert_str_eq(e.sqlstate, "42601");
	err_clear(&e);
	snprintf(text, sizeof text, "pause %063d", 1);
	ck_assert_str_eq(words_of(text, LEVEL_ADMIN, &stmt, &e), "PAUSE");
	ck_assert_uint_eq(strlen(stmt.args[0]), 63);
	snprintf(text, sizeof text, "pause %064d", 1);
	ck_assert_ptr_null(words_of(text, LEVEL_ADMIN, &stmt, &e));
	err_clear(&e);
	/* A quote that does not end. */
	ck_assert_str_eq(words_of("pause '", LEVEL_ADMIN, &stmt, &e), "PAUSE");
}
END_TEST

START_TEST(privilege_comes_before_arguments)
{
	struct command_stmt stmt;
	struct err e;

	ck_assert_str_eq(words_of("SHOW POOLS", LEVEL_STATS, &stmt, &e), "SHOW POOLS");
	ck_assert_str_eq(words_of("SET a = b", LEVEL_STATS, &stmt, &e), "SET");
	ck_assert_ptr_null(words_of("PAUSE", LEVEL_STATS, &stmt, &e));
	ck_assert_str_eq(e.sqlstate, "42501");
	ck_assert_ptr_nonnull(strstr(e.message, "PAUSE"));
	err_clear(&e);
	ck_assert_ptr_null(words_of("KILL", LEVEL_STATS, &stmt, &e));
	ck_assert_str_eq(e.sqlstate, "42501");
	err_clear(&e);
	ck_assert_ptr_null(words_of("SHOW POOLS", LEVEL_ANY, &stmt, &e));
	ck_assert_str_eq(e.sqlstate, "42501");
	ck_assert_ptr_nonnull(strstr(e.message, "stats_users or admin_users"));
	err_clear(&e);
	ck_assert_str_eq(words_of("SET a = b", LEVEL_ANY, &stmt, &e), "SET");
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
		ck_assert_ptr_null(words_of(cases[i][0], LEVEL_ADMIN, &stmt, &e));
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
		ck_assert(c->run || (c->show && (c->show->fill || c->show->list)));
		ck_assert(!c->show || !c->show->list == !c->show->each);
		/* Who may not use it has no business with those of others. */
		ck_assert(c->others == LEVEL_ANY || c->others >= c->level);
		/* Only list() is told whose rows may be seen. */
		ck_assert(!c->show || c->others <= c->level || c->show->list);
		ck_assert(!c->wait || (c->run && c->level == LEVEL_ADMIN));
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

/* One's own sessions alone are shown to those who may not see others. */
START_TEST(own_is_user_and_role)
{
	struct session me = {.peer.uid = 5, .peer.role = (char *)"app"}, other = me, nobody = me;

	ck_assert(show_is_own(&me, &other) && show_is_own(NULL, &other));
	other.peer.role = (char *)"web";
	ck_assert(!show_is_own(&me, &other));
	other = me;
	other.peer.uid = 6;
	ck_assert(!show_is_own(&me, &other));
	nobody.peer.role = NULL; /* has not said who it is */
	ck_assert(!show_is_own(&me, &nobody));
}
END_TEST

/* Each level has what the one below it has. */
START_TEST(levels)
{
	struct conf conf = {.admin_users = (char *)"boss, root", .stats_users = (char *)"watcher"};
	struct site site = {.conf = &conf, .self = 77};
	struct session s = {.site = &site, .peer.uid = 5, .peer.role = (char *)"boss"};

	ck_assert_int_eq(level_of(&s), LEVEL_ADMIN);
	s.peer.role = (char *)"watcher";
	ck_assert_int_eq(level_of(&s), LEVEL_STATS);
	s.peer.role = (char *)"bos";
	ck_assert_int_eq(level_of(&s), LEVEL_ANY);
	s.peer.uid = 77;
	ck_assert_int_eq(level_of(&s), LEVEL_ADMIN);
	s.peer.uid = 0;
	ck_assert_int_eq(level_of(&s), LEVEL_ADMIN);
}
END_TEST

/* A long table comes in portions, and what is gone meanwhile is left out. */
static void
list_many(const struct daemon *d, const struct session *own, struct show_ids *ids)
{
	for (uint64_t id = 1; id <= 2 * SHOW_PORTION + 1; id++)
		show_ids_add(ids, id);
}

static void
each_odd(const struct daemon *d, uint64_t id, struct rows *r)
{
	if (id % 2 == 0)
		return;
	rows_begin(r);
	rows_number(r, (int64_t)id);
	rows_end(r);
}

START_TEST(portions)
{
	static const struct show show = SHOW_LIST(select_columns, list_many, each_odd);
	static const struct command c = {.words = "SHOW X", .show = &show};
	const struct command_stmt stmt = {.command = &c};
	struct show_ids ids = {0};
	struct buf out;
	struct rows r = {.out = &out, .columns = select_columns, .ncolumns = 1};
	const struct command_call call = {.stmt = &stmt, .rows = &r, .ids = &ids};
	struct err e;

	buf_init(&out, 1 << 20);
	ck_assert_int_eq(command_run(&call, &e), -E_AGAIN);
	ck_assert_uint_eq(r.count, SHOW_PORTION / 2);
	ck_assert_int_eq(command_go_on(&call, &e), -E_AGAIN);
	ck_assert_int_eq(command_go_on(&call, &e), 0);
	ck_assert_uint_eq(r.count, SHOW_PORTION + 1);
	ck_assert_ptr_null(ids.list);
	buf_clear(&out);
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
		if (command_read(text, strlen(text), (enum level)(rand() % 3), &stmt, &e) < 0)
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
	tcase_add_test(t, own_is_user_and_role);
	tcase_add_test(t, levels);
	tcase_add_test(t, portions);
	tcase_add_test(t, no_text_harms);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
