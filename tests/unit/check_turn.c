#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "loop/loop.h"
#include "loop/stream.h"
#include "session/batch.h"
#include "session/site.h"

/* What a session does in its turn is the test's. */
#define inbound_go_on test_go_on
#define borrow_begin  test_begin
#define executor_go   test_scopes
#include "loops.h"
#include "relay/turn.c"

#define SESSIONS 8
#define STEPS    4000 /* of the random test */

/* What one session has come to. */
struct actor {
	struct session s;
	struct hold own;
	unsigned turns;
	unsigned begun; /* leases */
	bool due;       /* it was woken, and has had no turn since */
};

static unsigned seed; /* CHECK_SEED, or the time */
static struct loop *the_loop;
static struct site site;
static struct actor actors[SESSIONS];
static struct actor *on_stack; /* whose turn it is, or NULL */
static void (*in_turn)(struct actor *);
static char order[64]; /* of turns: a letter for each */

static struct actor *
actor_of(struct session *s)
{
	return LIST_OBJ(s, struct actor, s);
}

static void
wake(struct actor *a)
{
	a->due |= a->s.state != SESSION_CLOSED;
	session_wake(&a->s);
}

static void
close_one(struct actor *a)
{
	session_set_state(&a->s, SESSION_CLOSED);
	a->due = false;
}

/* No turn begins within another one. */
static void
take_turn(struct session *s)
{
	struct actor *a = actor_of(s);
	size_t used = strlen(order);

	ck_assert_ptr_null(on_stack);
	ck_assert_int_ne(s->state, SESSION_CLOSED);
	on_stack = a;
	a->turns++;
	a->due = false;
	if (used + 1 < sizeof order)
		order[used] = (char)('a' + (a - actors));
	if (in_turn)
		in_turn(a);
	on_stack = NULL;
}

void
test_go_on(struct session *s)
{
	take_turn(s);
}

void
test_begin(struct session *s)
{
	actor_of(s)->begun++;
	session_set_state(s, SESSION_ACTIVE);
}

void
test_scopes(struct session *s)
{
	take_turn(s);
}

static void
setup(void)
{
	the_loop = loops_new();
	memset(&site, 0, sizeof site);
	memset(order, 0, sizeof order);
	site.loop = the_loop;
	list_init(&site.woken);
	list_init(&site.holds);
	for (int i = 0; i < SESSION_NSTATES; i++)
		list_init(&site.in_state[i]);
	batch_init(&site.batch);
	loop_on_work(the_loop, turn_all, &site);
	for (int i = 0; i < SESSIONS; i++) {
		struct session *s = &actors[i].s;

		memset(&actors[i], 0, sizeof actors[i]);
		s->id = 1 + (uint64_t)i;
		s->site = &site;
		session_set_none(s);
		s->hold = s->own = &actors[i].own;
		s->state = SESSION_IDLE;
		s->stream.fd = -1;
		list_append(&site.in_state[SESSION_IDLE], &s->node);
	}
	in_turn = NULL;
	on_stack = NULL;
}

static void
teardown(void)
{
	for (int i = 0; i < SESSIONS; i++)
		session_drop_kept(&actors[i].s, actors[i].s.in->len);
	batch_clear(&site.batch);
	loop_free(the_loop);
}

/* ---- who has a turn ---- */

START_TEST(each_that_is_woken_has_one_turn)
{
	wake(&actors[2]);
	wake(&actors[0]);
	wake(&actors[2]);
	turn_all(&site);
	ck_assert_str_eq(order, "ca");
	ck_assert_uint_eq(site.woken.count, 0);
	turn_all(&site);
	ck_assert_str_eq(order, "ca");
}
END_TEST

static void
a_wakes_b_and_itself(struct actor *a)
{
	if (a != &actors[0] || a->turns > 2)
		return;
	wake(&actors[1]);
	wake(a);
}

START_TEST(who_is_woken_in_a_turn_has_it_behind_that)
{
	in_turn = a_wakes_b_and_itself;
	wake(&actors[0]);
	wake(&actors[2]);
	turn_all(&site);
	ck_assert_str_eq(order, "acbaba");
}
END_TEST

static void
a_closes_b_and_itself(struct actor *a)
{
	if (a != &actors[0])
		return;
	close_one(&actors[1]);
	close_one(a);
	wake(&actors[1]);
	wake(a);
}

