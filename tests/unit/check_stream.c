#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "loop/inlet.h"
#include "loop/stream.h"
#include "loops.h"

#define QUEUE_MAX (256 * 1024)

/* One end is the stream's, the other one (`peer`) the test's. */
struct end {
	struct loop *loop;
	struct stream st;
	int peer;
	unsigned readables, drains, hangups;
	size_t got;
	bool at_end;
	bool waits;  /* a hang-up does */
	bool pauses; /* the reader does, behind each read */
};

static void
on_readable(struct stream *st, void *arg)
{
	struct end *e = arg;
	ssize_t n = stream_read(st, loop_scratch(e->loop), LOOP_SCRATCH);

	e->readables++;
	if (n > 0) {
		e->got += (size_t)n;
		if (e->pauses)
			stream_pause(st);
	} else if (n != -E_AGAIN) {
		e->at_end = true;
		stream_close(st);
	}
}

static void
on_drained(struct stream *st, void *arg)
{
	struct end *e = arg;

	ck_assert_uint_eq(stream_queued(st), 0);
	e->drains++;
}

static bool
on_hangup(struct stream *st, void *arg)
{
	struct end *e = arg;

	e->hangups++;
	if (e->waits)
		return false;
	stream_close(st);
	return true;
}

static const struct stream_ops ops = {on_readable, on_drained, on_hangup};
static const struct stream_ops without_hangup = {on_readable, on_drained, NULL};

static void
make(struct end *e, const struct stream_ops *with)
{
	int fds[2];

	memset(e, 0, sizeof *e);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	e->loop = loops_new();
	e->peer = fds[1];
	stream_init(&e->st, e->loop, fds[0], QUEUE_MAX, with, e);
}

static void
end(struct end *e)
{
	stream_close(&e->st);
	if (e->peer >= 0)
		close(e->peer);
	loop_free(e->loop);
}

static void
on_timer(void *arg)
{
	*(bool *)arg = true;
}

/* Runs the loop until it has nothing to do for 20 ms, and returns how many turns it took before. On
 * a busy machine the timer can come in the same turn as an event. A loop that spins never gets
 * there: that many turns are enough to say so. The alarm of a timer that was stopped makes a turn
 * with nothing in it, which does not count. */
static unsigned
turns(struct end *e)
{
	unsigned n = 0;
	bool alarm = false;

	for (; n < 1000; n++) {
		unsigned before = e->readables + e->drains + e->hangups;
		bool over = false;
		struct timer timer;

		timer_init(&timer, e->loop, on_timer, &over);
		timer_start(&timer, 20000);
		ck_assert_int_eq(loop_turn(e->loop, true), 0);
		timer_stop(&timer);
		if (e->readables + e->drains + e->hangups > before)
			continue;
		if (over)
			break;
		if (!alarm)
			n--;
		alarm = true;
	}
	return n;
}

static void
hang_up(struct end *e)
{
	close(e->peer);
	e->peer = -1;
}

static size_t
peer_reads(struct end *e)
{
	static uint8_t data[65536];
	size_t all = 0;
	ssize_t n;

	while ((n = read(e->peer, data, sizeof data)) > 0)
		all += (size_t)n;
	return all;
}

/* One that asks, when it is called, whether the other one is still to be called in this turn. */
struct asking {
	struct end end; /* must be the first member */
	struct asking *other;
	bool news;
	unsigned calls; /* of the other one, until then */
};

static void
ask(void *arg)
{
	struct asking *a = arg;

	a->news = stream_has_news(&a->other->end.st);
	a->calls = a->other->end.readables + a->other->end.hangups;
}

static void
ask_by_event(evutil_socket_t fd, short what, void *arg)
{
	ask(arg);
}

static void
ask_and_read(struct stream *st, void *arg)
{
	ask(arg);
	on_readable(st, arg);
}

static const struct stream_ops asking_ops = {ask_and_read, on_drained, on_hangup};

/* A timer and an event of libevent ask in the next turn. */
static void
ask_at_the_next_turn(struct asking *timed, struct asking *evented)
{
	struct timer timer;
	struct event event;

	timer_init(&timer, timed->end.loop, ask, timed);
	timer_start(&timer, 0);
	event_assign(&event, loop_base(evented->end.loop), -1, 0, ask_by_event, evented);
	loop_activate(evented->end.loop, &event);
	loop_turn(timed->end.loop, true);
	ck_assert(!timer_started(&timer));
}

