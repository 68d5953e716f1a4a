/* A statement of ours: its moves, and what is made of each answer, however reads split it. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "loop/loop.h"
#include "pool/pool.h"
#include "pool/server.h"
#include "session/session.h"
#include "session/site.h"

#include "loops.h"
#include "session/inquiry.c"

/* One session with a lease. `client` and `backend` are the other ends. */
static struct loop *the_loop;
static struct site site;
static struct pools pools;
static struct pool pool;
static struct server srv;
static struct session s;
static struct hold own;
static int client, backend;
static struct buf sent; /* by the server, in the answer that is being made */

static void
nothing(struct stream *st, void *arg)
{
}

static const struct stream_ops ops = {.readable = nothing, .drained = nothing};

/* Records are not limited by the size of a socket's buffer: it is raised. */
static int
open_stream(struct stream *st)
{
	int fds[2], size = 4 * 1024 * 1024;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	for (int i = 0; i < 2; i++)
		setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	stream_init(st, the_loop, fds[0], 16 * 1024 * 1024, &ops, NULL);
	return fds[1];
}

static void
setup(void)
{
	the_loop = loops_new();
	ck_assert_ptr_nonnull(the_loop);
	memset(&site, 0, sizeof site);
	memset(&pools, 0, sizeof pools);
	memset(&pool, 0, sizeof pool);
	memset(&srv, 0, sizeof srv);
	memset(&s, 0, sizeof s);
	session_set_none(&s);
	memset(&own, 0, sizeof own);
	site.loop = pools.loop = the_loop;
	buf_init(&pools.filtered, 1024 * 1024);
	pool.all = &pools;
	pool.group = &pool;
	srv.pool = &pool;
	backend = open_stream(&srv.stream);
	progress_init(&srv.progress);
	s.id = 7;
	s.site = &site;
	s.hold = s.own = &own;
	own.lease.state = LEASE_HELD;
	own.lease.srv = &srv;
	client = open_stream(&s.stream);
	buf_init(&sent, 8 * 1024 * 1024);
}

static void
teardown(void)
{
	inquiry_forget(&s);
	session_drop_rare(&s);
	progress_clear(&srv.progress);
	stream_close(&srv.stream);
	stream_close(&s.stream);
	close(client);
	close(backend);
	buf_clear(&pools.filtered);
	buf_clear(&sent);
	loop_free(the_loop);
}

/* ---- what went where ---- */

/* Reads all that is there, and says the types of the messages: "QP", with the first text of each in
 * brackets if it has one that is wanted. */
static const char *
types_at(int fd)
{
	static char types[256];
	static uint8_t bytes[4 * 1024 * 1024];
	size_t have = 0, n = 0;
	const uint8_t *at = bytes;
	struct frame f;
	ssize_t got;

	loop_settle(the_loop);
	while ((got = recv(fd, bytes + have, sizeof bytes - have, MSG_DONTWAIT)) > 0)
		have += (size_t)got;
	while (have > 0) {
		ck_assert_int_eq(frame_read(at, have, &f), 0);
		ck_assert_uint_le(FRAME_HEADER + f.body, have);
		ck_assert_uint_lt(n, sizeof types - 1);
		types[n++] = f.type;
		at += FRAME_HEADER + f.body;
		have -= FRAME_HEADER + f.body;
	}
	types[n] = 0;
	return types;
}

static void
client_got(const char *types)
{
	ck_assert_str_eq(types_at(client), types);
}

static void
server_got(const char *types)
{
	ck_assert_str_eq(types_at(backend), types);
}

/* ---- what the server sends ---- */

static void
text_message(char type, const char *text)
{
	size_t at = msg_begin(&sent, type);

	buf_add_str(&sent, text);
	msg_end(&sent, at);
}

static void
notification(void)
{
	size_t at = msg_begin(&sent, 'A');

	buf_add_u32(&sent, 42);
	buf_add_str(&sent, "channel");
	buf_add_str(&sent, "payload");
	msg_end(&sent, at);
}

/* As one letter each: D a row, C CommandComplete, N A S as in the protocol, G a COPY IN, E an error
 * (22012), e the error 57014, I T F ReadyForQuery with that status (F: E). */
