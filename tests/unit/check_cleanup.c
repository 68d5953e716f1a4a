#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "backend.h"
#include "base/mem.h"
#include "pool/cleanup.c"
#include "wire/frame.h"

#define LIMIT_US  1000000
#define BYTES_MAX (1024 * 1024)

static uint32_t seed; /* CHECK_SEED, or the time */

/* ---- one machine, driven by hand ---- */

struct machine {
	struct cleanup c;
	struct progress p;
	struct buf out;
	int64_t now_us;
	unsigned cancels; /* under way */
};

static void
machine_init(struct machine *m)
{
	memset(m, 0, sizeof *m);
	progress_init(&m->p);
	buf_init(&m->out, BYTES_MAX);
	m->now_us = 1000;
}

static void
machine_clear(struct machine *m)
{
	todo_clear(&m->c.due);
	todo_clear(&m->c.done);
	progress_clear(&m->p);
	buf_clear(&m->out);
}

/* What the client has sent, one letter a message. */
static void
sent(struct machine *m, const char *types)
{
	for (; *types; types++)
		progress_sent(&m->p, *types);
}

/* What the server answers: C, G, H, I, 1, 2; Zx a status; e with SQLSTATE 57014, E with 22012. */
static void
answer(struct machine *m, const char *text)
{
	struct buf b;

	buf_init(&b, 4096);
	for (; *text; text++) {
		if (*text == 'Z')
			msg_ready(&b, *++text);
		else if (*text == 'E' || *text == 'e')
			msg_report(&b, 'E', "ERROR", *text == 'e' ? "57014" : "22012", "no", NULL,
				   NULL);
		else
			backend_message(&b, *text, "\1");
	}
	ck_assert_int_eq(progress_received(&m->p, buf_data(&b), b.len), 0);
	buf_clear(&b);
}

static void
step(struct machine *m)
{
	if (cleanup_step(&m->c, &m->p, m->cancels, m->now_us, &m->out).cancel)
		m->cancels++;
}

static void
start(struct machine *m, enum cleanup_why why, bool discard)
{
	cleanup_start(&m->c, why, NULL, false, discard, LIMIT_US, m->now_us);
	step(m);
}

/* The same with statements, given as a NULL-ended list. */
static void
start_with(struct machine *m, enum cleanup_why why, bool keep, bool discard,
	   const char *const *statements)
{
	struct todo todo;

	todo_init(&todo);
	for (; *statements; statements++)
		todo_add(&todo, *statements, NULL, 0, 0, *statements);
	cleanup_start(&m->c, why, &todo, keep, discard, LIMIT_US, m->now_us);
	ck_assert_ptr_null(list_first(&todo.list));
	step(m);
}
#define WITH(...) ((const char *const[]){__VA_ARGS__, NULL})

/* What became of the statements so far: "a", "b 22012 no". */
static void
has_done(struct machine *m, const char *expected)
{
	char is[400] = "";
	struct list_node *n;

	LIST_EACH (n, &m->c.done.list) {
		const struct todo_stmt *s = LIST_OBJ(n, struct todo_stmt, node);
		size_t at = strlen(is);

		ck_assert_int_eq(s->failed, s->sqlstate[0] != 0);
		snprintf(is + at, sizeof is - at, "%s%s%s%s%s%s", at ? ", " : "", s->sql,
			 s->failed ? " " : "", s->sqlstate, s->message ? " " : "",
			 s->message ? s->message : "");
	}
	ck_assert_msg(strcmp(is, expected) == 0, "done \"%s\", not \"%s\"", is, expected);
}

static void
in_state(struct machine *m, enum cleanup_state state)
{
	ck_assert_msg(m->c.state == state, "%s, not %s (%s)", cleanup_state_name(m->c.state),
		      cleanup_state_name(state), m->c.broken_why ? m->c.broken_why : "");
}

/* The messages that have gone to the server since the last look: "Q ROLLBACK", "f", "S". */
static void
went(struct machine *m, const char *expected)
{
	char is[400] = "";
	struct frame f;

	while (frame_read(buf_data(&m->out), m->out.len, &f) == 0) {
		size_t n = strlen(is);

		snprintf(is + n, sizeof is - n, f.type == 'Q' ? "%s%c %s" : "%s%c", n ? ", " : "",
			 f.type, (char *)buf_data(&m->out) + FRAME_HEADER);
		buf_drop(&m->out, FRAME_HEADER + f.body);
	}
	ck_assert_uint_eq(m->out.len, 0);
	ck_assert_msg(strcmp(is, expected) == 0, "sent \"%s\", not \"%s\"", is, expected);
}

static void
cancel_ends(struct machine *m)
{
	ck_assert_uint_gt(m->cancels, 0);
	m->cancels--;
	step(m);
}