/* Whoever is called first in a turn knows what has come for the others. */
START_TEST(news_are_known_ahead_of_the_streams)
{
	struct asking a = {0}, b = {0}, timed = {.other = &a}, evented = {.other = &a};
	int fds[2];

	make(&a.end, &asking_ops);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	timed.end.loop = evented.end.loop = b.end.loop = a.end.loop;
	b.end.peer = fds[1];
	stream_init(&b.end.st, b.end.loop, fds[0], QUEUE_MAX, &asking_ops, &b);
	a.other = &b;
	b.other = &a;
	turns(&a.end);
	ck_assert_int_eq(write(a.end.peer, "abc", 3), 3);
	turns(&a.end);
	ck_assert_uint_eq(a.end.readables, 1);
	ck_assert(!a.news);
	ck_assert_int_eq(write(a.end.peer, "abc", 3), 3);
	ck_assert_int_eq(write(b.end.peer, "abc", 3), 3);
	ask_at_the_next_turn(&timed, &evented);
	ck_assert_uint_eq(a.end.got + b.end.got, 9);
	ck_assert(a.news != b.news);
	/* By epoll, timers and libevent come behind the streams. */
	ck_assert(timed.news || timed.calls == 2);
	ck_assert(evented.news || evented.calls == 2);
	/* In a pause the kernel reports a hang-up once. */
	stream_pause(&a.end.st);
	ck_assert_int_eq(write(a.end.peer, "abc", 3), 3);
	turns(&a.end);
	hang_up(&a.end);
	ask_at_the_next_turn(&timed, &evented);
	ck_assert_uint_eq(a.end.hangups, 1);
	ck_assert(timed.news || timed.calls == 3);
	ck_assert(evented.news || evented.calls == 3);
	stream_close(&b.end.st);
	close(b.end.peer);
	end(&a.end);
}
END_TEST

START_TEST(bytes_come_and_then_the_end)
{
	struct end e;

	make(&e, &ops);
	ck_assert_int_eq(write(e.peer, "hello", 5), 5);
	ck_assert_uint_eq(turns(&e), 1);
	ck_assert_uint_eq(e.got, 5);
	ck_assert_uint_eq(e.st.received, 5);
	ck_assert_int_eq(write(e.peer, "last", 4), 4);
	hang_up(&e);
	ck_assert_uint_le(turns(&e), 2);
	ck_assert_uint_eq(e.got, 9);
	ck_assert(e.at_end);
	ck_assert_uint_eq(e.hangups, 0);
	ck_assert(!stream_open(&e.st));
	end(&e);
}
END_TEST

/* Looks, and with a ring, which does not look, runs the loop instead. */
static void
look(struct end *e)
{
	stream_look(&e->st);
	if (loop_ring(e->loop))
		turns(e);
}

/* What has come is read without a turn; if nothing has, the stream waits as it would have. */
START_TEST(a_look_reads_what_is_there)
{
	static uint8_t block[LOOP_SCRATCH + 1000];
	struct end e;

	make(&e, &ops);
	look(&e);
	ck_assert_uint_eq(e.got, 0);
	ck_assert_uint_eq(turns(&e), 0);
	ck_assert_int_eq(write(e.peer, "abc", 3), 3);
	ck_assert_uint_eq(turns(&e), 1);
	ck_assert_uint_eq(e.got, 3);
	end(&e);

	make(&e, &ops);
	ck_assert_int_eq(write(e.peer, "abc", 3), 3);
	look(&e);
	ck_assert_uint_eq(e.got, 3);
	ck_assert_uint_eq(e.st.received, 3);
	ck_assert_uint_eq(turns(&e), 0);
	ck_assert_int_eq(write(e.peer, "de", 2), 2);
	turns(&e);
	ck_assert_uint_eq(e.got, 5);
	hang_up(&e);
	turns(&e);
	ck_assert(e.at_end);
	end(&e);

	/* More than one read takes. */
	make(&e, &ops);
	ck_assert_int_eq(write(e.peer, block, sizeof block), sizeof block);
	look(&e);
	ck_assert_uint_ge(e.got, LOOP_SCRATCH);
	turns(&e);
	ck_assert_uint_eq(e.got, sizeof block);
	end(&e);

	/* The end alone, and behind bytes. */
	make(&e, &ops);
	hang_up(&e);
	look(&e);
	ck_assert(e.at_end && !stream_open(&e.st));
	ck_assert_uint_eq(turns(&e), 0);
	end(&e);

	make(&e, &ops);
	ck_assert_int_eq(write(e.peer, "abc", 3), 3);
	hang_up(&e);
	look(&e);
	ck_assert_uint_eq(e.got, 3);
	turns(&e);
	ck_assert(e.at_end);
	end(&e);
}
END_TEST

