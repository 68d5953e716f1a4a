#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/pack.h"
#include "executor/work.h"
#include "loops.h"
#include "session/session.h"
#include "session/site.h"

/* Every legal move, written down a second time: what is not here is illegal. */
static const struct {
	enum work_purpose from, to;
} turns[] = {
    {WORK_NONE, WORK_ENTER},  {WORK_NONE, WORK_EXIT},  {WORK_NONE, WORK_EXPIRE},
    {WORK_NONE, WORK_LEAVE},  {WORK_ENTER, WORK_UNDO}, {WORK_EXIT, WORK_ENTER},
    {WORK_ENTER, WORK_NONE},  {WORK_UNDO, WORK_NONE},  {WORK_EXIT, WORK_NONE},
    {WORK_EXPIRE, WORK_NONE}, {WORK_LEAVE, WORK_NONE},
};

#define EXITS (1u << WORK_UNDO | 1u << WORK_EXIT | 1u << WORK_EXPIRE)

static const struct {
	unsigned purposes;
	enum work_state from, to;
} moves[] = {
    {1u << WORK_ENTER, WORK_NEXT, WORK_USER},
    {1u << WORK_ENTER, WORK_NEXT, WORK_WAIT},
    {1u << WORK_ENTER, WORK_NEXT, WORK_SETUP},
    {1u << WORK_ENTER, WORK_USER, WORK_NEXT},
    {1u << WORK_ENTER, WORK_WAIT, WORK_NEXT},
    {1u << WORK_ENTER, WORK_WAIT, WORK_SETUP},
    {1u << WORK_ENTER, WORK_SETUP, WORK_BEGIN},
    {1u << WORK_ENTER, WORK_SETUP, WORK_WAIT},
    {1u << WORK_ENTER, WORK_SETUP, WORK_SETUP},
    {1u << WORK_ENTER, WORK_BEGIN, WORK_RUN},
    {1u << WORK_ENTER, WORK_BEGIN, WORK_NEXT},
    {1u << WORK_ENTER, WORK_RUN, WORK_RUN},
    {1u << WORK_ENTER, WORK_RUN, WORK_NEXT},
    {EXITS | 1u << WORK_ENTER, WORK_NEXT, WORK_CANCELS},
    {EXITS, WORK_NEXT, WORK_MEMBERS},
    {EXITS, WORK_MEMBERS, WORK_NEXT},
    {EXITS, WORK_NEXT, WORK_RUN},
    {EXITS, WORK_NEXT, WORK_ROLLBACK},
    {EXITS | 1u << WORK_LEAVE, WORK_NEXT, WORK_DONE},
    {EXITS, WORK_RUN, WORK_POINT},
    {EXITS, WORK_RUN, WORK_DEFERRED},
    {EXITS, WORK_RUN, WORK_SAVE},
    {EXITS, WORK_POINT, WORK_DEFERRED},
    {EXITS, WORK_POINT, WORK_RUN},
    {EXITS, WORK_POINT, WORK_ROLLBACK},
    {EXITS, WORK_DEFERRED, WORK_UNPOINT},
    {EXITS, WORK_UNPOINT, WORK_RUN},
    {EXITS, WORK_UNPOINT, WORK_ROLLBACK},
    {EXITS, WORK_ROLLBACK, WORK_ROLLBACK},
    {EXITS, WORK_ROLLBACK, WORK_RUN},
    {EXITS, WORK_SAVE, WORK_DONE},
    {EXITS | 1u << WORK_LEAVE, WORK_DONE, WORK_NEXT},
    /* Only what ends well commits. */
    {1u << WORK_EXIT, WORK_RUN, WORK_COMMIT},
    {1u << WORK_EXIT, WORK_COMMIT, WORK_RUN},
    {1u << WORK_EXIT, WORK_COMMIT, WORK_ROLLBACK},
    {1u << WORK_LEAVE, WORK_NEXT, WORK_CLEAN},
    {1u << WORK_LEAVE, WORK_CLEAN, WORK_DONE},
};