static void
answer(const char *letters)
{
	for (; *letters; letters++) {
		switch (*letters) {
		case 'D':
			msg_data_row(&sent, (const char *const[]){"t"}, 1);
			break;
		case 'C':
			msg_complete(&sent, "SELECT 1");
			break;
		case 'N':
			msg_report(&sent, 'N', "NOTICE", "00000", "take note", NULL, NULL);
			break;
		case 'A':
			notification();
			break;
		case 'S':
			msg_parameter_status(&sent, "TimeZone", "UTC");
			break;
		case 'G':
			text_message('G', "\1");
			break;
		case 'E':
			msg_report(&sent, 'E', "ERROR", "22012", "no", "because", "do not");
			break;
		case 'e':
			msg_report(&sent, 'E', "ERROR", "57014", "cut", NULL, NULL);
			break;
		default:
			msg_ready(&sent, *letters == 'F' ? 'E' : *letters);
		}
	}
}

/* The bytes from..to of what was made arrive in one read. Returns what inquiry_readable() does. */
static bool
arrive(size_t from, size_t to)
{
	bool ended = false;

	while (from < to) {
		size_t n = to - from < LOOP_SCRATCH ? to - from : LOOP_SCRATCH;

		ck_assert(!ended);
		ck_assert_int_eq(write(backend, buf_data(&sent) + from, n), n);
		ended = inquiry_readable(&s);
		from += n;
	}
	return ended;
}

/* The server sends that answer; it must be the end of the inquiry. */
static enum inquiry_state
answered(const char *letters)
{
	buf_clear(&sent);
	answer(letters);
	ck_assert(arrive(0, sent.len));
	ck_assert(inquiry_has_ended(&s));
	return inquiry_take(&s);
}

static void
kept(const char *rows, const char *sqlstate, const char *message)
{
	const struct buf *b = inquiry_rows(&s);
	const uint8_t *at = buf_data(b);
	size_t left = b->len;
	struct frame f;

	for (; *rows; rows++) {
		ck_assert_int_eq(frame_read(at, left, &f), 0);
		ck_assert_int_eq(f.type, *rows);
		at += FRAME_HEADER + f.body;
		left -= FRAME_HEADER + f.body;
	}
	ck_assert_uint_eq(left, 0);
	ck_assert_str_eq(inquiry_sqlstate(&s), sqlstate);
	ck_assert_int_eq(inquiry_failed(&s), sqlstate[0] != 0);
	ck_assert_str_eq(inquiry_message(&s), message);
}

/* ---- answers ---- */

START_TEST(nothing_was_asked)
{
	ck_assert_int_eq(inquiry_state(&s), INQUIRY_QUIET);
	ck_assert(!inquiry_has_ended(&s));
	ck_assert(!inquiry_is_too_long(&s));
	ck_assert(inquiry_passes_parameters(&s));
	inquiry_give_up(&s);
	inquiry_forget(&s);
	ck_assert_ptr_null(s.rare->inquiry);
}
END_TEST

START_TEST(an_answer)
{
	unnamed_make(&s.context.unnamed)->here = true;
	inquiry_ask(&s, "SELECT 1", INQUIRY_PASSES_ALL, INQUIRY_ROWS);
	ck_assert(!unnamed_is_here(s.context.unnamed));
	unnamed_drop(&s.context.unnamed);
	ck_assert_ptr_null(s.context.unnamed);
	server_got("Q");
	ck_assert_int_eq(inquiry_state(&s), INQUIRY_ASKED);
	ck_assert_int_eq(answered("DDCI"), INQUIRY_ANSWERED);
	ck_assert_int_eq(inquiry_state(&s), INQUIRY_QUIET);
	kept("DD", "", "");
	client_got("");
	/* what was kept is there until the next one */
	inquiry_ask(&s, "COMMIT", INQUIRY_PASSES_ALL, 0);
	kept("", "", "");
	ck_assert_int_eq(answered("DCI"), INQUIRY_ANSWERED);
	kept("", "", "");
	inquiry_forget(&s);
	ck_assert_int_eq(inquiry_state(&s), INQUIRY_QUIET);
}
END_TEST