START_TEST(what_the_kernel_does_not_take_is_queued)
{
	static uint8_t block[50000];
	struct end e;
	size_t written = 0, got = 0;
	int r;

	make(&e, &ops);
	while (stream_queued(&e.st) == 0) {
		ck_assert_int_eq(stream_write(&e.st, block, sizeof block), 0);
		written += sizeof block;
	}
	while ((r = stream_write(&e.st, block, sizeof block)) == 0)
		written += sizeof block;
	ck_assert_int_eq(r, -E_TOOBIG);
	ck_assert_uint_le(stream_queued(&e.st), QUEUE_MAX);
	/* Nothing of what did not fit, and no turning while nobody reads. */
	ck_assert_uint_le(turns(&e), 1);
	ck_assert_uint_eq(e.drains, 0);
	for (int i = 0; i < 1000 && e.drains == 0; i++) {
		got += peer_reads(&e);
		turns(&e);
	}
	ck_assert_uint_eq(e.drains, 1);
	got += peer_reads(&e);
	ck_assert_uint_eq(got, written);
	ck_assert_uint_eq(e.st.sent, written);
	ck_assert_ptr_null(stream_more(&e.st));
	/* It can be used again, and what goes at once is no drain. */
	ck_assert_int_eq(stream_write(&e.st, block, 10), 0);
	ck_assert_uint_eq(turns(&e), 0);
	ck_assert_uint_eq(e.drains, 1);
	end(&e);
}
END_TEST

/* Small writes, which a ring sends at the end of the turn. */
START_TEST(small_writes_are_queued_in_their_order)
{
	uint32_t numbers[64], sent = 0, seen = 0;
	struct end e;
	ssize_t n;

	make(&e, &ops);
	while (!stream_is_slow(&e.st)) {
		for (int i = 0; i < 200; i++) {
			for (size_t k = 0; k < 64; k++)
				numbers[k] = sent++;
			ck_assert_int_eq(stream_write(&e.st, numbers, sizeof numbers), 0);
		}
		loop_turn(e.loop, false);
	}
	for (int i = 0; i < 1000 && (e.drains == 0 || seen < sent); i++) {
		while ((n = read(e.peer, numbers, sizeof numbers)) > 0)
			for (size_t k = 0; k < (size_t)n / sizeof *numbers; k++)
				ck_assert_uint_eq(numbers[k], seen++);
		turns(&e);
	}
	ck_assert_uint_eq(seen, sent);
	ck_assert_uint_eq(e.st.sent, sent * sizeof sent);
	ck_assert_uint_eq(e.drains, 1);
	end(&e);
}
END_TEST

/* The socket takes less than what is written at once, so the kernel cuts it short. */
START_TEST(the_rest_of_what_is_cut_short_follows)
{
	enum { NUMBERS = 3000, TIMES = 5 };
	static uint32_t numbers[NUMBERS];
	const int room = 1;
	uint32_t sent = 0, seen = 0;
	struct end e;
	ssize_t n;

	make(&e, &ops);
	ck_assert_int_eq(setsockopt(e.st.fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room), 0);
	for (int t = 0; t < TIMES; t++) {
		for (size_t k = 0; k < NUMBERS; k++)
			numbers[k] = sent++;
		ck_assert_int_eq(stream_write(&e.st, numbers, sizeof numbers), 0);
		loop_turn(e.loop, false);
		/* It is cut short: neither all nor nothing has gone. */
		ck_assert_uint_gt(stream_queued(&e.st), 0);
		ck_assert_uint_lt(stream_queued(&e.st), sizeof numbers);
		ck_assert_uint_eq(e.st.sent, sent * sizeof sent - stream_queued(&e.st));
		for (int i = 0; i < 1000 && seen < sent; i++) {
			while ((n = read(e.peer, numbers, sizeof *numbers * 100)) > 0)
				for (size_t k = 0; k < (size_t)n / sizeof *numbers; k++)
					ck_assert_uint_eq(numbers[k], seen++);
			loop_turn(e.loop, false);
		}
		ck_assert_uint_eq(seen, sent);
		ck_assert_uint_eq(e.st.sent, sent * sizeof sent);
	}
	ck_assert_uint_eq(e.drains, TIMES);
	end(&e);
}
END_TEST

START_TEST(what_was_written_is_sent_before_the_end)
{
	char got[8];
	struct end e;

	make(&e, &ops);
	ck_assert_int_eq(stream_write(&e.st, "last", 4), 0);
	ck_assert_int_eq(stream_write(&e.st, "word", 4), 0);
	ck_assert_uint_eq(stream_queued(&e.st), 0);
	ck_assert_int_eq(stream_write(&e.st, "s", 1), 0);
	stream_close(&e.st);
	ck_assert_int_eq(recv(e.peer, got, sizeof got, MSG_WAITALL), 8);
	ck_assert_int_eq(memcmp(got, "lastword", 8), 0);
	ck_assert_int_eq(recv(e.peer, got, sizeof got, 0), 1);
	end(&e);
}
END_TEST