static const struct {
	enum work_phase from, to;
} phases[] = {
    {WORK_BEFORE, WORK_BEFORE}, {WORK_BEFORE, WORK_AFTER}, {WORK_BEFORE, WORK_CLEANUP},
    {WORK_AFTER, WORK_CLEANUP}, {WORK_AFTER, WORK_BEFORE}, {WORK_CLEANUP, WORK_BEFORE},
};

#define COUNT(list) (sizeof(list) / sizeof *(list))

static struct site site;
static struct session session;

static void
setup(void)
{
	memset(&site, 0, sizeof site);
	memset(&session, 0, sizeof session);
	session_set_none(&session);
	site.loop = loops_new();
	session.site = &site;
}

static void
teardown(void)
{
	if (session.rare != &rare_none) {
		free(session.rare->stack);
		session.rare->stack = NULL;
	}
	session_drop_rare(&session);
	/* What was left to the end of the loop's turn. */
	loop_free(site.loop);
}

/* Does the call end the program, as an illegal move does? */
static bool
ends(void (*call)(struct work *, int), struct work *work, int to)
{
	pid_t child = fork();
	int status;

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		call(work, to);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status) == 1;
}

static void
turn(struct work *work, int to)
{
	work_turn(work, (enum work_purpose)to);
}

static void
move(struct work *work, int to)
{
	work_set_state(work, (enum work_state)to);
}

static void
set_phase(struct work *work, int to)
{
	work_set_phase(work, (enum work_phase)to);
}

START_TEST(every_turn)
{
	struct work work = {.session = &session};

	for (int from = 0; from < WORK_NPURPOSES; from++)
		for (int to = 0; to < WORK_NPURPOSES; to++) {
			bool legal = false;

			for (size_t i = 0; i < COUNT(turns); i++)
				legal |= (int)turns[i].from == from && (int)turns[i].to == to;
			ck_assert_msg(work_may_turn(from, to) == legal, "%s -> %s",
				      work_purpose_name(from), work_purpose_name(to));
			work.purpose = (enum work_purpose)from;
			work.state = WORK_DONE;
			ck_assert_msg(ends(turn, &work, to) != legal, "%s -> %s",
				      work_purpose_name(from), work_purpose_name(to));
			if (!legal)
				continue;
			work_turn(&work, (enum work_purpose)to);
			ck_assert_int_eq(work.purpose, to);
			ck_assert_int_eq(work.state, WORK_NEXT);
		}
}
END_TEST

START_TEST(every_move)
{
	enum work_purpose purpose = (enum work_purpose)_i;
	struct work work = {.session = &session, .purpose = purpose};

	for (int from = 0; from < WORK_NSTATES; from++)
		for (int to = 0; to < WORK_NSTATES; to++) {
			bool legal = false;

			for (size_t i = 0; i < COUNT(moves); i++)
				legal |= (moves[i].purposes & 1u << purpose) &&
					 (int)moves[i].from == from && (int)moves[i].to == to;
			ck_assert_msg(work_may_move(purpose, from, to) == legal, "%s: %s -> %s",
				      work_purpose_name(purpose), work_state_name(from),
				      work_state_name(to));
			work.state = (enum work_state)from;
			ck_assert_msg(ends(move, &work, to) != legal, "%s: %s -> %s",
				      work_purpose_name(purpose), work_state_name(from),
				      work_state_name(to));
			if (!legal)
				continue;
			work_set_state(&work, (enum work_state)to);
			ck_assert_int_eq(work.state, to);
		}
}
END_TEST

