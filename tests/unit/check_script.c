/* The text of many statements, and the boundary before a scope statement: their moves. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/pack.h"
#include "session/boundary.h"
#include "session/scopes.h"

#include "session/script.c"

static struct script script;
static struct rare rare = {.script = &script};
static struct session s = {.id = 7, .rare = &rare};

static void
setup(void)
{
	s.extended.boundary = BOUNDARY_NONE;
	memset(&script, 0, sizeof script);
	buf_init(&script.text, SESSION_WHOLE_MAX);
}

static void
teardown(void)
{
	buf_clear(&script.text);
}

static void
is(enum script_state state, const char *text)
{
	const struct script *sp = &script;

	ck_assert_str_eq(script_state_name(sp->state), script_state_name(state));
	ck_assert_uint_eq(sp->text.len, strlen(text));
	if (sp->text.len > 0)
		ck_assert_mem_eq(buf_data(&sp->text), text, strlen(text));
	ck_assert_int_eq(script_pending(&s), state != SCRIPT_EMPTY);
	ck_assert_int_eq(script_waiting(&s), state == SCRIPT_NEXT);
}

/* A part of that many bytes is judged, as by split_next(). */
static void
begin_part(size_t bytes)
{
	script.part_bytes = bytes;
}

static void
end_part(void)
{
	script_judged(&s, true);
}

/* ---- what becomes of a text ---- */

START_TEST(a_session_without_scopes_has_none)
{
	struct session none = {.id = 8};

	session_set_none(&none);
	ck_assert(!script_pending(&none));
	ck_assert(!script_more(&none));
	ck_assert(!script_waiting(&none));
	script_drop(&none);
}
END_TEST

START_TEST(part_by_part)
{
	is(SCRIPT_EMPTY, "");
	ck_assert(!script_more(&s));
	script_start(&s, "a;bc;d", 6);
	is(SCRIPT_NEXT, "a;bc;d");
	ck_assert(script_more(&s));
	/* answered here */
	begin_part(2);
	ck_assert(script_more(&s));
	end_part();
	is(SCRIPT_NEXT, "bc;d");
	ck_assert_uint_eq(script.chars, 2);
	/* kept, and judged again */
	begin_part(3);
	ck_assert(script_judging(&s));
	script_judged(&s, false);
	ck_assert(!script_judging(&s));
	is(SCRIPT_NEXT, "bc;d");
	ck_assert_uint_eq(script.chars, 2);
	/* sent */
	begin_part(3);
	script_sent(&s);
	end_part();
	is(SCRIPT_SENT, "d");
	ck_assert_uint_eq(script.chars, 5);
	ck_assert(script_done(&s));
	is(SCRIPT_NEXT, "d");
	/* the last one is not waited for */
	begin_part(1);
	ck_assert(!script_more(&s));
	end_part();
	is(SCRIPT_EMPTY, "");
	script_start(&s, "e", 1);
	is(SCRIPT_NEXT, "e");
	ck_assert_uint_eq(script.chars, 0);
}
END_TEST

START_TEST(the_server_says_an_error)
{
	script_note_error(&s);
	is(SCRIPT_EMPTY, "");
	script_start(&s, "a;b", 3);
	script_note_error(&s);
	is(SCRIPT_NEXT, "a;b");
	begin_part(2);
	script_sent(&s);
	end_part();
	script_note_error(&s);
	is(SCRIPT_FAILED, "b");
	script_note_error(&s);
	is(SCRIPT_FAILED, "b");
	ck_assert(!script_done(&s));
	is(SCRIPT_EMPTY, "");
}
END_TEST

START_TEST(an_error_of_ours)
{
	script_drop(&s);
	is(SCRIPT_EMPTY, "");
	script_start(&s, "a;b", 3);
	begin_part(2);
	script_drop(&s);
	is(SCRIPT_EMPTY, "");
	end_part();
	is(SCRIPT_EMPTY, "");
	/* while the server does a part: that is waited for, and has not failed */
	script_start(&s, "a;b", 3);
	begin_part(2);
	script_sent(&s);
	end_part();
	script_drop(&s);
	is(SCRIPT_SENT, "");
	ck_assert(script_done(&s));
	is(SCRIPT_EMPTY, "");
	script_start(&s, "a;b", 3);
	begin_part(2);
	script_sent(&s);
	end_part();
	script_drop(&s);
	script_note_error(&s);
	is(SCRIPT_FAILED, "");
	ck_assert(!script_done(&s));
	is(SCRIPT_EMPTY, "");
}
END_TEST

/* Writes the script down and reads it into that of another session. Returns false if that refuses
 * it. */
static bool
handed_over(struct session *to)
{
	struct buf b;
	struct pack p;
	bool good;

	buf_init(&b, 4096);
	pack_writer(&p, &b);
	script_pack(&p, &s);
	ck_assert(!p.failed);
	script_free(to);
	pack_reader(&p, buf_data(&b), b.len);
	script_pack(&p, to);
	good = !p.failed;
	buf_clear(&b);
	return good;
}