/* Much comes, by many reads; the reader pauses now and then. */
START_TEST(bulk_can_be_paused)
{
	static uint8_t block[30000];
	size_t written = 0;
	struct end e;

	make(&e, &without_hangup);
	for (int round = 0; round < 200; round++) {
		ssize_t n;

		while ((n = write(e.peer, block, sizeof block)) > 0)
			written += (size_t)n;
		if (round % 3 == 0)
			stream_pause(&e.st);
		loop_turn(e.loop, false);
		if (round % 6 == 0) {
			size_t before = e.got;

			loop_turn(e.loop, false);
			ck_assert_uint_eq(e.got, before);
		}
		stream_resume(&e.st);
		loop_turn(e.loop, false);
	}
	turns(&e);
	ck_assert_uint_eq(e.got, written);
	/* Little again, in many pieces: nothing is left behind either. */
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(write(e.peer, "hello", 5), 5);
		loop_turn(e.loop, true);
		ck_assert_uint_eq(e.got, written += 5);
	}
	hang_up(&e);
	turns(&e);
	ck_assert(e.at_end);
	end(&e);
}
END_TEST

/* A reader that pauses within bulk gets to know of the end, in a turn or two. */
START_TEST(a_hang_up_is_noticed_in_a_pause_within_bulk)
{
	static uint8_t block[30000];

	for (int i = 0; i < 3; i++) {
		struct end e;

		make(&e, &ops);
		for (int round = 0; round < 6; round++) {
			e.pauses = round == 5;
			while (write(e.peer, block, sizeof block) > 0)
				;
			loop_turn(e.loop, false);
			if (round < 5)
				loop_turn(e.loop, false);
		}
		while (!e.st.paused)
			loop_turn(e.loop, false);
		/* The rest is read or not; the end comes in any case behind it. */
		if (i == 1) {
			stream_resume(&e.st);
			loop_turn(e.loop, false);
			e.readables = 0;
		}
		if (i == 2)
			ck_assert_uint_le(turns(&e), 2);
		hang_up(&e);
		ck_assert_uint_le(turns(&e), 4);
		ck_assert_uint_eq(e.hangups, 1);
		end(&e);
	}
}
END_TEST

/* More than a ring has buffers for comes at once, for many streams. */
START_TEST(many_streams)
{
	enum { MANY = 300 };
	static struct end ends[MANY];
	static uint8_t block[20000];
	struct loop *loop = loops_new();

	for (int i = 0; i < MANY; i++) {
		int fds[2];

		memset(&ends[i], 0, sizeof ends[i]);
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
		ends[i].loop = loop;
		ends[i].peer = fds[1];
		stream_init(&ends[i].st, loop, fds[0], QUEUE_MAX, &ops, &ends[i]);
	}
	loop_turn(loop, false);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < MANY; i++) {
			if (round == 1)
				stream_pause(&ends[i].st);
			ck_assert_int_eq(write(ends[i].peer, block, sizeof block), sizeof block);
		}
		for (int i = 0; i < 20; i++)
			loop_turn(loop, false);
		for (int i = 0; round == 1 && i < MANY; i++) {
			ck_assert_uint_eq(ends[i].got, sizeof block);
			stream_resume(&ends[i].st);
		}
		for (int i = 0; i < 20; i++)
			loop_turn(loop, false);
		for (int i = 0; i < MANY; i++)
			ck_assert_uint_eq(ends[i].got, (size_t)(round + 1) * sizeof block);
	}
	/* Some are closed with bytes on their way. */
	for (int i = 0; i < MANY; i++)
		ck_assert_int_eq(write(ends[i].peer, block, sizeof block), sizeof block);
	for (int i = 0; i < MANY; i += 2)
		stream_close(&ends[i].st);
	for (int i = 0; i < 20; i++)
		loop_turn(loop, false);
	for (int i = 0; i < MANY; i++) {
		ck_assert_uint_eq(ends[i].got, (size_t)(i % 2 ? 4 : 3) * sizeof block);
		stream_close(&ends[i].st);
		close(ends[i].peer);
	}
	loop_free(loop);
}
END_TEST

/* A client that sends and hangs up at once: both are noticed, whoever wakes whom. */
START_TEST(bytes_and_the_end_at_once)
{
	for (int i = 0; i < 4; i++) {
		struct end e;

		make(&e, &ops);
		loop_turn(e.loop, false);
		ck_assert_int_eq(write(e.peer, "hello", 5), 5);
		if (i % 2)
			loop_turn(e.loop, false);
		if (i / 2)
			ck_assert_int_eq(shutdown(e.peer, SHUT_WR), 0);
		else
			hang_up(&e);
		ck_assert_uint_le(turns(&e), 3);
		ck_assert_uint_eq(e.got, 5);
		ck_assert(e.at_end);
		end(&e);
	}
}
END_TEST

START_TEST(a_pause_keeps_the_bytes_and_does_not_spin)
{
	struct end e;

	make(&e, &ops);
	stream_pause(&e.st);
	ck_assert_int_eq(write(e.peer, "hello", 5), 5);
	ck_assert_uint_le(turns(&e), 2);
	ck_assert_int_eq(write(e.peer, "hello", 5), 5);
	ck_assert_uint_le(turns(&e), 2);
	ck_assert_uint_eq(e.readables, 0);
	stream_resume(&e.st);
	ck_assert_uint_eq(turns(&e), 1);
	ck_assert_uint_eq(e.got, 10);
	/* A pause that nobody noticed costs nothing. */
	stream_pause(&e.st);
	stream_resume(&e.st);
	stream_resume(&e.st);
	ck_assert_uint_eq(turns(&e), 0);
	end(&e);
}
END_TEST