START_TEST(every_phase)
{
	struct work work = {.session = &session, .purpose = WORK_EXIT};

	for (int from = 0; from < WORK_NPHASES; from++)
		for (int to = 0; to < WORK_NPHASES; to++) {
			bool legal = false;

			for (size_t i = 0; i < COUNT(phases); i++)
				legal |= (int)phases[i].from == from && (int)phases[i].to == to;
			work.phase = (enum work_phase)from;
			ck_assert_msg(work_may_phase(from, to) == legal, "%d -> %d", from, to);
			ck_assert_msg(ends(set_phase, &work, to) != legal, "%d -> %d", from, to);
		}
}
END_TEST

/* From every state each purpose can get to its end, and to each of its states from the first. */
START_TEST(no_state_is_a_trap)
{
	enum work_purpose purpose = (enum work_purpose)_i;
	unsigned from_first = 1u << WORK_NEXT, last;

	do {
		last = from_first;
		for (int from = 0; from < WORK_NSTATES; from++)
			for (int to = 0; to < WORK_NSTATES; to++)
				if ((from_first & 1u << from) && work_may_move(purpose, from, to))
					from_first |= 1u << to;
	} while (from_first != last);
	for (int state = 0; state < WORK_NSTATES; state++) {
		unsigned reached = 1u << state;

		if (!(from_first & 1u << state)) {
			for (int to = 0; to < WORK_NSTATES; to++)
				ck_assert(!work_may_move(purpose, state, to));
			continue;
		}
		do {
			last = reached;
			for (int from = 0; from < WORK_NSTATES; from++)
				for (int to = 0; to < WORK_NSTATES; to++)
					if ((reached & 1u << from) &&
					    work_may_move(purpose, from, to))
						reached |= 1u << to;
		} while (reached != last);
		ck_assert_msg(state == WORK_CANCELS || (reached & 1u << WORK_NEXT), "%s: %s",
			      work_purpose_name(purpose), work_state_name(state));
	}
}
END_TEST

START_TEST(it_is_there_while_it_goes_on)
{
	struct work *work;

	ck_assert_int_eq(work_purpose(&session), WORK_NONE);
	ck_assert(!scopes_open(&session));
	work = work_begin(&session, WORK_EXIT);
	ck_assert_ptr_eq(session.rare->work, work);
	ck_assert_int_eq(work_purpose(&session), WORK_EXIT);
	ck_assert_int_eq(work->state, WORK_NEXT);
	ck_assert_int_eq(work->phase, WORK_BEFORE);
	ck_assert(scopes_open(&session));
	work_set_state(work, WORK_RUN);
	work_end(work);
	ck_assert_ptr_null(session.rare->work);
	ck_assert_int_eq(work_purpose(&session), WORK_NONE);
	ck_assert(!scopes_open(&session));
	/* Those who were at work see that it has ended, though the next has begun. */
	ck_assert_ptr_ne(work_begin(&session, WORK_LEAVE), work);
	ck_assert_int_eq(work->purpose, WORK_NONE);
	work_end(session.rare->work);
}
END_TEST

static void
begin(struct work *work, int to)
{
	work_begin(work->session, (enum work_purpose)to);
}

START_TEST(there_is_one_at_a_time)
{
	struct work *work = work_begin(&session, WORK_ENTER);

	for (int to = WORK_ENTER; to < WORK_NPURPOSES; to++)
		ck_assert(ends(begin, work, to));
	work_end(work);
	for (int to = 0; to < WORK_NSTATES; to++)
		ck_assert(ends(move, work, to));
}
END_TEST

static void
on_timer(void *arg)
{
	abort();
}

/* A timer that is on goes with it, also one that was set behind its end. */
START_TEST(its_timer_ends)
{
	struct work *work = work_begin(&session, WORK_ENTER);

	if (_i == 1)
		work_end(work);
	timer_init(&work->timer, site.loop, on_timer, work);
	timer_start(&work->timer, 0);
	if (_i == 0) {
		work_end(work);
		loop_turn(site.loop, false);
	}
}
END_TEST