START_TEST(an_error)
{
	inquiry_ask(&s, "SELECT 1/0", INQUIRY_PASSES_ALL, INQUIRY_ROWS);
	ck_assert_int_eq(answered("DEF"), INQUIRY_FAILED);
	kept("D", "22012", "no");
	ck_assert_int_eq(*buf_data(inquiry_error(&s)), 'E');
	ck_assert_str_eq(inquiry_error_field(&s, 'D'), "because");
	ck_assert_str_eq(inquiry_error_field(&s, 'H'), "do not");
	ck_assert_ptr_null(inquiry_error_field(&s, 'W'));
	client_got("");
	/* the next one knows nothing of it */
	inquiry_ask(&s, "ROLLBACK", INQUIRY_PASSES_ALL, 0);
	ck_assert_int_eq(answered("CI"), INQUIRY_ANSWERED);
	kept("", "", "");
	ck_assert_ptr_null(inquiry_error_field(&s, 'M'));
}
END_TEST

START_TEST(the_words_are_those_of_the_first_error)
{
	inquiry_ask(&s, "SELECT 1/0", INQUIRY_PASSES_ALL, 0);
	buf_clear(&sent);
	answer("E");
	msg_report(&sent, 'E', "ERROR", "22003", "another", NULL, NULL);
	answer("I");
	ck_assert(arrive(0, sent.len));
	ck_assert_str_eq(inquiry_message(&s), "no");
}
END_TEST

/* The messages that the client gets, by what the inquiry passes on. */
static const struct {
	enum inquiry_passes passes;
	const char *at_once, *at_end;
	bool parameters;
} passed[] = {
    {INQUIRY_PASSES_ALL, "NASAN", "", true},
    {INQUIRY_PASSES_NO_PARAMETERS, "NAAN", "", false},
    {INQUIRY_PASSES_AT_END, "", "ASA", true},
    {INQUIRY_PASSES_NOTIFICATIONS_AT_END, "", "AA", false},
    {INQUIRY_PASSES_NOTHING, "", "", false},
};

START_TEST(what_is_the_clients)
{
	static const char *const ends[] = {"CI", "EI", "eI"};

	for (size_t e = 0; e < sizeof ends / sizeof *ends; e++) {
		inquiry_ask(&s, "SELECT 1", passed[_i].passes, INQUIRY_ROWS | INQUIRY_AGAIN);
		ck_assert_int_eq(inquiry_passes_parameters(&s), passed[_i].parameters);
		buf_clear(&sent);
		answer("NADSDAN");
		ck_assert(!arrive(0, sent.len));
		client_got(passed[_i].at_once);
		answered(ends[e]);
		client_got(passed[_i].at_end);
		kept("DD",
		     e == 0   ? ""
		     : e == 1 ? "22012"
			      : "57014",
		     e == 0   ? ""
		     : e == 1 ? "no"
			      : "cut");
		inquiry_give_up(&s);
	}
}
END_TEST

/* Every answer is cut at every byte, and comes byte by byte. */
START_TEST(an_answer_in_pieces)
{
	static const char *const answers[] = {"DDCI", "NDASDCI", "NDEAI", "SeI", "CI", "SSAANNDEF"};
	static const char *const rows[] = {"DD", "DD", "D", "", "", "D"};
	static const char *const client_gets[] = {"", "NAS", "NA", "S", "", "SSAANN"};
	const char *sqlstates[] = {"", "", "22012", "57014", "", "22012"};
	const char *words[] = {"", "", "no", "cut", "", "no"};
	size_t bytes;

	buf_clear(&sent);
	answer(answers[_i]);
	bytes = sent.len;
	for (size_t cut = 0; cut <= bytes; cut++) {
		inquiry_ask(&s, "SELECT 1", INQUIRY_PASSES_ALL, INQUIRY_ROWS);
		if (cut == bytes) {
			for (size_t i = 0; i < bytes; i++)
				ck_assert_int_eq(arrive(i, i + 1), i == bytes - 1);
		} else {
			ck_assert(!arrive(0, cut));
			ck_assert(arrive(cut, bytes));
		}
		inquiry_take(&s);
		kept(rows[_i], sqlstates[_i], words[_i]);
		client_got(client_gets[_i]);
	}
}
END_TEST

/* What comes while nothing is asked is passed on, too. */
START_TEST(at_rest)
{
	buf_clear(&sent);
	answer("ANS");
	ck_assert(!arrive(0, sent.len));
	client_got("ANS");
	ck_assert_int_eq(inquiry_state(&s), INQUIRY_QUIET);
}
END_TEST