/* Bytes of ours that the other side has not read make its hang-up an error (ECONNRESET); bytes of
 * its own that come before it may have ended the interest in them. */
START_TEST(a_hang_up_is_noticed_in_a_pause)
{
	static uint8_t block[100000];

	for (int i = 0; i < 3 * 3 * 2; i++) {
		enum { NONE, BEFORE, DURING } written = i % 3, came = i / 3 % 3;
		bool queued = i / 9;
		struct end e;

		make(&e, &ops);
		if (came == BEFORE)
			ck_assert_int_eq(write(e.peer, "hello", 5), 5);
		if (written == BEFORE)
			ck_assert_int_eq(stream_write(&e.st, "answer", 6), 0);
		stream_pause(&e.st);
		turns(&e);
		if (came == DURING)
			ck_assert_int_eq(write(e.peer, "hello", 5), 5);
		if (written == DURING)
			ck_assert_int_eq(stream_write(&e.st, "answer", 6), 0);
		while (queued && stream_queued(&e.st) == 0)
			ck_assert_int_eq(stream_write(&e.st, block, sizeof block), 0);
		ck_assert_uint_le(turns(&e), 3);
		ck_assert_uint_eq(e.hangups, 0);
		hang_up(&e);
		ck_assert_uint_le(turns(&e), 4);
		ck_assert_uint_eq(e.hangups, 1);
		ck_assert_uint_eq(e.readables, 0);
		end(&e);
	}
}
END_TEST

/* What was queued goes out while reading is paused; afterwards a hang-up is noticed as before. */
START_TEST(a_hang_up_behind_queued_output_is_noticed_in_a_pause)
{
	static uint8_t block[100000];

	for (int unread = 0; unread < 2; unread++) {
		struct end e;

		make(&e, &ops);
		stream_pause(&e.st);
		ck_assert_int_eq(write(e.peer, "hello", 5), 5);
		turns(&e);
		while (stream_queued(&e.st) == 0)
			ck_assert_int_eq(stream_write(&e.st, block, sizeof block), 0);
		for (int i = 0; i < 1000 && stream_queued(&e.st) > 0; i++) {
			peer_reads(&e);
			turns(&e);
		}
		ck_assert_uint_eq(stream_queued(&e.st), 0);
		peer_reads(&e);
		if (unread)
			ck_assert_int_eq(stream_write(&e.st, "answer", 6), 0);
		ck_assert_uint_le(turns(&e), 2);
		ck_assert_uint_eq(e.hangups, 0);
		hang_up(&e);
		ck_assert_uint_le(turns(&e), 4);
		ck_assert_uint_eq(e.hangups, 1);
		end(&e);
	}
}
END_TEST

START_TEST(a_hang_up_can_wait)
{
	for (int unread = 0; unread < 2; unread++) {
		struct end e;

		make(&e, &ops);
		e.waits = true;
		if (unread)
			ck_assert_int_eq(stream_write(&e.st, "answer", 6), 0);
		stream_pause(&e.st);
		ck_assert_int_eq(write(e.peer, "hello", 5), 5);
		hang_up(&e);
		ck_assert_uint_le(turns(&e), 3);
		ck_assert_uint_eq(e.hangups, 1);
		ck_assert_uint_eq(e.readables, 0);
		stream_resume(&e.st);
		ck_assert_uint_le(turns(&e), 3);
		ck_assert_uint_eq(e.got, 5);
		ck_assert(e.at_end);
		end(&e);
	}
}
END_TEST

START_TEST(the_last_bytes_can_be_looked_at)
{
	char last[3];
	struct end e;

	make(&e, &ops);
	stream_pause(&e.st);
	ck_assert_int_eq(stream_peek_last(&e.st, last, 3), -E_AGAIN);
	ck_assert_int_eq(write(e.peer, "he", 2), 2);
	ck_assert_int_eq(stream_peek_last(&e.st, last, 3), -E_AGAIN);
	ck_assert_int_eq(write(e.peer, "l", 1), 1);
	ck_assert_int_eq(stream_peek_last(&e.st, last, 3), 0);
	ck_assert_int_eq(memcmp(last, "hel", 3), 0);
	ck_assert_int_eq(write(e.peer, "lo", 2), 2);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(stream_peek_last(&e.st, last, 3), 0);
		ck_assert_int_eq(memcmp(last, "llo", 3), 0);
	}
	/* Nothing was taken, and a part that was does not matter. */
	ck_assert_int_eq(stream_read(&e.st, last, 1), 1);
	ck_assert_int_eq(last[0], 'h');
	hang_up(&e);
	ck_assert_int_eq(stream_peek_last(&e.st, last, 3), 0);
	ck_assert_int_eq(memcmp(last, "llo", 3), 0);
	end(&e);
}
END_TEST

