/* Cleanup with statements that are to be run: see check_cleanup.c for the rest. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "machine.h"
#include "pool/cleanup.c"
#include "wire/msg.h"

START_TEST(statements_run_one_by_one)
{
	struct machine m;

	machine_init(&m);
	sent(&m, "Q");
	answer(&m, "CZT");
	start_with(&m, CLEANUP_CLIENT_GONE, false, true, WITH("a", "b", "c"));
	went(&m, "Q ROLLBACK");
	answer(&m, "CZI");
	step(&m);
	in_state(&m, CLEANUP_RUNNING);
	went(&m, "Q a");
	answer(&m, "C");
	step(&m);
	went(&m, "");
	answer(&m, "ZI");
	step(&m);
	went(&m, "Q b");
	/* A failure is noted, and the next one runs. */
	answer(&m, "EZI");
	step(&m);
	went(&m, "Q c");
	has_done(&m, "a, b 22012 no");
	answer(&m, "CZI");
	step(&m);
	in_state(&m, CLEANUP_RESTORING);
	went(&m, "Q DISCARD ALL");
	answer(&m, "CZI");
	step(&m);
	has_done(&m, "a, b 22012 no, c");
	ck_assert_uint_eq(m.cancels, 0);
	done(&m);
}
END_TEST

START_TEST(a_scope_that_ended_well_cancels_nothing)
{
	struct machine m;

	machine_init(&m);
	start_with(&m, CLEANUP_SCOPE_END, false, false, WITH("a"));
	in_state(&m, CLEANUP_RUNNING);
	went(&m, "Q a");
	answer(&m, "CZI");
	step(&m);
	ck_assert_uint_eq(m.c.cancels, 0);
	done(&m);
	/* A cancel of its client that has not ended is waited for, and may hit the first. */
	machine_init(&m);
	m.cancels = 1;
	start_with(&m, CLEANUP_SCOPE_END, false, false, WITH("a", "b"));
	in_state(&m, CLEANUP_CANCELLING);
	went(&m, "");
	cancel_ends(&m);
	went(&m, "Q a");
	answer(&m, "eZI");
	step(&m);
	went(&m, "Q a");
	answer(&m, "CZI");
	step(&m);
	went(&m, "Q b");
	answer(&m, "eZI");
	step(&m);
	went(&m, "Q b");
	answer(&m, "eZI");
	step(&m);
	has_done(&m, "a, b 57014 no");
	done(&m);
}
END_TEST

START_TEST(what_a_statement_leaves_open_is_rolled_back)
{
	struct machine m;

	machine_init(&m);
	start_with(&m, CLEANUP_SCOPE_END, false, false, WITH("a", "b", "c", "d"));
	went(&m, "Q a");
	answer(&m, "CZT");
	step(&m);
	in_state(&m, CLEANUP_ROLLING_BACK);
	went(&m, "Q ROLLBACK");
	answer(&m, "CZI");
	step(&m);
	went(&m, "Q b");
	answer(&m, "CEZE");
	step(&m);
	went(&m, "Q ROLLBACK");
	/* Each has its own attempts. */
	answer(&m, "eZE");
	step(&m);
	went(&m, "Q ROLLBACK");
	answer(&m, "CZI");
	step(&m);
	went(&m, "Q c");
	answer(&m, "CZT");
	step(&m);
	went(&m, "Q ROLLBACK");
	answer(&m, "eZE");
	step(&m);
	went(&m, "Q ROLLBACK");
	answer(&m, "CZI");
	step(&m);
	went(&m, "Q d");
	answer(&m, "eZE");
	step(&m);
	went(&m, "Q ROLLBACK");
	answer(&m, "CZI");
	step(&m);
	went(&m, "Q d");
	answer(&m, "CZT");
	step(&m);
	went(&m, "Q ROLLBACK");
	answer(&m, "CZI");
	step(&m);
	has_done(&m, "a 25001 it left a transaction open, which was rolled back, b 22012 no, "
		     "c 25001 it left a transaction open, which was rolled back, "
		     "d 25001 it left a transaction open, which was rolled back");
	done(&m);
}
END_TEST

START_TEST(copies_of_statements)
{
	struct machine m;

	machine_init(&m);
	start_with(&m, CLEANUP_SCOPE_END, false, false, WITH("a", "b"));
	went(&m, "Q a");
	answer(&m, "G");
	step(&m);
	went(&m, "f");
	step(&m);
	went(&m, "");
	/* That was no cancel: not again. */
	answer(&m, "eZI");
	step(&m);
	went(&m, "Q b");
	answer(&m, "Hdd");
	step(&m);
	went(&m, "");
	answer(&m, "dcCZI");
	step(&m);
	has_done(&m, "a 57014 no, b");
	done(&m);
}
END_TEST

