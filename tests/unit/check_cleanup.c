#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine.h"
#include "pool/cleanup.c"

/* ---- whatever the client has left ---- */

START_TEST(idle_in_a_transaction)
{
	struct machine m;

	machine_init(&m);
	sent(&m, "Q");
	answer(&m, "CZT");
	start(&m, CLEANUP_CLIENT_GONE, false);
	ck_assert_uint_eq(m.cancels, 0); /* nothing runs */
	in_state(&m, CLEANUP_ROLLING_BACK);
	went(&m, "Q ROLLBACK");
	step(&m);
	went(&m, "");
	answer(&m, "C");
	step(&m);
	in_state(&m, CLEANUP_ROLLING_BACK);
	answer(&m, "ZI");
	step(&m);
	done(&m);
}
END_TEST

START_TEST(idle_outside_a_transaction_needs_nothing)
{
	struct machine m;

	machine_init(&m);
	start(&m, CLEANUP_CLIENT_LEFT, false);
	done(&m);
}
END_TEST

START_TEST(a_running_query_is_cancelled)
{
	struct machine m;

	machine_init(&m);
	sent(&m, "Q");
	start(&m, CLEANUP_CLIENT_GONE, true);
	in_state(&m, CLEANUP_CANCELLING);
	ck_assert_uint_eq(m.cancels, 1);
	/* The answer alone does not end it: the cancel could still hit. */
	answer(&m, "eZE");
	step(&m);
	in_state(&m, CLEANUP_CANCELLING);
	went(&m, "");
	cancel_ends(&m);
	in_state(&m, CLEANUP_ROLLING_BACK);
	went(&m, "Q ROLLBACK");
	answer(&m, "CZI");
	step(&m);
	in_state(&m, CLEANUP_RESTORING);
	went(&m, "Q DISCARD ALL");
	answer(&m, "CZI");
	step(&m);
	ck_assert_uint_eq(m.c.cancels, 1);
	done(&m);
}
END_TEST

START_TEST(a_pipeline_is_cancelled_query_by_query)
{
	struct machine m;

	machine_init(&m);
	sent(&m, "QQQ");
	start(&m, CLEANUP_CLIENT_GONE, false);
	for (unsigned i = 1; i <= 3; i++) {
		in_state(&m, CLEANUP_CANCELLING);
		ck_assert_uint_eq(m.c.cancels, i);
		cancel_ends(&m);
		in_state(&m, CLEANUP_DRAINING);
		answer(&m, "eZI");
		step(&m);
	}
	done(&m);
}
END_TEST

START_TEST(a_cancel_that_hit_nothing_is_sent_again)
{
	struct machine m;

	machine_init(&m);
	sent(&m, "QQ");
	start(&m, CLEANUP_CLIENT_GONE, false);
	cancel_ends(&m);
	in_state(&m, CLEANUP_DRAINING);
	m.now_us += RECANCEL_US - 1;
	step(&m);
	in_state(&m, CLEANUP_DRAINING);
	m.now_us++;
	step(&m);
	in_state(&m, CLEANUP_CANCELLING);
	ck_assert_uint_eq(m.c.cancels, 2);
	answer(&m, "eZIeZI");
	cancel_ends(&m);
	done(&m);
}
END_TEST

START_TEST(extended_exchanges)
{
	struct machine m;

	/* All answered, no Sync: rolled back, not committed. */
	machine_init(&m);
	sent(&m, "PBEH");
	answer(&m, "12C");
	start(&m, CLEANUP_CLIENT_GONE, false);
	in_state(&m, CLEANUP_DRAINING);
	went(&m, "Q ROLLBACK");
	answer(&m, "CZI");
	step(&m);
	/* A Query in an open exchange: PostgreSQL 18 may fail in the next statement. */
	in_state(&m, CLEANUP_ROLLING_BACK);
	went(&m, "Q ROLLBACK");
	answer(&m, "eZI");
	step(&m);
	done(&m);
	ck_assert(!m.p.half_begun);
	/* In the middle: the answers are asked for first. */
	machine_init(&m);
	sent(&m, "PBE");
	start(&m, CLEANUP_CLIENT_GONE, false);
	cancel_ends(&m);
	in_state(&m, CLEANUP_DRAINING);
	went(&m, "H");
	answer(&m, "12");
	step(&m);
	went(&m, "");
	answer(&m, "e");
	step(&m);
	went(&m, "S");
	in_state(&m, CLEANUP_DRAINING);
	answer(&m, "ZI");
	step(&m);
	done(&m);
	/* An error that waits for its Sync. */
	machine_init(&m);
	sent(&m, "PBE");
	answer(&m, "E");
	start(&m, CLEANUP_CLIENT_GONE, false);
	went(&m, "S");
	answer(&m, "ZE");
	step(&m);
	in_state(&m, CLEANUP_ROLLING_BACK);
	machine_clear(&m);
}
END_TEST