static void
broken(struct machine *m, const char *why)
{
	in_state(m, CLEANUP_BROKEN);
	ck_assert_str_eq(m->c.broken_why, why);
	/* It stays so, and asks for nothing. */
	m->now_us += 2 * LIMIT_US;
	step(m);
	in_state(m, CLEANUP_BROKEN);
	ck_assert_str_eq(m->c.broken_why, why);
	machine_clear(m);
}

static void
done(struct machine *m)
{
	in_state(m, CLEANUP_DONE);
	went(m, "");
	m->now_us += 2 * LIMIT_US;
	step(m);
	in_state(m, CLEANUP_DONE);
	cleanup_over(&m->c);
	in_state(m, CLEANUP_NONE);
	machine_clear(m);
}

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
	done(&m);
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

/* ---- statements ---- */

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
					enter(&c, to, 5);
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

/* ---- random clients of a model backend, cut off ---- */

/* CHECK_ROUNDS=1 CHECK_TRACE=1 CHECK_SEED=n tells the story of one of them. */
static bool trace;

static void
tell(const char *who, const struct buf *b, size_t at)
{
	struct frame f;

	if (!trace)
		return;
	for (; frame_read(buf_data(b) + at, b->len - at, &f) == 0; at += FRAME_HEADER + f.body)
		fprintf(stderr, "%s %c %.*s\n", who, f.type, (int)f.body,
			(const char *)buf_data(b) + at + FRAME_HEADER);
}

struct play {
	struct machine m;
	struct backend b;
	uint32_t seed;
	uint32_t first_seed;
	bool changed; /* session state, as far as the client has asked for it */
	bool half;    /* the client left in the middle of a message */
	bool deaf;    /* one of the statements is not ended by a cancel */
	bool lost;    /* the connection was lost during cleanup */
	bool base_set;
	unsigned base; /* work that was committed before the first statement ran */
	unsigned late_hits;
};

static void
run(struct play *y, int messages)
{
	size_t at = y->b.out.len;

	backend_run(&y->b, messages);
	tell("server", &y->b.out, at);
}

static uint32_t
roll(struct play *y, uint32_t below)
{
	return backend_random(&y->seed, below);
}

static void
client_sends(struct play *y, char type, const char *body)
{
	size_t at = y->b.in.len;

	backend_message(&y->b.in, type, body);
	tell("client", &y->b.in, at);
	progress_sent(&y->m.p, type);
}

static const char *
any_statement(struct play *y)
{
	static const char *const words[] = {"work",       "rows",       "fail",        "begin",
					    "commit",     "slow",       "rollback",    "copyin",
					    "copyin_bad", "copyout",    "set",         "",
					    "refuse",     "begin;slow", "work;slow",   "slow",
					    "begin",      "slow",       "copyin_early"};

	const char *word = words[roll(y, sizeof words / sizeof *words)];

	y->changed |= strcmp(word, "set") == 0;
	return word;
}

static void
client_acts(struct play *y)
{
	if (backend_copying(&y->b)) {
		client_sends(y, "dddcfH"[roll(y, 6)], "1\n");
		return;
	}
	switch (roll(y, 8)) {
	case 0:
	case 1:
		client_sends(y, 'Q', any_statement(y));
		return;
	case 2:
	case 3:
		client_sends(y, 'P', any_statement(y));
		client_sends(y, 'B', "");
		client_sends(y, 'E', roll(y, 2) ? "L" : "all");
		if (roll(y, 2))
			client_sends(y, 'S', NULL);
		return;
	case 4:
		client_sends(y, 'F', "ok");
		return;
	case 5:
		client_sends(y, 'D', "P");
		return;
	case 6:
		client_sends(y, 'H', NULL);
		return;
	default:
		client_sends(y, 'S', NULL);
	}
}

static void
deliver(struct play *y, size_t most)
{
	size_t n = y->b.out.len < most ? y->b.out.len : most;

	ck_assert_int_eq(progress_received(&y->m.p, buf_data(&y->b.out), n), 0);
	buf_drop(&y->b.out, n);
}

/* A cancel is on its way: its signal comes some time, late at times, and then its connection ends.
 */
static void
cancel_goes_on(struct play *y)
{
	if (roll(y, 4) == 0 && y->late_hits == 0) {
		/* Two attempts are for the one signal that can be pending. */
		y->late_hits++;
		backend_cancel_late(&y->b);
	} else {
		backend_cancel(&y->b);
	}
	y->m.cancels--;
}

static bool
over(const struct play *y)
{
	return y->m.c.state == CLEANUP_DONE || y->m.c.state == CLEANUP_BROKEN;
}

/* ---- what the lease leaves to be run ---- */