START_TEST(who_is_closed_has_none)
{
	in_turn = a_closes_b_and_itself;
	wake(&actors[0]);
	wake(&actors[1]);
	wake(&actors[2]);
	turn_all(&site);
	ck_assert_str_eq(order, "ac");
}
END_TEST

START_TEST(who_waits_goes_on_with_its_lease_only)
{
	session_set_state(&actors[0].s, SESSION_WAITING);
	wake(&actors[0]);
	turn_all(&site);
	ck_assert_str_eq(order, "");
	ck_assert_uint_eq(actors[0].begun, 0);
	actors[0].own.lease.state = LEASE_HELD;
	wake(&actors[0]);
	turn_all(&site);
	ck_assert_str_eq(order, "a");
	ck_assert_uint_eq(actors[0].begun, 1);
	wake(&actors[0]);
	turn_all(&site);
	ck_assert_str_eq(order, "aa");
	ck_assert_uint_eq(actors[0].begun, 1);
}
END_TEST

static void
keeps_a_message(struct actor *a)
{
	struct session *s = &a->s;

	session_drop_kept(s, s->in->len);
	buf_add(session_keep(s), "S\0\0\0\4", a == &actors[2] ? 4 : 5);
	s->stream.paused = a == &actors[0];
	s->stream.held = a == &actors[1];
	if (a == &actors[3])
		session_set_state(s, SESSION_WAITING);
	if (a == &actors[4] && a->turns < 3)
		wake(a);
	if (a == &actors[4] && a->turns == 3)
		session_drop_kept(s, s->in->len);
}

/* Who is not read from, waits, has another turn, or has not got all of it. */
START_TEST(a_message_may_be_kept)
{
	in_turn = keeps_a_message;
	for (int i = 0; i < 5; i++)
		wake(&actors[i]);
	turn_all(&site);
	ck_assert_str_eq(order, "abcdeee");
}
END_TEST

/* ---- when ---- */

/* Two streams that can be read in the same turn of the loop. */
static struct stream streams[2];
static int peers[2];
static bool in_callback;

