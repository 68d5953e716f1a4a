/* sqlset: which parameter a SET or RESET is about, in all the forms of PostgreSQL's grammar. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "wire/sqlset.h"

#define S SQLSET_SETS
#define R SQLSET_RESETS
#define N SQLSET_NOTHING

static const struct {
	const char *sql;
	enum sqlset_does does;
	const char *name; /* NULL: not certain */
	const char *last; /* the token that was read last */
	bool local;
} statements[] = {
    {"SET x = 1", S, "x", "1", false},
    {"SET x TO 'a'", S, "x", "'a'", false},
    {"SET X = default", R, "x", "default", false},
    {"SET x TO \"default\"", S, "x", "\"default\"", false},
    {"SET x FROM CURRENT", S, "x", "FROM", false},
    {"SET SESSION x TO DEFAULT", R, "x", "DEFAULT", false},
    {"SET LOCAL x TO DEFAULT", R, "x", "DEFAULT", true},
    {"RESET x", R, "x", "", false},
    {"RESET X;", R, "x", ";", false},
    {"RESET ALL", SQLSET_RESETS_ALL, "", "", false},
    {"reset /* - */ all;", SQLSET_RESETS_ALL, "", ";", false},
    {"RESET \"all\"", R, "all", "", false},
    /* names */
    {"SET App.\"User\" = 1", S, "app.User", "1", false},
    {"SET \"a\"\"b\" = 1", S, "a\"b", "1", false},
    {"RESET U&\"work\\005fmem\"", R, "work_mem", "", false},
    {"RESET U&\"work!005fmem\" UESCAPE '!'", R, "work_mem", "", false},
    {"RESET \"app\" . U&\"wh\\006f\"", R, "app.who", "", false},
    {"SET a.b.c = DEFAULT", R, "a.b.c", "DEFAULT", false},
    {"SET app.U&\"\\00e9\" = 1", N, NULL, "U&\"\\00e9\"", false},
    {"RESET U&\"\\00e9\"", N, NULL, "U&\"\\00e9\"", false},
    /* 63 bytes of each part */
    {"RESET a123456789b123456789c123456789d123456789e123456789f123456789g123", R,
     "a123456789b123456789c123456789d123456789e123456789f123456789g12", "", false},
    /* by other words */
    {"SET TIME ZONE 'UTC'", S, "TimeZone", "'UTC'", false},
    {"SET TIME ZONE LOCAL", R, "TimeZone", "LOCAL", false},
    {"SET LOCAL TIME ZONE DEFAULT", R, "TimeZone", "DEFAULT", true},
    {"RESET TIME ZONE", R, "TimeZone", "", false},
    {"SET NAMES 'LATIN1'", S, "client_encoding", "'LATIN1'", false},
    {"SET NAMES", R, "client_encoding", "", false},
    {"SET NAMES; SELECT 1", R, "client_encoding", ";", false},
    {"SET NAMES DEFAULT", R, "client_encoding", "DEFAULT", false},
    {"SET SCHEMA 'a'", S, "search_path", "'a'", false},
    {"SET ROLE alice", S, "role", "alice", false},
    {"SET ROLE none", S, "role", "none", false},
    {"SET LOCAL ROLE 'alice'", S, "role", "'alice'", true},
    {"RESET ROLE", R, "role", "", false},
    {"SET SESSION AUTHORIZATION alice", S, "session_authorization", "alice", false},
    {"SET SESSION AUTHORIZATION DEFAULT", R, "session_authorization", "DEFAULT", false},
    {"SET SESSION SESSION AUTHORIZATION DEFAULT", R, "session_authorization", "DEFAULT", false},
    {"SET LOCAL SESSION AUTHORIZATION DEFAULT", R, "session_authorization", "DEFAULT", true},
    {"RESET SESSION AUTHORIZATION", R, "session_authorization", "", false},
    /* the same words as names */
    {"SET role TO DEFAULT", R, "role", "DEFAULT", false},
    {"SET role.x = 1", S, "role.x", "1", false},
    {"SET time.zone = 1", S, "time.zone", "1", false},
    {"RESET time.zone", R, "time.zone", "", false},
    {"SET names.x TO DEFAULT", R, "names.x", "DEFAULT", false},
    {"SET schema.x TO DEFAULT", R, "schema.x", "DEFAULT", false},
    {"SET session.x TO DEFAULT", R, "session.x", "DEFAULT", false},
    {"SET SESSION session.x TO DEFAULT", R, "session.x", "DEFAULT", false},
    {"SET local.x = 1", S, "local.x", "1", false},
    {"SET LOCAL local.x = 1", S, "local.x", "1", true},
    {"RESET session.x", R, "session.x", "", false},
    {"RESET session", R, "session", "", false},
    /* other statements, and what is none */
    {"SET TRANSACTION READ ONLY", N, "transaction", "READ", false},
    {"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", N, "characteristics", "AS", false},
    {"SET CONSTRAINTS ALL DEFERRED", N, "constraints", "ALL", false},
    {"SET XML OPTION DOCUMENT", N, "xml", "OPTION", false},
    {"SET", N, "", "", false},
    {"SET SESSION", N, "", "", false},
    {"SET LOCAL", N, "", "", true},
    {"SET 'x' = 1", N, "", "'x'", false},
    {"SET x", N, "x", "", false},
    {"SET x.", N, "", "", false},
    {"SET x.; RESET y", N, "", ";", false},
    {"RESET", N, "", "", false},
    {"RESET ;", N, "", ";", false},
};

START_TEST(statements_are_read)
{
	struct sqltext_token tok;
	struct sqltext text;
	struct sqlset set;
	size_t i = (size_t)_i;
	const char *sql = statements[i].sql;

	sqltext_init(&text, sql, strlen(sql), 0);
	sqltext_token(&text, &tok);
	sqlset_read(&text, &tok, &set);
	ck_assert_msg(set.does == statements[i].does, "%s: %d", sql, (int)set.does);
	ck_assert_msg(set.local == statements[i].local, "%s: local", sql);
	if (statements[i].name == NULL) {
		ck_assert_msg(set.length == -1, "%s: \"%s\"", sql, set.name);
	} else if (set.length != 0 || *statements[i].name) {
		ck_assert_msg(set.length == (long)strlen(statements[i].name), "%s: %ld", sql,
			      set.length);
		ck_assert_msg(strcmp(set.name, statements[i].name) == 0, "%s: \"%s\"", sql,
			      set.name);
	}
	ck_assert_msg(tok.length == strlen(statements[i].last) &&
			  strncmp(tok.start, statements[i].last, tok.length) == 0,
		      "%s: it ends at \"%.*s\"", sql, (int)tok.length, tok.start);
}
END_TEST

START_TEST(a_name_has_a_largest_size)
{
	char sql[2000] = "RESET a";
	struct sqltext_token tok;
	struct sqltext text;
	struct sqlset set;

	while (strlen(sql) < sizeof sql - 40) {
		strcat(sql, ".b123456789c123456789d123456789");
		sqltext_init(&text, sql, strlen(sql), 0);
		sqltext_token(&text, &tok);
		sqlset_read(&text, &tok, &set);
		ck_assert(set.length < SQLSET_NAME);
		if (strlen(sql) - 6 < SQLSET_NAME)
			ck_assert_str_eq(set.name, sql + 6);
		else
			ck_assert_int_eq(set.length, -1);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sqlset");
	TCase *t = tcase_create("sqlset");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_loop_test(t, statements_are_read, 0, sizeof statements / sizeof *statements);
	tcase_add_test(t, a_name_has_a_largest_size);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