START_TEST(a_handover)
{
	struct rare of_other = {.script = NULL};
	struct session to = {.id = 8, .rare = &of_other};

	script_start(&s, "a;bc", 4);
	begin_part(2);
	script_sent(&s);
	end_part();
	script.lexing = 5;
	ck_assert(handed_over(&to));
	ck_assert_int_eq(to.rare->script->state, SCRIPT_SENT);
	ck_assert_uint_eq(to.rare->script->text.len, 2);
	ck_assert_uint_eq(to.rare->script->chars, 2);
	ck_assert_uint_eq(to.rare->script->lexing, 5);
	ck_assert(!script_judging(&to));
	/* what no process has written */
	script.state = SCRIPT_NSTATES;
	ck_assert(!handed_over(&to));
	buf_reset(&script.text);
	script.state = SCRIPT_NEXT;
	ck_assert(!handed_over(&to));
	script_free(&to);
}
END_TEST

/* ---- moves ---- */

static const bool script_moves[SCRIPT_NSTATES][SCRIPT_NSTATES] = {
    [SCRIPT_EMPTY][SCRIPT_NEXT] = true,   [SCRIPT_NEXT][SCRIPT_SENT] = true,
    [SCRIPT_NEXT][SCRIPT_EMPTY] = true,   [SCRIPT_SENT][SCRIPT_NEXT] = true,
    [SCRIPT_SENT][SCRIPT_FAILED] = true,  [SCRIPT_SENT][SCRIPT_EMPTY] = true,
    [SCRIPT_FAILED][SCRIPT_EMPTY] = true,
};

static const bool boundary_moves[BOUNDARY_NSTATES][BOUNDARY_NSTATES] = {
    [BOUNDARY_NONE][BOUNDARY_DUE] = true,    [BOUNDARY_DUE][BOUNDARY_SENT] = true,
    [BOUNDARY_SENT][BOUNDARY_NONE] = true,   [BOUNDARY_SENT][BOUNDARY_FAILED] = true,
    [BOUNDARY_FAILED][BOUNDARY_NONE] = true,
};

/* Ends the process with 1 if the move is refused, and with 0 if not. */
static void
move_script(int pair)
{
	script.state = (enum script_state)(pair / SCRIPT_NSTATES);
	script_set_state(&s, (enum script_state)(pair % SCRIPT_NSTATES));
	ck_assert_int_eq(script.state, pair % SCRIPT_NSTATES);
}

static void
move_boundary(int pair)
{
	s.extended.boundary = (enum boundary)(pair / BOUNDARY_NSTATES);
	boundary_set(&s, (enum boundary)(pair % BOUNDARY_NSTATES));
	ck_assert_int_eq(s.extended.boundary, pair % BOUNDARY_NSTATES);
}

START_TEST(a_script_moves)
{
	move_script(_i);
}
END_TEST

START_TEST(a_script_does_not_move)
{
	move_script(_i);
}
END_TEST

START_TEST(a_boundary_moves)
{
	move_boundary(_i);
}
END_TEST

START_TEST(a_boundary_does_not_move)
{
	move_boundary(_i);
}
END_TEST

START_TEST(an_error_at_a_boundary)
{
	boundary_note_error(&s);
	ck_assert_str_eq(boundary_name(s.extended.boundary), "none");
	boundary_set(&s, BOUNDARY_DUE);
	boundary_note_error(&s);
	ck_assert_str_eq(boundary_name(s.extended.boundary), "due");
	boundary_set(&s, BOUNDARY_SENT);
	boundary_note_error(&s);
	boundary_note_error(&s);
	ck_assert_str_eq(boundary_name(s.extended.boundary), "failed");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("script");
	TCase *t = tcase_create("script");
	SRunner *r = srunner_create(suite);
	/* What is illegal ends the program: without a process of its own (CK_FORK=no) it would be
	 * this one. */
	bool forks = srunner_fork_status(r) == CK_FORK;
	int failures;

	log_init("check_script", LOG_ERROR);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_session_without_scopes_has_none);
	tcase_add_test(t, part_by_part);
	tcase_add_test(t, the_server_says_an_error);
	tcase_add_test(t, an_error_of_ours);
	tcase_add_test(t, a_handover);
	tcase_add_test(t, an_error_at_a_boundary);
	for (int i = 0; i < SCRIPT_NSTATES * SCRIPT_NSTATES; i++)
		if (script_moves[i / SCRIPT_NSTATES][i % SCRIPT_NSTATES])
			tcase_add_loop_test(t, a_script_moves, i, i + 1);
		else if (forks)
			tcase_add_loop_exit_test(t, a_script_does_not_move, 1, i, i + 1);
	for (int i = 0; i < BOUNDARY_NSTATES * BOUNDARY_NSTATES; i++)
		if (boundary_moves[i / BOUNDARY_NSTATES][i % BOUNDARY_NSTATES])
			tcase_add_loop_test(t, a_boundary_moves, i, i + 1);
		else if (forks)
			tcase_add_loop_exit_test(t, a_boundary_does_not_move, 1, i, i + 1);
	suite_add_tcase(suite, t);
	srunner_run_all(r, CK_ENV);
	failures = srunner_ntests_failed(r);
	srunner_free(r);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