/* What the process before has received, and not read, comes first: more than one read takes. */
START_TEST(what_the_process_before_had_received_is_read_first)
{
	struct buf packed, before;
	struct pack p;
	struct end e;
	char last[3];

	buf_init(&packed, BUF_MAX);
	buf_init(&before, BUF_MAX);
	memset(buf_room(&before, 3 * LOOP_SCRATCH), 'a', 3 * LOOP_SCRATCH);
	buf_grew(&before, 3 * LOOP_SCRATCH);
	pack_writer(&p, &packed);
	pack_buf(&p, &before);
	make(&e, &ops);
	stream_pause(&e.st);
	ck_assert_int_eq(write(e.peer, "xy", 2), 2);
	pack_reader(&p, buf_data(&packed), packed.len);
	stream_pack_unread(&p, &e.st);
	ck_assert(!p.failed);
	turns(&e);
	ck_assert_uint_eq(e.got, 0);
	ck_assert_int_eq(stream_peek_last(&e.st, last, 3), 0);
	ck_assert_mem_eq(last, "axy", 3);
	e.pauses = true;
	for (unsigned i = 1; i <= 3; i++) {
		stream_resume(&e.st);
		turns(&e);
		ck_assert_uint_ge(e.got, i * LOOP_SCRATCH);
		ck_assert_uint_le(e.got, i * LOOP_SCRATCH + 2);
	}
	/* It is handed on as long as it is not read. */
	stream_pause(&e.st);
	pack_reader(&p, buf_data(&packed), packed.len);
	stream_pack_unread(&p, &e.st);
	stream_hold(&e.st);
	loop_settle(e.loop);
	buf_reset(&packed);
	pack_writer(&p, &packed);
	stream_pack_unread(&p, &e.st);
	ck_assert_uint_ge(packed.len, 3 * LOOP_SCRATCH);
	turns(&e);
	stream_release(&e.st);
	e.pauses = false;
	stream_resume(&e.st);
	hang_up(&e);
	turns(&e);
	ck_assert(e.at_end);
	ck_assert_uint_eq(e.got, 6 * LOOP_SCRATCH + 2);
	end(&e);
	buf_clear(&packed);
	buf_clear(&before);
}
END_TEST

START_TEST(what_has_said_all_is_not_heard)
{
	for (int paused = 0; paused < 2; paused++) {
		struct end e;

		make(&e, &ops);
		if (paused)
			stream_pause(&e.st);
		stream_finish(&e.st);
		ck_assert_int_eq(write(e.peer, "hello", 5), 5);
		if (paused)
			stream_resume(&e.st);
		stream_hold(&e.st);
		stream_release(&e.st);
		ck_assert_int_eq(stream_write(&e.st, "hello", 5), 0);
		stream_flush(&e.st);
		ck_assert_int_eq(recv(e.peer, &(char[5]){0}, 5, 0), 5);
		hang_up(&e);
		ck_assert_uint_eq(turns(&e), 0);
		ck_assert_uint_eq(e.readables + e.hangups, 0);
		ck_assert_int_eq(stream_write(&e.st, "hello", 5), 0);
		ck_assert(stream_broken(&e.st));
		end(&e);
	}
}
END_TEST

/* Only the other side's sending is over: half of a connection. */
START_TEST(a_half_hang_up_is_noticed_in_a_pause)
{
	struct end e;

	make(&e, &ops);
	stream_pause(&e.st);
	ck_assert_int_eq(shutdown(e.peer, SHUT_WR), 0);
	ck_assert_uint_le(turns(&e), 2);
	ck_assert_uint_eq(e.hangups, 1);
	end(&e);
}
END_TEST

START_TEST(without_a_hang_up_callback_the_end_waits)
{
	struct end e;

	make(&e, &without_hangup);
	stream_pause(&e.st);
	ck_assert_int_eq(write(e.peer, "hello", 5), 5);
	ck_assert_uint_le(turns(&e), 2);
	hang_up(&e);
	ck_assert_uint_le(turns(&e), 2);
	ck_assert_uint_eq(e.readables, 0);
	stream_resume(&e.st);
	ck_assert_uint_le(turns(&e), 3);
	ck_assert_uint_eq(e.got, 5);
	ck_assert(e.at_end);
	end(&e);
}
END_TEST

START_TEST(writing_to_nobody_is_no_error)
{
	struct end e;

	make(&e, &ops);
	hang_up(&e);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(stream_write(&e.st, "hello", 5), 0);
	ck_assert(stream_broken(&e.st));
	ck_assert_uint_eq(stream_queued(&e.st), 0);
	ck_assert_uint_le(turns(&e), 2);
	ck_assert(e.at_end);
	end(&e);
}
END_TEST