START_TEST(copies)
{
	struct machine m;

	machine_init(&m);
	sent(&m, "Q");
	answer(&m, "G");
	start(&m, CLEANUP_CLIENT_GONE, false);
	in_state(&m, CLEANUP_CANCELLING);
	cancel_ends(&m);
	went(&m, "f");
	answer(&m, "eZI");
	step(&m);
	done(&m);
	/* Opened only while it drains. */
	machine_init(&m);
	sent(&m, "PBE");
	start(&m, CLEANUP_CLIENT_GONE, false);
	cancel_ends(&m);
	went(&m, "H");
	answer(&m, "12G");
	step(&m);
	went(&m, "f");
	answer(&m, "e");
	step(&m);
	went(&m, "S");
	answer(&m, "ZI");
	step(&m);
	done(&m);
	machine_init(&m);
	sent(&m, "Q");
	answer(&m, "Hd");
	start(&m, CLEANUP_CLIENT_GONE, false);
	cancel_ends(&m);
	went(&m, "");
	answer(&m, "ddeZI");
	step(&m);
	done(&m);
}
END_TEST

START_TEST(a_doubt_is_asked_away)
{
	struct machine m;
	char first[17];
	struct buf row;

	machine_init(&m);
	sent(&m, "PBES");
	answer(&m, "12G");
	sent(&m, "dS");
	answer(&m, "E");
	sent(&m, "S");
	answer(&m, "ZI");
	ck_assert(m.p.unsure && progress_at_rest(&m.p));
	start(&m, CLEANUP_CANCEL_PENDING, false);
	in_state(&m, CLEANUP_DRAINING);
	ck_assert(m.p.marked && !m.p.unsure);
	memcpy(first, m.p.mark, sizeof first);
	/* Neither what is too many, nor an error, nor an empty query, nor another row, nor an older
	 * question's answer is the answer. */
	answer(&m, "ZIIZIEZIDCZICZICZI");
	step(&m);
	in_state(&m, CLEANUP_DRAINING);
	ck_assert(m.p.marked);
	buf_reset(&m.out);
	progress_mark(&m.p, &m.out);
	ck_assert_str_ne(first, m.p.mark);
	buf_init(&row, 4096);
	msg_data_row(&row, &(const char *){first}, 1);
	ck_assert_int_eq(progress_received(&m.p, buf_data(&row), row.len), 0);
	answer(&m, "CZI");
	step(&m);
	in_state(&m, CLEANUP_DRAINING);
	buf_reset(&row);
	msg_data_row(&row, &(const char *){m.p.mark}, 1);
	for (size_t i = 0; i < row.len; i++)
		ck_assert_int_eq(progress_received(&m.p, buf_data(&row) + i, 1), 0);
	answer(&m, "C");
	step(&m);
	in_state(&m, CLEANUP_DRAINING);
	answer(&m, "ZI");
	buf_reset(&m.out);
	step(&m);
	buf_clear(&row);
	done(&m);
}
END_TEST

START_TEST(a_late_cancel_hits_our_own_statement)
{
	struct machine m;

	machine_init(&m);
	sent(&m, "Q");
	answer(&m, "CZT");
	start(&m, CLEANUP_CLIENT_GONE, true);
	went(&m, "Q ROLLBACK");
	answer(&m, "eZE");
	step(&m);
	in_state(&m, CLEANUP_ROLLING_BACK);
	went(&m, "Q ROLLBACK");
	answer(&m, "CZI");
	step(&m);
	went(&m, "Q DISCARD ALL");
	/* It may have been a statement_timeout. */
	for (int i = 0; i < 3; i++) {
		answer(&m, "eZI");
		step(&m);
		in_state(&m, CLEANUP_RESTORING);
		went(&m, "Q SET statement_timeout = 0");
		answer(&m, i == 1 ? "eZI" : "CZI");
		step(&m);
		went(&m, "Q DISCARD ALL");
	}
	answer(&m, "CZI");
	step(&m);
	done(&m);
}
END_TEST