/* In the extended protocol the Sync behind a COPY IN may have been read or not. */
START_TEST(a_copy_of_a_bound_statement)
{
	const char *const values[] = {"1"};
	struct machine m;
	struct todo todo;

	todo_init(&todo);
	todo_add(&todo, "a", values, 1, 0, "label");
	todo_add(&todo, "b", NULL, 0, 0, "label");
	machine_init(&m);
	cleanup_start(&m.c, CLEANUP_SCOPE_END, &todo, false, false, LIMIT_US, m.now_us);
	step(&m);
	went(&m, "P, B, E, S");
	answer(&m, "12G");
	step(&m);
	went(&m, "f, H");
	answer(&m, "e");
	step(&m);
	went(&m, "S");
	answer(&m, "ZI");
	step(&m);
	/* Asked away, as for a client. */
	in_state(&m, CLEANUP_DRAINING);
	ck_assert(m.p.marked);
	has_done(&m, "a 57014 no");
	machine_clear(&m);
}
END_TEST

START_TEST(a_statement_that_hangs_is_cancelled)
{
	struct machine m;

	machine_init(&m);
	start_with(&m, CLEANUP_SCOPE_END, false, true, WITH("a", "b", "c"));
	went(&m, "Q a");
	m.now_us += LIMIT_US / 2 - 1;
	step(&m);
	in_state(&m, CLEANUP_RUNNING);
	m.now_us++;
	step(&m);
	in_state(&m, CLEANUP_CANCELLING);
	ck_assert_uint_eq(m.cancels, 1);
	answer(&m, "eZI");
	step(&m);
	in_state(&m, CLEANUP_CANCELLING);
	cancel_ends(&m);
	has_done(&m, "a 57014 no");
	in_state(&m, CLEANUP_RUNNING);
	went(&m, "Q b");
	/* The next one has its own time, the last answer is what counts, and its transaction is
	 * rolled back. */
	m.now_us += LIMIT_US / 2;
	step(&m);
	in_state(&m, CLEANUP_CANCELLING);
	cancel_ends(&m);
	in_state(&m, CLEANUP_DRAINING);
	m.now_us += RECANCEL_US;
	step(&m);
	ck_assert_uint_eq(m.cancels, 1);
	answer(&m, "EZE");
	cancel_ends(&m);
	in_state(&m, CLEANUP_ROLLING_BACK);
	went(&m, "Q ROLLBACK");
	answer(&m, "CZI");
	step(&m);
	went(&m, "Q c");
	m.now_us += LIMIT_US / 2;
	step(&m);
	/* It was carried out in time after all. */
	answer(&m, "CZI");
	cancel_ends(&m);
	has_done(&m, "a 57014 no, b 22012 no, c");
	in_state(&m, CLEANUP_RESTORING);
	went(&m, "Q DISCARD ALL");
	/* This is hit by the late cancel. */
	answer(&m, "eZI");
	step(&m);
	went(&m, "Q SET statement_timeout = 0");
	answer(&m, "CZI");
	step(&m);
	went(&m, "Q DISCARD ALL");
	answer(&m, "CZI");
	step(&m);
	done(&m);
}
END_TEST

START_TEST(a_statement_that_no_cancel_ends_breaks)
{
	struct machine m;

	machine_init(&m);
	start_with(&m, CLEANUP_SCOPE_END, false, true, WITH("a", "b"));
	m.now_us += LIMIT_US / 2;
	step(&m);
	while (m.c.state != CLEANUP_BROKEN) {
		m.now_us += LIMIT_US / 20;
		if (m.cancels)
			cancel_ends(&m);
		else
			step(&m);
		ck_assert_int_le(m.now_us, 1000 + LIMIT_US);
	}
	has_done(&m, "");
	cleanup_abandon(&m.c, "gone");
	has_done(&m, "a 08007 gone, b 08006 gone");
	ck_assert_ptr_null(list_first(&m.c.due.list));
	ck_assert(!m.c.running);
	machine_clear(&m);
}
END_TEST

