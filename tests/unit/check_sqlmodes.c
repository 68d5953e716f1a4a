/* sqlmodes: the modes in BEGIN, START TRANSACTION and SET TRANSACTION, in all the forms of
 * PostgreSQL's grammar; everything else is not understood. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "wire/sqlmodes.h"

#define DEFAULT SQLMODES_ACCESS_DEFAULT
#define ONLY    SQLMODES_READ_ONLY
#define WRITE   SQLMODES_READ_WRITE

static const struct {
	const char *sql;
	struct sqlmodes modes; /* begins, level, serializable, deferrable, writes, access */
} statements[] = {
    {"BEGIN", {true, false, false, false, false, DEFAULT}},
    {"BEGIN WORK;", {true, false, false, false, false, DEFAULT}},
    {"begin read only", {true, false, false, false, false, ONLY}},
    {"BEGIN TRANSACTION READ ONLY", {true, false, false, false, false, ONLY}},
    {"START TRANSACTION READ ONLY ; ;", {true, false, false, false, false, ONLY}},
    {"/* a */ START -- b\n TRANSACTION/**/READ\tONLY", {true, false, false, false, false, ONLY}},
    {"BEGIN READ WRITE", {true, false, false, false, true, WRITE}},
    {"BEGIN READ ONLY, READ WRITE", {true, false, false, false, true, WRITE}},
    {"BEGIN READ WRITE READ ONLY", {true, false, false, false, true, ONLY}},
    {"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", {true, true, false, false, false, ONLY}},
    {"BEGIN READ ONLY ISOLATION LEVEL READ COMMITTED", {true, true, false, false, false, ONLY}},
    {"BEGIN ISOLATION LEVEL READ UNCOMMITTED", {true, true, false, false, false, DEFAULT}},
    {"BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY", {true, true, true, false, false, ONLY}},
    {"BEGIN ISOLATION LEVEL SERIALIZABLE, ISOLATION LEVEL READ COMMITTED",
     {true, true, false, false, false, DEFAULT}},
    {"BEGIN READ ONLY DEFERRABLE", {true, false, false, true, false, ONLY}},
    {"BEGIN NOT DEFERRABLE READ ONLY", {true, false, false, false, false, ONLY}},
    {"SET TRANSACTION READ ONLY", {false, false, false, false, false, ONLY}},
    {"set transaction isolation level repeatable read, read write;",
     {false, true, false, false, true, WRITE}},
};

static const char *const others[] = {
    "",
    ";",
    "SELECT 1",
    "START",
    "START READ ONLY",
    "BEGIN READ",
    "BEGIN READ \"only\"",
    "BEGIN 'READ ONLY'",
    "BEGIN ONLY",
    "BEGIN READ ONLY,",
    "BEGIN , READ ONLY",
    "BEGIN READ ONLY,, READ ONLY",
    "BEGIN READ ONLY; SELECT 1",
    "BEGIN; READ ONLY",
    "BEGIN ISOLATION LEVEL",
    "BEGIN ISOLATION LEVEL REPEATABLE",
    "BEGIN ISOLATION LEVEL READ ONLY",
    "BEGIN NOT READ ONLY",
    "BEGIN READ ONLY /* open",
    "BEGIN READ ONLY x",
    "BEGIN READ ONLY \\",
    "SET TRANSACTION",
    "SET TRANSACTION SNAPSHOT '1'",
    "SET transaction_read_only = on",
    "SET LOCAL transaction_read_only = on",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "COMMIT",
};

START_TEST(modes_are_read)
{
	const struct sqlmodes *want = &statements[_i].modes;
	struct sqlmodes m;

	ck_assert_msg(sqlmodes_read(statements[_i].sql, strlen(statements[_i].sql), &m), "%s",
		      statements[_i].sql);
	ck_assert_int_eq(m.begins, want->begins);
	ck_assert_int_eq(m.level, want->level);
	ck_assert_int_eq(m.serializable, want->serializable);
	ck_assert_int_eq(m.deferrable, want->deferrable);
	ck_assert_int_eq(m.writes, want->writes);
	ck_assert_int_eq(m.access, want->access);
}
END_TEST

START_TEST(others_are_none)
{
	struct sqlmodes m;

	ck_assert_msg(!sqlmodes_read(others[_i], strlen(others[_i]), &m), "%s", others[_i]);
}
END_TEST

/* A text that is cut off anywhere is another statement, or none; nothing behind it is read. */
START_TEST(cut_off)
{
	const char *sql = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

	for (size_t n = 0; n <= strlen(sql); n++) {
		char *copy = malloc(n + 1);
		struct sqlmodes m;

		ck_assert_ptr_nonnull(copy);
		memcpy(copy, sql, n);
		if (sqlmodes_read(copy, n, &m))
			ck_assert_int_eq(m.access == ONLY, n == strlen(sql));
		free(copy);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sqlmodes");
	TCase *t = tcase_create("sqlmodes");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_loop_test(t, modes_are_read, 0, sizeof statements / sizeof *statements);
	tcase_add_loop_test(t, others_are_none, 0, sizeof others / sizeof *others);
	tcase_add_test(t, cut_off);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