/* The relay takes over in the middle of a message: the client gets it whole. */
START_TEST(half_a_message_at_rest)
{
	uint8_t got[256];
	size_t bytes, have;
	ssize_t n;

	buf_clear(&sent);
	answer("NA");
	bytes = sent.len;
	for (size_t cut = 0; cut <= bytes; cut++) {
		have = 0;
		ck_assert(!arrive(0, cut));
		inquiry_pass_half(&s);
		inquiry_forget(&s);
		inquiry_pass_half(&s);
		stream_flush(&s.stream);
		while ((n = recv(client, got + have, sizeof got - have, MSG_DONTWAIT)) > 0)
			have += (size_t)n;
		ck_assert_uint_eq(have, cut);
		ck_assert(have == 0 || memcmp(got, buf_data(&sent), have) == 0);
		/* the rest, which the relay would read */
		ck_assert_int_eq(write(backend, buf_data(&sent) + cut, bytes - cut), bytes - cut);
		while (cut < bytes && recv(srv.stream.fd, got, sizeof got, MSG_DONTWAIT) > 0)
			;
		progress_clear(&srv.progress);
	}
	/* what is not the client's is not passed on */
	inquiry_ask(&s, "SELECT 1", INQUIRY_PASSES_ALL, INQUIRY_ROWS);
	buf_clear(&sent);
	answer("D");
	ck_assert(!arrive(0, sent.len - 1));
	inquiry_give_up(&s);
	inquiry_pass_half(&s);
	client_got("");
}
END_TEST

/* ---- again ---- */

START_TEST(cut_short_and_asked_again)
{
	inquiry_ask(&s, "SELECT 1", INQUIRY_PASSES_ALL, INQUIRY_ROWS | INQUIRY_AGAIN);
	ck_assert_int_eq(answered("DeI"), INQUIRY_CUT_SHORT);
	ck_assert_int_eq(inquiry_state(&s), INQUIRY_CUT_SHORT);
	ck_assert(inquiry_has_ended(&s));
	inquiry_ask(&s, "SELECT 1", INQUIRY_PASSES_ALL, INQUIRY_ROWS | INQUIRY_AGAIN);
	server_got("QQ");
	ck_assert_int_eq(answered("DDCI"), INQUIRY_ANSWERED);
	kept("DD", "", "");
}
END_TEST

START_TEST(not_for_ever)
{
	for (int i = 1; i < INQUIRY_ATTEMPTS; i++) {
		inquiry_ask(&s, "SELECT 1", INQUIRY_PASSES_ALL, INQUIRY_AGAIN);
		ck_assert_int_eq(answered("eI"), INQUIRY_CUT_SHORT);
	}
	inquiry_ask(&s, "SELECT 1", INQUIRY_PASSES_ALL, INQUIRY_AGAIN);
	ck_assert_int_eq(answered("eI"), INQUIRY_FAILED);
	kept("", "57014", "cut");
	/* the next question has all its attempts */
	inquiry_ask(&s, "SELECT 2", INQUIRY_PASSES_ALL, INQUIRY_AGAIN);
	ck_assert_int_eq(answered("eI"), INQUIRY_CUT_SHORT);
	inquiry_give_up(&s);
	inquiry_ask(&s, "SELECT 3", INQUIRY_PASSES_ALL, INQUIRY_AGAIN);
	ck_assert_uint_eq(s.rare->inquiry->attempts, 1);
}
END_TEST

START_TEST(what_is_not_asked_again)
{
	/* another error */
	inquiry_ask(&s, "SELECT 1", INQUIRY_PASSES_ALL, INQUIRY_AGAIN);
	ck_assert_int_eq(answered("EI"), INQUIRY_FAILED);
	/* a statement that is run once */
	inquiry_ask(&s, "COMMIT", INQUIRY_PASSES_ALL, 0);
	ck_assert_int_eq(answered("eI"), INQUIRY_FAILED);
	/* one that the client has cancelled */
	inquiry_ask(&s, "SELECT 1", INQUIRY_PASSES_ALL, INQUIRY_AGAIN);
	inquiry_try_no_more(&s);
	ck_assert_int_eq(answered("eI"), INQUIRY_FAILED);
	/* and that is of this one only */
	inquiry_ask(&s, "SELECT 1", INQUIRY_PASSES_ALL, INQUIRY_AGAIN);
	ck_assert_int_eq(answered("eI"), INQUIRY_CUT_SHORT);
}
END_TEST

