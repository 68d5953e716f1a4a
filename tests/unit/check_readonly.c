/* The machine of a transaction that only reads: every move, legal and illegal. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "session/readonly.h"

/* moves[from][to]: 'x' may be made, '=' is no move. */
static const char *const moves[READONLY_NSTATES] = {
    /* clang-format off */
    /*                      none, block, opening, open, ending, lone, running */
    [READONLY_NONE]      = "=x...x.",
    [READONLY_BLOCK]     = "x=x....",
    [READONLY_OPENING]   = "x.=xx..",
    [READONLY_OPEN]      = "x..=x..",
    [READONLY_ENDING]    = "x..x=..",
    [READONLY_LONE]      = "x....=x",
    [READONLY_RUNNING]   = "x.....=",
    /* clang-format on */
};

/* How a process ends that makes the move: its status, or -1 if a signal ended it. */
static int
status_of(enum readonly from, enum readonly to)
{
	struct hold h = {.readonly = (uint8_t)from};
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		readonly_set(&h, to);
		_exit(h.readonly == to ? 0 : 2);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(moves_are_those_of_the_table)
{
	for (int to = 0; to < READONLY_NSTATES; to++) {
		int status = status_of((enum readonly)_i, (enum readonly)to);
		int expected = moves[_i][to] == '.' ? 1 : 0;

		ck_assert_msg(status == expected, "%s -> %s: ended with %d, not with %d",
			      readonly_name((enum readonly)_i), readonly_name((enum readonly)to),
			      status, expected);
	}
}
END_TEST

START_TEST(names_differ)
{
	for (int a = 0; a < READONLY_NSTATES; a++)
		for (int b = 0; b < a; b++)
			ck_assert_str_ne(readonly_name((enum readonly)a),
					 readonly_name((enum readonly)b));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("readonly");
	TCase *t = tcase_create("readonly");
	SRunner *r = srunner_create(s);
	int failed;

	log_init("check_readonly", LOG_ERROR);
	tcase_add_loop_test(t, moves_are_those_of_the_table, 0, READONLY_NSTATES);
	tcase_add_test(t, names_differ);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