/* What our own statement is answered, up to `most` times, until the machine breaks. */
static void
cut_short(struct machine *m, const char *answered, unsigned most)
{
	for (unsigned i = 0; i < most && m->c.state != CLEANUP_BROKEN; i++) {
		answer(m, answered);
		step(m);
	}
}

START_TEST(what_always_fails_or_otherwise_breaks)
{
	struct machine m;

	machine_init(&m);
	sent(&m, "Q");
	answer(&m, "CZT");
	start(&m, CLEANUP_CLIENT_GONE, true);
	cut_short(&m, "eZE", 5);
	in_state(&m, CLEANUP_ROLLING_BACK);
	cut_short(&m, "eZE", 15);
	broken(&m, "ROLLBACK failed");
	machine_init(&m);
	sent(&m, "Q");
	answer(&m, "CZT");
	start(&m, CLEANUP_CLIENT_GONE, true);
	answer(&m, "EZE");
	step(&m);
	broken(&m, "ROLLBACK failed");
	machine_init(&m);
	sent(&m, "Q");
	answer(&m, "CZT");
	start(&m, CLEANUP_CLIENT_GONE, true);
	answer(&m, "CZT"); /* that was no ROLLBACK */
	step(&m);
	broken(&m, "ROLLBACK failed");
	machine_init(&m);
	start(&m, CLEANUP_RESTORE, true);
	cut_short(&m, "eZI", 5);
	in_state(&m, CLEANUP_RESTORING);
	cut_short(&m, "eZI", 15);
	broken(&m, "DISCARD ALL failed");
	machine_init(&m);
	start(&m, CLEANUP_RESTORE, true);
	answer(&m, "EZI");
	step(&m);
	broken(&m, "DISCARD ALL failed");
}
END_TEST

START_TEST(half_a_message_breaks)
{
	struct machine m;

	machine_init(&m);
	sent(&m, "Q");
	m.p.to_left = 1;
	start(&m, CLEANUP_CLIENT_GONE, true);
	ck_assert_uint_eq(m.cancels, 0);
	ck_assert_uint_eq(m.out.len, 0);
	broken(&m, "the client left in the middle of a message");
}
END_TEST

START_TEST(a_pending_cancel_is_waited_for)
{
	struct machine m;

	machine_init(&m);
	m.cancels = 2;
	start(&m, CLEANUP_CANCEL_PENDING, false);
	in_state(&m, CLEANUP_CANCELLING);
	ck_assert_uint_eq(m.cancels, 2); /* none of its own */
	cancel_ends(&m);
	in_state(&m, CLEANUP_CANCELLING);
	cancel_ends(&m);
	done(&m);
}
END_TEST

START_TEST(changed_state_is_restored)
{
	struct machine m;

	machine_init(&m);
	start(&m, CLEANUP_RESTORE, true);
	in_state(&m, CLEANUP_RESTORING);
	ck_assert_uint_eq(m.cancels, 0);
	went(&m, "Q DISCARD ALL");
	answer(&m, "CZI");
	step(&m);
	done(&m);
}
END_TEST

START_TEST(each_step_has_its_limit)
{
	struct machine m;

	machine_init(&m);
	sent(&m, "Q");
	start(&m, CLEANUP_CLIENT_GONE, true);
	m.now_us += LIMIT_US / 2 - 1;
	step(&m);
	in_state(&m, CLEANUP_CANCELLING);
	m.now_us++;
	step(&m);
	broken(&m, "time ran out while cancelling");

	machine_init(&m);
	sent(&m, "PBE");
	answer(&m, "E");
	start(&m, CLEANUP_CLIENT_GONE, true);
	in_state(&m, CLEANUP_DRAINING);
	m.now_us += LIMIT_US / 2;
	step(&m);
	broken(&m, "time ran out while draining");

	machine_init(&m);
	sent(&m, "Q");
	answer(&m, "CZT");
	start(&m, CLEANUP_CLIENT_GONE, true);
	m.now_us += LIMIT_US / 2;
	step(&m);
	broken(&m, "time ran out while rolling back");

	machine_init(&m);
	start(&m, CLEANUP_RESTORE, true);
	m.now_us += LIMIT_US / 2;
	step(&m);
	broken(&m, "time ran out while restoring");
}
END_TEST

/* An answer that is there is taken before the time is looked at the next time; all steps together
 * have a limit even if each keeps its own. */