START_TEST(given_up)
{
	inquiry_ask(&s, "SELECT 1", INQUIRY_PASSES_ALL, INQUIRY_AGAIN);
	inquiry_give_up(&s);
	ck_assert_int_eq(inquiry_state(&s), INQUIRY_QUIET);
	inquiry_give_up(&s);
	buf_clear(&sent);
	answer("DCI");
	ck_assert(!arrive(0, sent.len));
	ck_assert_int_eq(inquiry_state(&s), INQUIRY_QUIET);
}
END_TEST

/* ---- too long ---- */

static char *
long_text(size_t bytes)
{
	char *text = malloc(bytes + 1);

	ck_assert_ptr_nonnull(text);
	memset(text, 'x', bytes);
	text[bytes] = 0;
	return text;
}

START_TEST(rows_that_are_too_long)
{
	char *text = long_text(INQUIRY_KEPT_MAX / 2);

	/* each fits, but not both */
	inquiry_ask(&s, "SELECT 1", INQUIRY_PASSES_ALL, INQUIRY_ROWS);
	buf_clear(&sent);
	msg_data_row(&sent, (const char *const[]){text}, 1);
	ck_assert(!arrive(0, sent.len));
	ck_assert(!inquiry_rows(&s)->failed);
	ck_assert(!inquiry_is_too_long(&s));
	ck_assert(!arrive(0, sent.len));
	ck_assert(inquiry_rows(&s)->failed);
	ck_assert(inquiry_is_too_long(&s));
	ck_assert_int_eq(answered("CI"), INQUIRY_ANSWERED);
	ck_assert(inquiry_rows(&s)->failed);
	/* the next one begins anew; rows that nobody wants may be as long as they are */
	inquiry_ask(&s, "SELECT 1", INQUIRY_PASSES_ALL, 0);
	ck_assert(!inquiry_is_too_long(&s));
	buf_clear(&sent);
	for (int i = 0; i < 4; i++)
		msg_data_row(&sent, (const char *const[]){text}, 1);
	ck_assert(!arrive(0, sent.len));
	ck_assert_int_eq(answered("CI"), INQUIRY_ANSWERED);
	ck_assert(!inquiry_rows(&s)->failed);
	free(text);
	/* one that does not fit */
	text = long_text(INQUIRY_KEPT_MAX);
	inquiry_ask(&s, "SELECT 1", INQUIRY_PASSES_ALL, INQUIRY_ROWS);
	buf_clear(&sent);
	msg_data_row(&sent, (const char *const[]){text}, 1);
	ck_assert(!arrive(0, sent.len));
	ck_assert_int_eq(answered("DCI"), INQUIRY_ANSWERED);
	ck_assert(inquiry_rows(&s)->failed);
	free(text);
}
END_TEST

START_TEST(long_messages_for_the_client)
{
	char *text = long_text(PASSED_MAX);

	/* a notice of this size is left out, as ever; an error's words are kept */
	inquiry_ask(&s, "SELECT 1", INQUIRY_PASSES_ALL, 0);
	buf_clear(&sent);
	msg_report(&sent, 'N', "NOTICE", "00000", text, NULL, NULL);
	msg_report(&sent, 'E', "ERROR", "22012", text, NULL, NULL);
	ck_assert(!arrive(0, sent.len));
	ck_assert_int_eq(answered("NI"), INQUIRY_FAILED);
	client_got("N");
	kept("", "22012", text);
	free(text);
	/* an error always has words */
	text = long_text(INQUIRY_KEPT_MAX);
	inquiry_ask(&s, "SELECT 1", INQUIRY_PASSES_ALL, 0);
	buf_clear(&sent);
	msg_report(&sent, 'E', "ERROR", "22012", text, NULL, NULL);
	ck_assert(!arrive(0, sent.len));
	ck_assert_int_eq(answered("I"), INQUIRY_FAILED);
	kept("", "22012", "the words of the server's error are too long");
	free(text);
}
END_TEST

/* ---- COPY, and values ---- */

START_TEST(a_copy_is_ended)
{
	inquiry_ask(&s, "COPY t FROM STDIN", INQUIRY_PASSES_ALL, 0);
	server_got("Q");
	buf_clear(&sent);
	answer("G");
	ck_assert(!arrive(0, sent.len));
	server_got("f");
	ck_assert_int_eq(answered("EI"), INQUIRY_FAILED);
	server_got("");
}
END_TEST