/* Each takes nearly all its time: together they take more than the one limit. */
START_TEST(every_statement_has_its_limit)
{
	struct machine m;

	machine_init(&m);
	start_with(&m, CLEANUP_SCOPE_END, false, true, WITH("a", "b", "c", "d", "e"));
	for (unsigned i = 0; i < 5; i++) {
		in_state(&m, CLEANUP_RUNNING);
		m.now_us += LIMIT_US / 2;
		step(&m);
		cancel_ends(&m);
		m.now_us += LIMIT_US / 2 - 1;
		answer(&m, "eZI");
		/* Time is looked at only at the next step. */
		m.now_us -= LIMIT_US / 4;
		step(&m);
	}
	in_state(&m, CLEANUP_RESTORING);
	ck_assert_int_gt(m.now_us, 3 * LIMIT_US);
	ck_assert_uint_eq(m.c.done.list.count, 5);
	m.now_us += LIMIT_US / 4 + 1;
	step(&m);
	broken(&m, "time ran out while restoring");
}
END_TEST

START_TEST(what_is_kept_is_not_discarded)
{
	struct machine m;

	machine_init(&m);
	sent(&m, "Q");
	answer(&m, "CZT");
	start_with(&m, CLEANUP_CLIENT_GONE, true, true, WITH("a"));
	went(&m, "Q ROLLBACK");
	answer(&m, "CZI");
	step(&m);
	went(&m, "Q a");
	answer(&m, "CZI");
	step(&m);
	in_state(&m, CLEANUP_DONE);
	went(&m, "");
	cleanup_over(&m.c);
	ck_assert_ptr_null(list_first(&m.c.done.list));
	start_with(&m, CLEANUP_CLIENT_GONE, false, true, WITH("b"));
	went(&m, "Q b");
	has_done(&m, "");
	answer(&m, "CZI");
	step(&m);
	went(&m, "Q DISCARD ALL");
	answer(&m, "CZI");
	step(&m);
	has_done(&m, "b");
	done(&m);
	/* Nobody wants it back. */
	machine_init(&m);
	start_with(&m, CLEANUP_CLIENT_GONE, true, false, WITH("a"));
	cleanup_keep_not(&m.c);
	answer(&m, "CZI");
	step(&m);
	in_state(&m, CLEANUP_RESTORING);
	went(&m, "Q a, Q DISCARD ALL");
	machine_clear(&m);
}
END_TEST

static void
tagged(struct machine *m, const char *tag)
{
	struct buf b;

	buf_init(&b, 4096);
	msg_complete(&b, tag);
	msg_ready(&b, 'I');
	ck_assert_int_eq(progress_received(&m->p, buf_data(&b), b.len), 0);
	buf_clear(&b);
}

START_TEST(a_statement_that_deallocates)
{
	static const char *const tags[] = {"DEALLOCATE", "DEALLOCATE ALL", "DISCARD ALL", "SELECT"};

	for (unsigned i = 0; i < 4; i++) {
		for (unsigned keep = 0; keep < 2; keep++) {
			struct machine m;

			machine_init(&m);
			start_with(&m, CLEANUP_SCOPE_END, keep, false, WITH("a", "b"));
			tagged(&m, tags[i]);
			step(&m);
			tagged(&m, "SELECT");
			step(&m);
			/* Kept, that is for later. */
			in_state(&m, i < 3 && !keep ? CLEANUP_RESTORING : CLEANUP_DONE);
			ck_assert_int_eq(m.c.discard, i < 3);
			ck_assert(!m.p.watch && !m.p.deallocated_all && m.p.deallocated == 0);
			machine_clear(&m);
		}
	}
}
END_TEST

START_TEST(a_statement_that_does_not_fit)
{
	struct machine m;
	char *sql = mem_alloc(BYTES_MAX);

	memset(sql, 'x', BYTES_MAX - 1);
	sql[BYTES_MAX - 1] = 0;
	machine_init(&m);
	start_with(&m, CLEANUP_SCOPE_END, false, false, WITH(sql, "b"));
	went(&m, "Q b");
	answer(&m, "CZI");
	step(&m);
	ck_assert_str_eq(LIST_OBJ(list_first(&m.c.done.list), struct todo_stmt, node)->sqlstate,
			 "54000");
	done(&m);
	free(sql);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cleanup_todo");
	TCase *t = tcase_create("cleanup_todo");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, statements_run_one_by_one);
	tcase_add_test(t, a_scope_that_ended_well_cancels_nothing);
	tcase_add_test(t, what_a_statement_leaves_open_is_rolled_back);
	tcase_add_test(t, copies_of_statements);
	tcase_add_test(t, a_copy_of_a_bound_statement);
	tcase_add_test(t, a_statement_that_hangs_is_cancelled);
	tcase_add_test(t, a_statement_that_no_cancel_ends_breaks);
	tcase_add_test(t, every_statement_has_its_limit);
	tcase_add_test(t, what_is_kept_is_not_discarded);
	tcase_add_test(t, a_statement_that_deallocates);
	tcase_add_test(t, a_statement_that_does_not_fit);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