START_TEST(all_steps_have_one_limit)
{
	struct machine m;
	int rounds = 0;

	machine_init(&m);
	for (int i = 0; i < 100; i++)
		sent(&m, "Q");
	start(&m, CLEANUP_CLIENT_GONE, true);
	while (m.c.state != CLEANUP_BROKEN && rounds++ < 100) {
		m.now_us += LIMIT_US / 20;
		answer(&m, "eZI");
		if (m.cancels)
			cancel_ends(&m);
		else
			step(&m);
	}
	ck_assert_int_ge(rounds, 19);
	ck_assert_int_le(rounds, 21);
	ck_assert_str_eq(m.c.broken_why + strlen("time ran out while "),
			 m.c.broken_why[19] == 'c' ? "cancelling" : "draining");
	machine_clear(&m);
}
END_TEST

/* ---- moves ---- */

/* Every pair, in a child that may end loudly. */
START_TEST(only_legal_moves)
{
	for (unsigned from = 0; from < CLEANUP_NSTATES; from++) {
		for (unsigned to = 0; to < CLEANUP_NSTATES; to++) {
			static const char legal[CLEANUP_NSTATES][CLEANUP_NSTATES + 1] = {
			    /*               NCDRUSDB */
			    [CLEANUP_NONE] = "-+------",     [CLEANUP_CANCELLING] = "--+----+",
			    [CLEANUP_DRAINING] = "-+-+++-+", [CLEANUP_ROLLING_BACK] = "----++-+",
			    [CLEANUP_RUNNING] = "-+-+++-+",  [CLEANUP_RESTORING] = "------++",
			    [CLEANUP_DONE] = "+-------",     [CLEANUP_BROKEN] = "+-------",
			};
			int status;
			pid_t child = fork();

			ck_assert_int_ge(child, 0);
			if (child == 0) {
				struct cleanup c = {.state = from};

				if (freopen("/dev/null", "w", stderr) == NULL)
					_exit(2);
				if (to == CLEANUP_BROKEN)
					cleanup_break(&c, "test", 5);
				else if (to == CLEANUP_NONE)
					cleanup_over(&c);
				else
					set_cleanup_state(&c, to, 5);
				_exit(c.state == to && (to == CLEANUP_NONE || c.step_us == 5) ? 0
											      : 3);
			}
			ck_assert_int_eq(waitpid(child, &status, 0), child);
			ck_assert_msg(WIFEXITED(status) &&
					  WEXITSTATUS(status) == (legal[from][to] != '+'),
				      "%s -> %s: %#x", cleanup_state_name(from),
				      cleanup_state_name(to), (unsigned)status);
		}
	}
}
END_TEST

START_TEST(a_second_start_is_an_illegal_move)
{
	struct cleanup c = {.state = CLEANUP_NONE};

	cleanup_start(&c, CLEANUP_CLIENT_GONE, NULL, false, true, LIMIT_US, 1);
	if (freopen("/dev/null", "w", stderr))
		cleanup_start(&c, CLEANUP_CLIENT_GONE, NULL, false, true, LIMIT_US, 2);
}
END_TEST

START_TEST(names)
{
	for (unsigned i = 0; i < CLEANUP_NSTATES; i++)
		ck_assert_ptr_nonnull(cleanup_state_name(i));
	for (unsigned i = 0; i < CLEANUP_NWHY; i++)
		ck_assert_ptr_nonnull(cleanup_why_name(i));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cleanup");
	TCase *t = tcase_create("cleanup");
	SRunner *r = srunner_create(s);
	int failed;

	srunner_set_fork_status(r, CK_FORK); /* some end the process on purpose */
	tcase_add_test(t, idle_in_a_transaction);
	tcase_add_test(t, idle_outside_a_transaction_needs_nothing);
	tcase_add_test(t, a_running_query_is_cancelled);
	tcase_add_test(t, a_pipeline_is_cancelled_query_by_query);
	tcase_add_test(t, a_cancel_that_hit_nothing_is_sent_again);
	tcase_add_test(t, extended_exchanges);
	tcase_add_test(t, copies);
	tcase_add_test(t, a_doubt_is_asked_away);
	tcase_add_test(t, a_late_cancel_hits_our_own_statement);
	tcase_add_test(t, what_always_fails_or_otherwise_breaks);
	tcase_add_test(t, half_a_message_breaks);
	tcase_add_test(t, a_pending_cancel_is_waited_for);
	tcase_add_test(t, changed_state_is_restored);
	tcase_add_test(t, each_step_has_its_limit);
	tcase_add_test(t, all_steps_have_one_limit);
	tcase_add_test(t, only_legal_moves);
	tcase_add_exit_test(t, a_second_start_is_an_illegal_move, 1);
	tcase_add_test(t, names);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
