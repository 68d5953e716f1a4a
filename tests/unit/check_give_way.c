/* give_way: how often the processor is given away, with sched_yield() of our own. */
#include <check.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int our_yield(void);

#define sched_yield our_yield
#include "loop/loop.c"
#include "loop/stream.h"

#define STREAMS 8

static struct loop *loop;
static struct stream streams[STREAMS];
static int peers[STREAMS];
static unsigned yields;
static unsigned yield_us; /* so long others have the processor */
static bool answers;      /* then something comes of it */

static int
our_yield(void)
{
	yields++;
	if (yield_us > 0)
		usleep(yield_us);
	if (answers)
		ck_assert_int_eq(write(peers[yields % STREAMS], "x", 1), 1);
	return 0;
}

static void
on_readable(struct stream *st, void *arg)
{
	ck_assert_int_eq(stream_read(st, loop_scratch(loop), LOOP_SCRATCH), 1);
}

static void
on_drained(struct stream *st, void *arg)
{
}

static const struct stream_ops ops = {on_readable, on_drained, NULL};

static void
on_timer(void *arg)
{
	*(bool *)arg = true;
}

/* Something comes for `n` streams in one turn, and nothing more for 2 ms. Returns how often the
 * processor was given away. */
static unsigned
yields_behind(unsigned n)
{
	unsigned before = yields;
	struct timer timer;
	bool over = false;

	for (unsigned i = 0; i < n; i++)
		ck_assert_int_eq(write(peers[i], "x", 1), 1);
	ck_assert_int_eq(loop_turn(loop, true), 0);
	ck_assert_uint_eq(loop->ring ? loop->called : watches_called(loop->watches), n);
	timer_init(&timer, loop, on_timer, &over);
	timer_start(&timer, 2000);
	while (!over)
		ck_assert_int_eq(loop_turn(loop, true), 0);
	return yields - before;
}

/* Returns false where the kernel has no io_uring: then there is nothing to test by it. */
static bool
setup(bool ring)
{
	char why[200];

	loop = loop_new();
	yields = yield_us = 0;
	answers = false;
	if (ring && !loop_use_ring(loop, why, sizeof why)) {
		loop_free(loop);
		return false;
	}
	for (int i = 0; i < STREAMS; i++) {
		int fds[2];

		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
		peers[i] = fds[1];
		stream_init(&streams[i], loop, fds[0], 100000, &ops, NULL);
	}
	ck_assert_int_eq(loop_turn(loop, false), 0);
	return true;
}

static void
teardown(void)
{
	for (int i = 0; i < STREAMS; i++) {
		stream_close(&streams[i]);
		close(peers[i]);
	}
	loop_free(loop);
}

/* A turn that waits. A busy machine may have taken the processor for long in the one before: then
 * this one would not give it away, and wait for ever for what sched_yield() writes. */
static void
turn(void)
{
	loop->stay_us = 0;
	ck_assert_int_eq(loop_turn(loop, true), 0);
}

START_TEST(once_a_turn_while_something_comes_of_it)
{
	if (!setup(true))
		return;
	for (int i = 0; i < STREAMS; i++)
		ck_assert_int_eq(write(peers[i], "x", 1), 1);
	turn();
	ck_assert_uint_eq(yields, 0);
	answers = true;
	for (unsigned i = 1; i < 100; i++) {
		turn();
		ck_assert_uint_eq(yields, i);
		ck_assert_uint_eq(loop->called, 1);
	}
	teardown();
}
END_TEST

/* A client and its server, or two of both, have to be quick, not cheap. */
START_TEST(never_for_few)
{
	if (!setup(true))
		return;
	for (int i = 0; i < 20; i++)
		yields_behind(1 + (unsigned)i % (GIVE_WAY_FROM - 1));
	ck_assert_uint_eq(yields, 0);
	ck_assert_uint_eq(yields_behind(GIVE_WAY_FROM), 1);
	/* So it is when they are called one after the other. */
	loop->busy = loop->was_busy = loop->turns = 0;
	loop->round++;
	loop->skip = 0;
	for (unsigned i = 0; i < GIVE_WAY_ROUND; i++) {
		ck_assert_uint_eq(yields, 1);
		ck_assert_int_eq(write(peers[i % STREAMS], "x", 1), 1);
		turn();
	}
	answers = true;
	turn();
	ck_assert_uint_eq(yields, 2);
	teardown();
}
END_TEST

START_TEST(rarely_if_nothing_comes_of_it)
{
	unsigned all = 0;

	if (!setup(true))
		return;
	ck_assert_uint_eq(yields_behind(STREAMS), 1);
	for (int i = 0; i < 200; i++) {
		loop->stay_us = 0;
		all += yields_behind(STREAMS);
	}
	ck_assert_uint_ge(all, 2);
	ck_assert_uint_le(all, 12);
	/* As soon as something comes of it again, it is done behind each turn. */
	answers = true;
	for (int i = 0; loop->in_vain > 0; i++) {
		ck_assert_int_lt(i, 100);
		for (int k = 0; k < STREAMS; k++)
			ck_assert_int_eq(write(peers[k], "x", 1), 1);
		turn();
		if (loop->skip == 0)
			turn();
	}
	for (unsigned i = 1; i < 10; i++) {
		unsigned before = yields;

		turn();
		ck_assert_uint_eq(yields, before + 1);
	}
	teardown();
}
END_TEST

/* Nothing is given away while there is something to do. */
START_TEST(not_before_what_has_come)
{
	if (!setup(true))
		return;
	for (int n = 0; n < 10; n++) {
		for (int i = 0; i < STREAMS; i++)
			ck_assert_int_eq(write(peers[i], "x", 1), 1);
		turn();
	}
	ck_assert_uint_eq(yields, 0);
	teardown();
}
END_TEST

START_TEST(by_epoll_behind_busy_turns)
{
	setup(false);
	for (int i = 0; i < 100; i++) {
		unsigned n = 1 + (unsigned)i % STREAMS;

		/* A busy machine may have taken the processor in the turn before. */
		loop->stay_us = 0;
		ck_assert_uint_eq(yields_behind(n), n >= GIVE_WAY_EPOLL);
	}
	teardown();
}
END_TEST

/* Who has lost the processor for long keeps it for a hundred times as long. */
START_TEST(not_when_it_took_long)
{
	int64_t stay_us;

	if (!setup(_i == 1))
		return;
	yield_us = 3000;
	ck_assert_uint_eq(yields_behind(STREAMS), 1);
	stay_us = loop->stay_us;
	ck_assert_int_ge(stay_us - loop_now_us(loop), 90 * yield_us);
	while (loop_read_clock_(loop) < stay_us - 20000)
		if (yields_behind(STREAMS) > 0)
			ck_assert_int_ge(loop_read_clock_(loop), stay_us);
	yield_us = 0;
	while (loop_read_clock_(loop) < stay_us)
		usleep(1000);
	loop->skip = 0;
	ck_assert_uint_eq(yields_behind(STREAMS), 1);
	teardown();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("give_way");
	TCase *t = tcase_create("give_way");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 30);
	tcase_add_test(t, once_a_turn_while_something_comes_of_it);
	tcase_add_test(t, never_for_few);
	tcase_add_test(t, rarely_if_nothing_comes_of_it);
	tcase_add_test(t, not_before_what_has_come);
	tcase_add_test(t, by_epoll_behind_busy_turns);
	tcase_add_loop_test(t, not_when_it_took_long, 0, 2);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