START_TEST(it_frees_what_it_has)
{
	struct work *work = work_begin(&session, WORK_ENTER);
	struct err e;

	list_append(&work->run, &deferred_new(DEFERRED_ALWAYS, "SELECT 1", NULL, 0, 0)->node);
	err_make(&e, ERR_SCOPE_NONE);
	buf_add(&work->failure, "E", 1);
	err_clear(&e);
	work_end(work);
}
END_TEST

/* The frame that the work is about comes before it, by the stack. */
static void
push_lock(struct session *s)
{
	scopes_prepare(s);
	stack_push(s->rare->stack, SCOPE_LOCK, "l", 1);
}

static void
pop_lock(struct session *s)
{
	struct scope *f = stack_innermost(s->rare->stack);

	stack_pop(s->rare->stack, f);
	scope_free(f);
	free(s->rare->stack);
	s->rare->stack = NULL;
	session_drop_rare(s);
}

static void
write_down(struct buf *b)
{
	struct pack p;

	buf_init(b, 65536);
	pack_writer(&p, b);
	ck_assert(work_pack(&p, &session));
	ck_assert(!p.failed);
}

START_TEST(it_is_handed_over)
{
	static const char sql[] = "ENTER LOCK 'l'";
	struct session to = {.id = 8, .site = &site};
	struct work *work;
	struct grammar_error ge;
	struct pack p;
	struct buf b;

	session_set_none(&to);
	/* none */
	write_down(&b);
	pack_reader(&p, buf_data(&b), b.len);
	ck_assert(work_pack(&p, &to));
	ck_assert_uint_eq(p.left, 0);
	ck_assert_ptr_null(to.rare->work);
	buf_clear(&b);
	/* an ENTER that waits */
	push_lock(&session);
	push_lock(&to);
	work = work_begin(&session, WORK_ENTER);
	work_set_state(work, WORK_WAIT);
	work->frame = stack_innermost(session.rare->stack);
	work->wait_us = 9;
	work->answer_type = 'Q';
	ck_assert_int_eq(grammar_parse(sql, strlen(sql), 0, &work->statement, &ge), 0);
	write_down(&b);
	pack_reader(&p, buf_data(&b), b.len);
	ck_assert(work_pack(&p, &to));
	ck_assert(!p.failed);
	ck_assert_uint_eq(p.left, 0);
	ck_assert_int_eq(to.rare->work->purpose, WORK_ENTER);
	ck_assert_int_eq(to.rare->work->state, WORK_WAIT);
	ck_assert_ptr_eq(to.rare->work->frame, stack_innermost(to.rare->stack));
	ck_assert_int_eq(to.rare->work->wait_us, 9);
	ck_assert_int_eq(to.rare->work->answer_type, 'Q');
	work_end(to.rare->work);
	buf_clear(&b);
	/* whatever else goes on is not taken */
	work_set_state(work, WORK_NEXT);
	write_down(&b);
	pack_reader(&p, buf_data(&b), b.len);
	work_pack(&p, &to);
	ck_assert(p.failed);
	ck_assert_ptr_null(to.rare->work);
	buf_clear(&b);
	work_end(work);
	pop_lock(&to);
	pop_lock(&session);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("work");
	TCase *t = tcase_create("work");
	SRunner *r = srunner_create(s);
	int failures;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, every_turn);
	tcase_add_loop_test(t, every_move, 0, WORK_NPURPOSES);
	tcase_add_test(t, every_phase);
	tcase_add_loop_test(t, no_state_is_a_trap, WORK_ENTER, WORK_NPURPOSES);
	tcase_add_test(t, it_is_there_while_it_goes_on);
	tcase_add_test(t, there_is_one_at_a_time);
	tcase_add_loop_test(t, its_timer_ends, 0, 2);
	tcase_add_test(t, it_frees_what_it_has);
	tcase_add_test(t, it_is_handed_over);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failures = srunner_ntests_failed(r);
	srunner_free(r);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