/* Output is queued when the other side goes, reading paused or not. */
START_TEST(a_hang_up_with_output_queued_does_not_spin)
{
	static uint8_t block[100000];

	for (int paused = 0; paused < 2; paused++) {
		struct end e;

		make(&e, &without_hangup);
		while (stream_queued(&e.st) == 0)
			ck_assert_int_eq(stream_write(&e.st, block, sizeof block), 0);
		if (paused)
			stream_pause(&e.st);
		hang_up(&e);
		ck_assert_uint_le(turns(&e), 4);
		ck_assert_uint_eq(stream_queued(&e.st), 0);
		if (paused)
			stream_resume(&e.st);
		ck_assert_uint_le(turns(&e), 4);
		ck_assert(e.at_end);
		end(&e);
	}
}
END_TEST

START_TEST(a_detached_descriptor_is_the_callers)
{
	struct end e;
	int fd;

	make(&e, &ops);
	fd = stream_detach(&e.st);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
	ck_assert(!stream_open(&e.st));
	ck_assert_int_eq(stream_detach(&e.st), -1);
	stream_close(&e.st);
	ck_assert_int_eq(stream_write(&e.st, "x", 1), 0);
	ck_assert_int_eq(stream_read(&e.st, loop_scratch(e.loop), 1), 0);
	stream_pause(&e.st);
	stream_resume(&e.st);
	ck_assert_int_eq(write(e.peer, "hello", 5), 5);
	ck_assert_uint_eq(turns(&e), 0);
	close(fd);
	end(&e);
}
END_TEST

/* A thread pours bytes into many streams, whose owner pauses, holds and settles as it likes. */
enum { POURED = 40, POURED_BYTES = 400000 };

struct pour {
	struct stream st;
	int peer;
	size_t sent, got;
	bool pauses;
};

static void *
pour(void *arg)
{
	static uint8_t block[9000];
	struct pour *all = arg;
	unsigned seed = 7, open = POURED;

	while (open > 0) {
		struct pour *p = &all[rand_r(&seed) % POURED];
		size_t n = rand_r(&seed) % (rand_r(&seed) % 4 ? 200 : sizeof block);
		ssize_t w;

		if (p->peer < 0)
			continue;
		n = n < POURED_BYTES - p->sent ? n : POURED_BYTES - p->sent;
		for (size_t i = 0; i < n; i++)
			block[i] = (uint8_t)((p->sent + i) % 251);
		w = write(p->peer, block, n);
		p->sent += w > 0 ? (size_t)w : 0;
		if (p->sent == POURED_BYTES) {
			close(p->peer);
			p->peer = -1;
			open--;
		}
	}
	return NULL;
}

static void
on_poured(struct stream *st, void *arg)
{
	struct pour *p = arg;
	uint8_t *data = loop_scratch(st->loop);
	ssize_t n = stream_read(st, data, LOOP_SCRATCH);

	ck_assert(!st->paused && !st->held);
	for (ssize_t i = 0; i < n; i++)
		if (data[i] != p->got++ % 251)
			ck_abort_msg("byte %zu is wrong", p->got - 1);
	if (n == 0 || (n < 0 && n != -E_AGAIN))
		stream_close(st);
	else if (p->pauses)
		stream_pause(st);
}

static bool
on_poured_end(struct stream *st, void *arg)
{
	return false;
}

static size_t
unread_of(const struct stream *st)
{
	return st->has_inlet ? inlet_unread(st->inlet) : 0;
}

START_TEST(nothing_is_lost_or_under_way_when_it_is_held)
{
	static const struct stream_ops poured = {on_poured, on_drained, on_poured_end};
	static struct pour all[POURED];
	struct loop *loop = loops_new();
	unsigned seed = 3, open = POURED;
	pthread_t thread;

	memset(all, 0, sizeof all);
	for (int i = 0; i < POURED; i++) {
		int fds[2];

		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
		all[i].peer = fds[1];
		stream_init(&all[i].st, loop, fds[0], QUEUE_MAX, &poured, &all[i]);
	}
	ck_assert_int_eq(pthread_create(&thread, NULL, pour, all), 0);
	while (open > 0) {
		size_t unread[POURED] = {0};

		loop_turn(loop, false);
		for (int i = 0; i < POURED; i++) {
			struct stream *st = &all[i].st;

			all[i].pauses = rand_r(&seed) % 3 == 0;
			if (rand_r(&seed) % 2)
				stream_resume(st);
			else if (rand_r(&seed) % 8 == 0)
				stream_pause(st);
			if (rand_r(&seed) % 2)
				stream_hold(st);
		}
		if (rand_r(&seed) % 4 == 0)
			loop_settle(loop);
		for (int k = 0; k < 2; k++) {
			for (int i = 0; i < POURED; i++) {
				struct stream *st = &all[i].st;

				if (!stream_open(st) || !st->held || !st->by_ring)
					continue;
				if (k == 0)
					loop_settle(loop);
				if (inlet_request(st) != RING_NONE ||
				    (k == 1 && unread_of(st) != unread[i]))
					ck_abort_msg("stream %d still receives", i);
				unread[i] = unread_of(st);
			}
			loop_turn(loop, false);
		}
		open = 0;
		for (int i = 0; i < POURED; i++) {
			stream_release(&all[i].st);
			open += stream_open(&all[i].st);
		}
	}
	pthread_join(thread, NULL);
	for (int i = 0; i < POURED; i++)
		ck_assert_uint_eq(all[i].got, POURED_BYTES);
	loop_free(loop);
}
END_TEST

