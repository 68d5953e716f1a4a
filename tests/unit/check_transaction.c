#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "scope/transaction.h"

/* In memory of just its size, so that ASan and valgrind see a step past the end. */
static struct grammar *
parsed(const char *text, bool *is)
{
	size_t n = strlen(text);
	char *exact = malloc(n ? n : 1);
	struct sqltext_stmt stmt;
	struct grammar *g;
	struct sqltext t;

	memcpy(exact, text, n);
	sqltext_init(&t, exact, n, 0);
	*is = sqltext_next(&t, &stmt) && transaction_is(&stmt);
	g = transaction_parse(exact, n, 0);
	free(exact);
	return g;
}

static const struct {
	const char *text, *tag, *modes;
	bool chain;
} good[] = {
    {"BEGIN", "BEGIN", NULL, false},
    {" /* x */ begin ; -- y\n;", "BEGIN", NULL, false},
    {"BEGIN WORK", "BEGIN", NULL, false},
    {"Begin Transaction Read Only", "BEGIN", "Read Only", false},
    {"START TRANSACTION", "START TRANSACTION", NULL, false},
    {"start transaction isolation level serializable, read write", "START TRANSACTION",
     "isolation level serializable, read write", false},
    {"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY NOT DEFERRABLE;", "BEGIN",
     "ISOLATION LEVEL REPEATABLE READ READ ONLY NOT DEFERRABLE", false},
    {"BEGIN ISOLATION LEVEL READ COMMITTED,ISOLATION LEVEL READ UNCOMMITTED, DEFERRABLE", "BEGIN",
     "ISOLATION LEVEL READ COMMITTED,ISOLATION LEVEL READ UNCOMMITTED, DEFERRABLE", false},
    {"COMMIT", "COMMIT", NULL, false},
    {"END WORK", "COMMIT", NULL, false},
    {"commit transaction and no chain", "COMMIT", NULL, false},
    {"END AND CHAIN", "COMMIT", NULL, true},
    {"ROLLBACK", "ROLLBACK", NULL, false},
    {"ABORT TRANSACTION;", "ROLLBACK", NULL, false},
    {"ROLLBACK WORK AND CHAIN", "ROLLBACK", NULL, true},
};

START_TEST(understood)
{
	bool is;
	struct grammar *g = parsed(good[_i].text, &is), *copy;

	ck_assert_msg(is, "%s", good[_i].text);
	ck_assert_ptr_nonnull(g);
	copy = grammar_copy(g);
	grammar_free(g);
	ck_assert_str_eq(grammar_tag(copy), good[_i].tag);
	ck_assert_int_eq(copy->chain, good[_i].chain);
	if (good[_i].modes) {
		/* White space before the first may be kept. */
		ck_assert_ptr_nonnull(copy->modes);
		ck_assert_str_eq(copy->modes + strspn(copy->modes, " "), good[_i].modes);
	} else {
		ck_assert_ptr_null(copy->modes);
	}
	grammar_free(copy);
}
END_TEST

/* `is`: it begins or ends a transaction, as far as its first words tell. */
static const struct {
	const char *text;
	bool is;
} bad[] = {
    {"", false},
    {"SELECT 1", false},
    {"\"BEGIN\"", false},
    {"'COMMIT'", false},
    {"SAVEPOINT x", false},
    {"ROLLBACK TO x", false},
    {"ROLLBACK WORK TO SAVEPOINT x", false},
    {"COMMIT PREPARED 'x'", false},
    {"ROLLBACK PREPARED 'x'", false},
    {"PREPARE TRANSACTION 'x'", false},
    {"beginning", false},
    {"START", true},
    {"START x", true},
    {"BEGIN x", true},
    {"BEGIN; SELECT 1", true},
    {"COMMIT; COMMIT", true},
    {"COMMIT 'x'", true},
    {"COMMIT AND", true},
    {"COMMIT AND NO", true},
    {"COMMIT AND CHAIN x", true},
    {"COMMIT CHAIN", true},
    {"COMMIT WORK TRANSACTION", true},
    {"BEGIN READ", true},
    {"BEGIN READ ONLY,", true},
    {"BEGIN , READ ONLY", true},
    {"BEGIN READ ONLY,, READ WRITE", true},
    {"BEGIN ISOLATION SERIALIZABLE", true},
    {"BEGIN ISOLATION LEVEL", true},
    {"BEGIN ISOLATION LEVEL REPEATABLE", true},
    {"BEGIN NOT", true},
    {"BEGIN \"READ\" ONLY", true},
    {"COMMIT /* no end", true},
};

START_TEST(not_understood)
{
	bool is;
	struct grammar *g = parsed(bad[_i].text, &is);

	ck_assert_msg(g == NULL, "%s", bad[_i].text);
	ck_assert_msg(is == bad[_i].is, "%s", bad[_i].text);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("transaction");
	TCase *t = tcase_create("transaction");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_loop_test(t, understood, 0, sizeof good / sizeof *good);
	tcase_add_loop_test(t, not_understood, 0, sizeof bad / sizeof *bad);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