static void
open_streams(const struct stream_ops *ops)
{
	for (int i = 0; i < 2; i++) {
		int fds[2];

		ck_assert_int_eq(
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
		stream_init(&streams[i], the_loop, fds[0], 1024, ops, &actors[i]);
		peers[i] = fds[1];
		ck_assert_int_eq(write(peers[i], "x", 1), 1);
	}
}

static void
close_streams(void)
{
	for (int i = 0; i < 2; i++) {
		stream_close(&streams[i]);
		close(peers[i]);
	}
}

/* The session of each stream wakes the other one, which gets its turn before all else happens. */
static void
readable_wakes(struct stream *st, void *arg)
{
	struct actor *a = arg, *other = &actors[a == &actors[0]];
	char byte;

	ck_assert_ptr_null(on_stack);
	for (int i = 0; i < SESSIONS; i++)
		ck_assert(!actors[i].due);
	in_callback = true;
	stream_read(st, &byte, 1);
	wake(other);
	ck_assert_uint_eq(site.woken.count, 1);
	in_callback = false;
	if (strlen(order) == 1)
		loop_stop(the_loop);
}

static void
not_in_a_callback(struct actor *a)
{
	ck_assert(!in_callback);
}

START_TEST(a_turn_comes_when_the_callback_has_returned)
{
	static const struct stream_ops ops = {.readable = readable_wakes};

	in_turn = not_in_a_callback;
	open_streams(&ops);
	ck_assert_int_eq(loop_run(the_loop), 0);
	ck_assert_uint_eq(strlen(order), 2);
	ck_assert_int_ne(order[0], order[1]);
	close_streams();
}
END_TEST

static void
readable_stops(struct stream *st, void *arg)
{
	char byte;

	stream_read(st, &byte, 1);
	loop_stop(the_loop);
}

START_TEST(who_is_woken_outside_of_an_event_has_it_before_the_next)
{
	static const struct stream_ops ops = {.readable = readable_stops};

	open_streams(&ops);
	wake(&actors[4]);
	ck_assert_int_eq(loop_run(the_loop), 0);
	ck_assert_str_eq(order, "e");
	close_streams();
}
END_TEST

/* ---- all of it ---- */

static void
random_step(void)
{
	struct actor *a = &actors[random() % SESSIONS];
	struct session *s = &a->s;

	switch (random() % 6) {
	case 0:
		if (s->state == SESSION_IDLE && s->own->lease.state == LEASE_NONE)
			session_set_state(s, SESSION_WAITING);
		break;
	case 1:
		/* As the pool does it: the state of the lease, and a wake. */
		if (s->state != SESSION_WAITING)
			break;
		s->own->lease.state = LEASE_HELD;
		wake(a);
		break;
	case 2:
		if (s->state != SESSION_ACTIVE)
			break;
		session_set_state(s, SESSION_IDLE);
		s->own->lease.state = LEASE_NONE;
		break;
	case 3:
		if (random() % 50 == 0 && s->state != SESSION_CLOSED)
			close_one(a);
		break;
	default:
		wake(a);
	}
}

static void
random_turn(struct actor *a)
{
	for (long n = random() % 3 > 1 ? random() % 3 : 0; n > 0; n--)
		random_step();
}

/* Whoever is woken has a turn, with its lease begun if it has got one, and no turn is inside of
 * another one. */
START_TEST(random_sessions)
{
	unsigned turns = 0, closed = 0;

	srandom(seed);
	in_turn = random_turn;
	for (int i = 0; i < STEPS; i++) {
		random_step();
		if (random() % 3)
			continue;
		turn_all(&site);
		ck_assert_uint_eq(site.woken.count, 0);
		for (int k = 0; k < SESSIONS; k++) {
			const struct session *s = &actors[k].s;

			ck_assert_msg(!actors[k].due || s->state == SESSION_WAITING,
				      "CHECK_SEED=%u: step %d: session %d was forgotten", seed, i,
				      k);
			ck_assert_msg(s->state != SESSION_WAITING ||
					  s->own->lease.state == LEASE_NONE,
				      "CHECK_SEED=%u: step %d: session %d has a lease, and waits",
				      seed, i, k);
		}
	}
	for (int k = 0; k < SESSIONS; k++) {
		turns += actors[k].turns;
		closed += actors[k].s.state == SESSION_CLOSED;
	}
	ck_assert_uint_gt(turns, STEPS / 100);
	ck_assert_uint_gt(closed, 0);
}
END_TEST

/* ---- our own bugs end the program ---- */

static void
leaves_a_batch(struct actor *a)
{
	static struct server srv = {.id = 7};

	a->own.lease.state = LEASE_HELD;
	a->own.lease.srv = &srv;
	batch_pass(&a->s, (const uint8_t *)"x", 1);
}

START_TEST(a_batch_is_left)
{
	in_turn = leaves_a_batch;
	wake(&actors[0]);
	turn_all(&site);
}
END_TEST

static void
leaves_a_message(struct actor *a)
{
	buf_add(session_keep(&a->s), "S\0\0\0\4", 5);
}

START_TEST(a_message_is_left)
{
	in_turn = leaves_a_message;
	wake(&actors[0]);
	turn_all(&site);
}
END_TEST

int
main(void)
{
	const char *given = getenv("CHECK_SEED");
	Suite *suite = suite_create("turn");
	TCase *t = tcase_create("turns");
	SRunner *runner;
	int failed;

	seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
	fprintf(stderr, "check_turn: CHECK_SEED=%u\n", seed);
	log_init("check_turn", LOG_ERROR);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, each_that_is_woken_has_one_turn);
	tcase_add_test(t, who_is_woken_in_a_turn_has_it_behind_that);
	tcase_add_test(t, who_is_closed_has_none);
	tcase_add_test(t, who_waits_goes_on_with_its_lease_only);
	tcase_add_test(t, a_message_may_be_kept);
	tcase_add_test(t, a_turn_comes_when_the_callback_has_returned);
	tcase_add_test(t, who_is_woken_outside_of_an_event_has_it_before_the_next);
	tcase_add_test(t, random_sessions);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	/* They end the program, which without a process of their own (CK_FORK=no) is this one. */
	if (srunner_fork_status(runner) == CK_FORK) {
		t = tcase_create("bugs");
		tcase_add_checked_fixture(t, setup, NULL);
		tcase_add_exit_test(t, a_batch_is_left, 1);
		tcase_add_exit_test(t, a_message_is_left, 1);
		suite_add_tcase(suite, t);
	}
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