/* The peer breaks off, with bytes that it has not read, while the stream reads what has come. */
static void
on_last_bytes(struct stream *st, void *arg)
{
	struct end *e = arg;
	ssize_t n;

	if (e->peer >= 0)
		hang_up(e);
	n = stream_read(st, loop_scratch(e->loop), LOOP_SCRATCH);
	e->readables++;
	if (n > 0) {
		e->got += (size_t)n;
		return;
	}
	ck_assert_int_eq(n, -E_IO);
	ck_assert_int_eq(errno, ECONNRESET);
	e->at_end = true;
	stream_close(st);
}

START_TEST(an_error_behind_bytes_is_told)
{
	static const struct stream_ops last = {on_last_bytes, on_drained, NULL};
	static const uint8_t data[RING_BUFFER];
	struct end e;

	make(&e, &last);
	ck_assert_int_eq(send(e.st.fd, "x", 1, 0), 1);
	ck_assert_int_eq(write(e.peer, data, sizeof data), sizeof data);
	turns(&e);
	ck_assert_uint_eq(e.got, sizeof data);
	ck_assert(e.at_end);
	end(&e);
}
END_TEST

/* The owner goes on with another connection, at the second read. */
static void
on_two_reads(struct stream *st, void *arg)
{
	struct end *e = arg;
	int fds[2];

	on_readable(st, arg);
	if (e->readables != 2)
		return;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	stream_close(st);
	hang_up(e);
	e->peer = fds[1];
	stream_init(st, e->loop, fds[0], QUEUE_MAX, e->st.ops, e);
}

START_TEST(a_stream_can_be_opened_anew_within_its_callback)
{
	static const struct stream_ops two = {on_two_reads, on_drained, NULL};
	struct end e;

	make(&e, &two);
	for (unsigned i = 1; i <= 2; i++) {
		ck_assert_int_eq(write(e.peer, "12", 2), 2);
		turns(&e);
		ck_assert_uint_eq(e.got, 2 * i);
	}
	/* It is at rest: what the connection before had read says nothing about this one. */
	ck_assert(!e.st.has_inlet);
	ck_assert_int_eq(write(e.peer, "56", 2), 2);
	turns(&e);
	ck_assert_uint_eq(e.got, 6);
	end(&e);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("stream");
	TCase *t = tcase_create("stream");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 30);
	tcase_add_test(t, bytes_come_and_then_the_end);
	tcase_add_test(t, a_look_reads_what_is_there);
	tcase_add_test(t, what_the_kernel_does_not_take_is_queued);
	tcase_add_test(t, small_writes_are_queued_in_their_order);
	tcase_add_test(t, the_rest_of_what_is_cut_short_follows);
	tcase_add_test(t, what_was_written_is_sent_before_the_end);
	tcase_add_test(t, bulk_can_be_paused);
	tcase_add_test(t, a_hang_up_is_noticed_in_a_pause_within_bulk);
	tcase_add_test(t, many_streams);
	tcase_add_test(t, nothing_is_lost_or_under_way_when_it_is_held);
	tcase_add_test(t, bytes_and_the_end_at_once);
	tcase_add_test(t, a_pause_keeps_the_bytes_and_does_not_spin);
	tcase_add_test(t, a_hang_up_is_noticed_in_a_pause);
	tcase_add_test(t, a_half_hang_up_is_noticed_in_a_pause);
	tcase_add_test(t, a_hang_up_behind_queued_output_is_noticed_in_a_pause);
	tcase_add_test(t, a_hang_up_can_wait);
	tcase_add_test(t, the_last_bytes_can_be_looked_at);
	tcase_add_test(t, what_the_process_before_had_received_is_read_first);
	tcase_add_test(t, what_has_said_all_is_not_heard);
	tcase_add_test(t, without_a_hang_up_callback_the_end_waits);
	tcase_add_test(t, writing_to_nobody_is_no_error);
	tcase_add_test(t, a_hang_up_with_output_queued_does_not_spin);
	tcase_add_test(t, a_detached_descriptor_is_the_callers);
	tcase_add_test(t, an_error_behind_bytes_is_told);
	tcase_add_test(t, a_stream_can_be_opened_anew_within_its_callback);
	tcase_add_test(t, news_are_known_ahead_of_the_streams);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
