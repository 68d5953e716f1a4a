#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "backend.h"
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
	cleanup_start(&m->c, why, discard, LIMIT_US, m->now_us);
	step(m);
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
	answer(&m, "eZI");
	step(&m);
	in_state(&m, CLEANUP_RESTORING);
	went(&m, "Q DISCARD ALL");
	answer(&m, "CZI");
	step(&m);
	done(&m);
}
END_TEST

START_TEST(what_fails_twice_or_otherwise_breaks)
{
	struct machine m;

	machine_init(&m);
	sent(&m, "Q");
	answer(&m, "CZT");
	start(&m, CLEANUP_CLIENT_GONE, true);
	answer(&m, "eZE");
	step(&m);
	answer(&m, "eZE");
	step(&m);
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
	answer(&m, "eZI");
	step(&m);
	answer(&m, "eZI");
	step(&m);
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
			    /*               NCDRSDB */
			    [CLEANUP_NONE] = "-+-----",      [CLEANUP_CANCELLING] = "--+---+",
			    [CLEANUP_DRAINING] = "-+-++-+",  [CLEANUP_ROLLING_BACK] = "----+-+",
			    [CLEANUP_RESTORING] = "-----++", [CLEANUP_DONE] = "+------",
			    [CLEANUP_BROKEN] = "+------",
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

	cleanup_start(&c, CLEANUP_CLIENT_GONE, true, LIMIT_US, 1);
	if (freopen("/dev/null", "w", stderr))
		cleanup_start(&c, CLEANUP_CLIENT_GONE, true, LIMIT_US, 2);
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

static void
clean_up(struct play *y)
{
	struct machine *m = &y->m;
	bool rest = progress_at_rest(&m->p) && m->p.status == 'I' && y->m.cancels > 0 && roll(y, 2);

	cleanup_start(&m->c, rest ? CLEANUP_CANCEL_PENDING : CLEANUP_CLIENT_GONE,
		      !rest || y->changed, LIMIT_US, m->now_us);
	while (!over(y) && !y->b.dead) {
		step(m);
		if (trace)
			fprintf(stderr, "%s due=%u x=%d copy=%d cancels=%u\n",
				cleanup_state_name(m->c.state), m->p.ready_due, m->p.extended,
				m->p.copy, m->cancels);
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
	}
}

static void
judge(struct play *y)
{
	struct backend *b = &y->b;
	uint32_t s = y->first_seed;

	if (y->half) {
		ck_assert_msg(b->dead || y->m.c.state == CLEANUP_BROKEN, "seed %u: half", s);
		return;
	}
	if (b->dead)
		return;
	ck_assert_msg(y->m.c.state == CLEANUP_DONE, "seed %u: %s", s, y->m.c.broken_why);
	ck_assert_uint_eq(y->m.cancels, 0);
	backend_run(b, -1); /* what is left is answered by nothing */
	ck_assert_msg(b->in.len + b->held.len + b->out.len == 0, "seed %u: bytes left", s);
	ck_assert_msg(b->block == 'I' && !b->skip && !b->extended && !b->in_query && !b->running[0],
		      "seed %u: not idle", s);
	ck_assert_msg(!b->dirty, "seed %u: session state is left", s);
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
	clean_up(&y);
	judge(&y);
	if (y.b.dead)
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
	/* One in ten left in the middle of a message. */
	ck_assert_uint_lt(tally.broken, rounds / 8);
	ck_assert_uint_lt(tally.dead, rounds / 50);
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

	trace = getenv("CHECK_TRACE") != NULL;
	seed = given ? (uint32_t)strtoul(given, NULL, 10) : (uint32_t)time(NULL);
	fprintf(stderr, "check_cleanup: CHECK_SEED=%u\n", seed);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, idle_in_a_transaction);
	tcase_add_test(t, idle_outside_a_transaction_needs_nothing);
	tcase_add_test(t, a_running_query_is_cancelled);
	tcase_add_test(t, a_pipeline_is_cancelled_query_by_query);
	tcase_add_test(t, a_cancel_that_hit_nothing_is_sent_again);
	tcase_add_test(t, extended_exchanges);
	tcase_add_test(t, copies);
	tcase_add_test(t, a_doubt_is_asked_away);
	tcase_add_test(t, a_late_cancel_hits_our_own_statement);
	tcase_add_test(t, what_fails_twice_or_otherwise_breaks);
	tcase_add_test(t, half_a_message_breaks);
	tcase_add_test(t, a_pending_cancel_is_waited_for);
	tcase_add_test(t, changed_state_is_restored);
	tcase_add_test(t, each_step_has_its_limit);
	tcase_add_test(t, all_steps_have_one_limit);
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