START_TEST(values_are_bound)
{
	char sql[] = "SELECT $1", value[] = "1", *values[] = {value};
	struct deferred d = {.sql = sql, .values = values, .nvalues = 1, .used = 1};

	inquiry_run(&s, &d, INQUIRY_ROWS);
	server_got("PBES");
	buf_clear(&sent);
	text_message('1', "");
	text_message('2', "");
	ck_assert_int_eq(s.rare->inquiry->passes, INQUIRY_PASSES_ALL);
	inquiry_give_up(&s);
}
END_TEST

/* ---- moves ---- */

static const bool moves[INQUIRY_NSTATES][INQUIRY_NSTATES] = {
    [INQUIRY_QUIET][INQUIRY_ASKED] = true,     [INQUIRY_ASKED][INQUIRY_ANSWERED] = true,
    [INQUIRY_ASKED][INQUIRY_FAILED] = true,    [INQUIRY_ASKED][INQUIRY_CUT_SHORT] = true,
    [INQUIRY_ASKED][INQUIRY_QUIET] = true,     [INQUIRY_CUT_SHORT][INQUIRY_ASKED] = true,
    [INQUIRY_CUT_SHORT][INQUIRY_QUIET] = true, [INQUIRY_ANSWERED][INQUIRY_QUIET] = true,
    [INQUIRY_FAILED][INQUIRY_QUIET] = true,
};

/* Ends the process with 1 if the move is refused. */
static void
move(int pair)
{
	prepare(&s);
	s.rare->inquiry->state = (enum inquiry_state)(pair / INQUIRY_NSTATES);
	inquiry_set_state(&s, (enum inquiry_state)(pair % INQUIRY_NSTATES));
	ck_assert_int_eq(inquiry_state(&s), pair % INQUIRY_NSTATES);
}

START_TEST(it_moves)
{
	move(_i);
}
END_TEST

START_TEST(it_does_not_move)
{
	move(_i);
}
END_TEST

/* One at a time. */
START_TEST(a_second_question)
{
	inquiry_ask(&s, "SELECT 1", INQUIRY_PASSES_ALL, 0);
	inquiry_ask(&s, "SELECT 2", INQUIRY_PASSES_ALL, 0);
}
END_TEST

START_TEST(states_have_names)
{
	for (int i = 0; i < INQUIRY_NSTATES; i++)
		ck_assert_str_ne(inquiry_state_name((enum inquiry_state)i), "");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("inquiry");
	TCase *t = tcase_create("inquiry");
	SRunner *r = srunner_create(suite);
	/* What is illegal ends the program: without a process of its own (CK_FORK=no) it would be
	 * this one. */
	bool forks = srunner_fork_status(r) == CK_FORK;
	int failures;

	log_init("check_inquiry", LOG_ERROR);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, nothing_was_asked);
	tcase_add_test(t, an_answer);
	tcase_add_test(t, an_error);
	tcase_add_test(t, the_words_are_those_of_the_first_error);
	tcase_add_loop_test(t, what_is_the_clients, 0, INQUIRY_NPASSES);
	tcase_add_loop_test(t, an_answer_in_pieces, 0, 6);
	tcase_add_test(t, at_rest);
	tcase_add_test(t, half_a_message_at_rest);
	tcase_add_test(t, cut_short_and_asked_again);
	tcase_add_test(t, not_for_ever);
	tcase_add_test(t, what_is_not_asked_again);
	tcase_add_test(t, given_up);
	tcase_add_test(t, rows_that_are_too_long);
	tcase_add_test(t, long_messages_for_the_client);
	tcase_add_test(t, a_copy_is_ended);
	tcase_add_test(t, values_are_bound);
	tcase_add_test(t, states_have_names);
	if (forks)
		tcase_add_exit_test(t, a_second_question, 1);
	for (int i = 0; i < INQUIRY_NSTATES * INQUIRY_NSTATES; i++)
		if (moves[i / INQUIRY_NSTATES][i % INQUIRY_NSTATES])
			tcase_add_loop_test(t, it_moves, i, i + 1);
		else if (forks)
			tcase_add_loop_exit_test(t, it_does_not_move, 1, i, i + 1);
	suite_add_tcase(suite, t);
	srunner_run_all(r, CK_ENV);
	failures = srunner_ntests_failed(r);
	srunner_free(r);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
