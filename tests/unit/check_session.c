/* The machine of a session: every move, legal and illegal, and what its state says. */
#include <check.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop/loop.h"
#include "loops.h"
#include "session/session.h"
#include "session/site.h"

/* moves[from][to]: 'x' may be made. */
static const char *const moves[SESSION_NSTATES] = {
    /* clang-format off */
    /*                        startup, lookup, password, login, cancel, idle, waiting, greeting, setup, active,
			      saving, scope, leaving, console, console_busy, closing, closed */
    [SESSION_STARTUP]      = ".xxxxx......xx.xx",
    [SESSION_LOOKUP]       = "..xx.x......xx.xx",
    [SESSION_PASSWORD]     = "...x.x......xx.xx",
    [SESSION_LOGIN]        = ".....x.x....x..xx",
    [SESSION_CANCEL]       = "............x..xx",
    [SESSION_IDLE]         = "......x.xx.xx..xx",
    [SESSION_WAITING]      = ".....x..xx..x..xx",
    [SESSION_GREETING]     = "...x.x......x..xx",
    [SESSION_SETUP]        = ".....x...x..x..xx",
    [SESSION_ACTIVE]       = ".....x....xxx..xx",
    [SESSION_SAVING]       = ".........x..x..xx",
    [SESSION_SCOPE]        = ".....x...x..x..xx",
    [SESSION_LEAVING]      = "................x",
    [SESSION_CONSOLE]      = "............x.xxx",
    [SESSION_CONSOLE_BUSY] = "............xx.xx",
    [SESSION_CLOSING]      = "................x",
    [SESSION_CLOSED]       = ".................",
    /* clang-format on */
};

/* In which it has been let in. */
static const char let_in[] = ".....xx.xxxx.xx..";

static struct site site;
static struct session s;

static void
setup(void)
{
	memset(&site, 0, sizeof site);
	memset(&s, 0, sizeof s);
	session_set_none(&s);
	site.loop = loops_new();
	list_init(&site.woken);
	list_init(&site.holds);
	for (int i = 0; i < SESSION_NSTATES; i++)
		list_init(&site.in_state[i]);
	s.id = 7;
	s.site = &site;
}

static void
teardown(void)
{
	loop_free(site.loop);
}

static void
put_into(enum session_state state)
{
	s.state = state;
	if (state != SESSION_CLOSED)
		list_append(&site.in_state[state], &s.node);
}

static void
take_out(void)
{
	if (list_linked(&s.node))
		list_remove(&site.in_state[s.state], &s.node);
}

START_TEST(moves_are_those_of_the_table)
{
	for (int to = 0; to < SESSION_NSTATES; to++) {
		bool may = moves[_i][to] == 'x';

		ck_assert_msg(session_may_move((enum session_state)_i, (enum session_state)to) ==
				  may,
			      "%d -> %d", _i, to);
		if (!may)
			continue;
		put_into((enum session_state)_i);
		session_set_state(&s, (enum session_state)to);
		ck_assert_int_eq(s.state, to);
		ck_assert_uint_eq(site.in_state[_i].count, 0);
		ck_assert_uint_eq(site.in_state[to].count, to == SESSION_CLOSED ? 0 : 1);
		take_out();
	}
}
END_TEST

START_TEST(another_move_ends_the_program)
{
	for (int to = 0; to < SESSION_NSTATES; to++) {
		int status;
		pid_t child;

		if (moves[_i][to] == 'x')
			continue;
		put_into((enum session_state)_i);
		child = fork();
		ck_assert_int_ge(child, 0);
		if (child == 0) {
			dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
			session_set_state(&s, (enum session_state)to);
			_exit(0);
		}
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 1, "%d -> %d", _i, to);
		take_out();
	}
}
END_TEST