struct expected {
	const char *sql;
	const char *code;       /* "": it succeeds */
	const char *code_bound; /* in the extended protocol; NULL: the same */
	unsigned work;          /* that it commits */
};
static const struct expected expected[] = {
    {"work", "", NULL, 1},
    {"rows", "", NULL, 0},
    {"", "", NULL, 0},
    {"commit", "", NULL, 0},
    {"set", "", NULL, 0},
    {"fail", "22012", NULL, 0},
    {"nonsense", "42601", NULL, 0},
    {"refuse", "23505", NULL, 0},
    {"begin", "25001", NULL, 0},
    {"begin;work", "25001", "42601", 0},
    {"work;begin;fail", "22012", "42601", 0},
    {"work;work", "", "42601", 2},
    {"work;fail", "22012", "42601", 0},
    {"copyin", "57014", NULL, 0},
    {"copyin_bad", "57014", NULL, 0},
    {"copyin_early", "P0001", NULL, 0},
    {"copyout", "", NULL, 0},
    {"slow", "57014", NULL, 0},
    {"begin;slow", "57014", "42601", 0},
    {"work;copyin", "57014", "42601", 0},
    {"deaf", "08007", NULL, 0},
};
#define EXPECTED (sizeof expected / sizeof *expected)
#define DEAF     (EXPECTED - 1)

static void
any_todo(struct play *y, struct todo *todo)
{
	static const char *const value = "value";
	uint32_t n = roll(y, 4);

	while (n-- > 0) {
		uint32_t i = roll(y, EXPECTED);
		char label[16];

		if (i == DEAF && roll(y, 16))
			i = 0;
		y->deaf |= i == DEAF;
		snprintf(label, sizeof label, "%u", i);
		todo_add(todo, expected[i].sql, &value, roll(y, 2), 0, label);
	}
}

/* Of all in order, what was promised; and nothing but what succeeded was carried out. */
static void
judge_todo(struct play *y, bool lost)
{
	bool unknown = false;
	unsigned work = 0;
	struct list_node *n;

	ck_assert_ptr_null(list_first(&y->m.c.due.list));
	LIST_EACH (n, &y->m.c.done.list) {
		const struct todo_stmt *s = LIST_OBJ(n, struct todo_stmt, node);
		const struct expected *e = &expected[atoi(s->label)];
		const char *code = s->nvalues && e->code_bound ? e->code_bound : e->code;

		if (lost && strcmp(s->sqlstate, "08006") == 0)
			continue;
		if (lost && strcmp(s->sqlstate, "08007") == 0) {
			ck_assert(!unknown);
			unknown = true;
			continue;
		}
		ck_assert_msg(strcmp(s->sqlstate, code) == 0, "seed %u: %s %s, not %s",
			      y->first_seed, s->sql, s->sqlstate, code);
		ck_assert(!s->failed || s->message);
		if (!s->failed)
			work += e->work;
	}
	if (!unknown && y->base_set)
		ck_assert_msg(y->b.committed == y->base + work, "seed %u: work %u + %u, not %u",
			      y->first_seed, y->base, work, y->b.committed);
}

static void
go_on_cleaning(struct play *y)
{
	struct machine *m = &y->m;

	step(m);
	if (m->c.state == CLEANUP_RUNNING && !y->base_set) {
		/* From here on, all that is done is ours. */
		y->base_set = true;
		y->base = y->b.committed;
	}
	if (trace)
		fprintf(stderr, "%s due=%u x=%d copy=%d cancels=%u\n",
			cleanup_state_name(m->c.state), m->p.ready_due, m->p.extended, m->p.copy,
			m->cancels);
	if (m->out.len > 0) {
		tell("daemon", &m->out, 0);
		buf_add(&y->b.in, buf_data(&m->out), m->out.len);
		buf_drop(&m->out, m->out.len);
	}
	if (roll(y, 2))
		run(y, (int)roll(y, 4));
	if (m->cancels > 0 && roll(y, 3) == 0)
		cancel_goes_on(y);
	if (roll(y, 2))
		deliver(y, 1 + roll(y, 100));
	m->now_us += roll(y, 1000);
	if (m->c.state == CLEANUP_RUNNING && backend_slow(&y->b) && roll(y, 4) == 0)
		m->now_us += LIMIT_US / 4;
}