/* One that ends goes on to say whether it had been let in before. */
START_TEST(who_was_let_in)
{
	enum session_state state = (enum session_state)_i;
	bool was = let_in[_i] == 'x';

	if (state == SESSION_LEAVING || state == SESSION_CLOSING || state == SESSION_CLOSED)
		return;
	put_into(state);
	ck_assert_int_eq(session_was_let_in(&s), was);
	session_set_state(&s, SESSION_CLOSING);
	ck_assert_int_eq(session_was_let_in(&s), was);
	session_set_state(&s, SESSION_CLOSED);
	ck_assert_int_eq(session_was_let_in(&s), was);
}
END_TEST

/* To people a session whose command goes on is at the console as before, and since then. */
START_TEST(the_console_is_one_state_to_people)
{
	put_into(SESSION_CONSOLE);
	s.since_us = 5;
	session_set_state(&s, SESSION_CONSOLE_BUSY);
	ck_assert_str_eq(session_state_name(s.state), "console");
	ck_assert(session_is_at_console(&s));
	ck_assert_int_eq(s.since_us, 5);
	session_set_state(&s, SESSION_CONSOLE);
	ck_assert_str_eq(session_state_name(s.state), "console");
	ck_assert_int_eq(s.since_us, 5);
	session_set_state(&s, SESSION_CLOSING);
	ck_assert_int_ne(s.since_us, 5);
	take_out();
}
END_TEST

START_TEST(bytes_that_wait_have_a_buffer_while_there_are_some)
{
	ck_assert_ptr_eq(s.in, &session_in_none);
	ck_assert_uint_eq(s.in->len, 0);
	session_drop_kept(&s, 0);
	buf_add(session_keep(&s), "abc", 3);
	buf_add(session_keep(&s), "de", 2);
	session_drop_kept(&s, 3);
	ck_assert_uint_eq(s.in->len, 2);
	ck_assert_mem_eq(buf_data(s.in), "de", 2);
	session_drop_kept(&s, 2);
	ck_assert_ptr_eq(s.in, &session_in_none);
	/* One that nothing was added to goes, too. */
	session_keep(&s);
	session_drop_kept(&s, 0);
	ck_assert_ptr_eq(s.in, &session_in_none);
}
END_TEST

START_TEST(what_few_have_is_there_while_there_is_any)
{
	struct rare *rare;
	int console;

	ck_assert_ptr_eq(s.rare, &rare_none);
	ck_assert_ptr_null(s.rare->stack);
	session_drop_rare(&s);
	rare = session_rare(&s);
	ck_assert_ptr_ne(rare, &rare_none);
	ck_assert_ptr_eq(session_rare(&s), rare);
	rare->console = &console;
	session_drop_rare(&s);
	ck_assert_ptr_eq(s.rare, rare);
	rare->console = NULL;
	session_drop_rare(&s);
	ck_assert_ptr_eq(s.rare, &rare_none);
}
END_TEST

#if UINTPTR_MAX == UINT64_MAX
/* An idle client is this and its place in site->sessions: see tests/bench/memory.py. malloc(3)
 * gives 8 bytes less than a multiple of 16, so a member more may cost 16 bytes. Before one is
 * added: is it only of a session at work (pool/hold.h), or of few (struct rare)? */
START_TEST(an_idle_one_is_small)
{
	ck_assert_uint_le(sizeof(struct session), 26 * 16 - 8);
}
END_TEST
#endif

int
main(void)
{
	Suite *suite = suite_create("session");
	TCase *t = tcase_create("session");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, moves_are_those_of_the_table, 0, SESSION_NSTATES);
	if (srunner_fork_status(runner) == CK_FORK)
		tcase_add_loop_test(t, another_move_ends_the_program, 0, SESSION_NSTATES);
	tcase_add_loop_test(t, who_was_let_in, 0, SESSION_NSTATES);
	tcase_add_test(t, the_console_is_one_state_to_people);
	tcase_add_test(t, bytes_that_wait_have_a_buffer_while_there_are_some);
	tcase_add_test(t, what_few_have_is_there_while_there_is_any);
#if UINTPTR_MAX == UINT64_MAX
	tcase_add_test(t, an_idle_one_is_small);
#endif
	suite_add_tcase(suite, t);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