static void
clean_up(struct play *y, bool keep)
{
	struct machine *m = &y->m;
	bool rest = progress_at_rest(&m->p) && m->p.status == 'I' && roll(y, 2);
	bool discard = !rest || y->changed;
	uint32_t most = roll(y, 10) ? UINT32_MAX : roll(y, 50);
	struct todo todo;

	todo_init(&todo);
	any_todo(y, &todo);
	y->base_set = false;
	cleanup_start(&m->c,
		      !rest                    ? CLEANUP_CLIENT_GONE
		      : list_first(&todo.list) ? CLEANUP_SCOPE_END
					       : CLEANUP_CANCEL_PENDING,
		      &todo, keep, discard || list_first(&todo.list), LIMIT_US, m->now_us);
	while (!over(y) && !y->b.dead && most-- > 0)
		go_on_cleaning(y);
	y->lost = !over(y);
	if (m->c.state != CLEANUP_DONE)
		cleanup_abandon(&m->c, "gone");
	if (!y->half)
		judge_todo(y, m->c.state != CLEANUP_DONE);
}

static void
judge(struct play *y)
{
	struct backend *b = &y->b;
	uint32_t s = y->first_seed;

	if (y->half) {
		ck_assert_msg(b->dead || y->lost || y->m.c.state == CLEANUP_BROKEN, "seed %u: half",
			      s);
		return;
	}
	if (b->dead || y->lost || (y->deaf && y->m.c.state == CLEANUP_BROKEN))
		return;
	ck_assert_msg(y->m.c.state == CLEANUP_DONE, "seed %u: %s", s, y->m.c.broken_why);
	ck_assert_uint_eq(y->m.cancels, 0);
	backend_run(b, -1); /* what is left is answered by nothing */
	ck_assert_msg(b->in.len + b->held.len + b->out.len == 0, "seed %u: bytes left", s);
	ck_assert_msg(b->block == 'I' && !b->skip && !b->extended && !b->in_query && !b->running[0],
		      "seed %u: not idle", s);
	ck_assert_msg(y->m.c.keep || !b->dirty, "seed %u: session state is left", s);
	ck_assert_msg(b->work == 0, "seed %u: a transaction is left", s);
}

struct tally {
	unsigned done, broken, dead;
};

static void
play(uint32_t with, struct tally *tally)
{
	struct play y = {.seed = with, .first_seed = with};
	uint32_t steps = roll(&y, 20);

	machine_init(&y.m);
	backend_init(&y.b, with ^ 0x5555);
	while (steps-- > 0 && !y.b.dead) {
		if (!backend_slow(&y.b) || roll(&y, 4) == 0)
			client_acts(&y);
		/* It sends ahead of answers, but not ahead of a COPY. */
		run(&y, -1);
		if (roll(&y, 4) == 0)
			deliver(&y, 1 + roll(&y, 200));
		if (roll(&y, 8) == 0)
			y.m.cancels++;
		if (y.m.cancels > 0 && roll(&y, 2))
			cancel_goes_on(&y);
	}
	if (roll(&y, 10) == 0) {
		y.half = true;
		progress_sent(&y.m.p, 'Q');
		y.m.p.to_left = 5;
	}
	clean_up(&y, roll(&y, 4) == 0);
	judge(&y);
	if (y.m.c.state == CLEANUP_DONE && y.m.c.keep) {
		/* The lease goes on, and ends later. */
		cleanup_over(&y.m.c);
		y.changed = true;
		clean_up(&y, false);
		judge(&y);
	}
	if (y.b.dead || y.lost)
		tally->dead++;
	else if (y.m.c.state == CLEANUP_BROKEN)
		tally->broken++;
	else
		tally->done++;
	backend_clear(&y.b);
	machine_clear(&y.m);
}

START_TEST(random_clients_are_cleaned_up)
{
	const char *given = getenv("CHECK_ROUNDS");
	uint32_t rounds = given ? (uint32_t)atoi(given) : 50000;
	struct tally tally = {0};

	for (uint32_t i = 0; i < rounds; i++)
		play(seed + i, &tally);
	if (rounds < 1000)
		return;
	ck_assert_uint_gt(tally.done, rounds / 2);
	/* One in ten left in the middle of a message, some left a statement that never ends. */
	ck_assert_uint_lt(tally.broken, rounds / 7);
	/* Nearly one in ten may be cut off. */
	ck_assert_uint_lt(tally.dead, rounds / 10);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cleanup");
	TCase *t = tcase_create("cleanup");
	SRunner *r = srunner_create(s);
	const char *given = getenv("CHECK_SEED");
	int failed;

	srunner_set_fork_status(r, CK_FORK); /* some end the process on purpose */
	trace = getenv("CHECK_TRACE") != NULL;
	seed = given ? (uint32_t)strtoul(given, NULL, 10) : (uint32_t)time(NULL);
	fprintf(stderr, "check_cleanup: CHECK_SEED=%u\n", seed);
	tcase_set_timeout(t, 120);
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
	tcase_add_test(t, only_legal_moves);
	tcase_add_exit_test(t, a_second_start_is_an_illegal_move, 1);
	tcase_add_test(t, names);
	tcase_add_test(t, random_clients_are_cleaned_up);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
