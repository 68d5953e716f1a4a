#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/conf.h"
#include "loop/loop.h"
#include "loop/threads.h"
#include "loops.h"
#include "pool/server.c"
#include "wire/frame.h"

#define BYTES_MAX 4096

/* A pool with one server that has logged in, whose PostgreSQL is the test itself. */
struct stage {
	struct loop *loop;
	struct pools pools;
	struct conf_pool conf;
	struct pool *pool;
	struct server *srv;
	int fd;     /* the other end */
	int own_fd; /* the server's: without libpq, nobody closes it */
	struct lease lease;
	struct lease other;
	char told[400]; /* what the owners were told, in order */
	void (*on_ended)(struct stage *, struct lease *);
};

static void
tell(struct lease *l, const char *what)
{
	struct stage *st = l->owner;
	size_t n = strlen(st->told);

	snprintf(st->told + n, sizeof st->told - n, "%s%s%s", n ? ", " : "",
		 l == &st->other ? "other " : "", what);
}

static void
granted(struct lease *l)
{
	tell(l, "granted");
}

static void
failed(struct lease *l, const struct err *e)
{
	tell(l, "failed");
}

static void
readable(struct lease *l)
{
	tell(l, "readable");
}

static void
drained(struct lease *l)
{
	tell(l, "drained");
}

static void
lost(struct lease *l, const struct server *srv, const char *why)
{
	tell(l, "lost");
}

static void
ended(struct lease *l, struct todo *done, bool broken)
{
	struct stage *st = l->owner;
	struct list_node *n;
	char text[200];

	snprintf(text, sizeof text, "ended %s%s", lease_state_name(l->state),
		 broken ? " broken" : "");
	LIST_EACH (n, &done->list) {
		const struct todo_stmt *s = LIST_OBJ(n, struct todo_stmt, node);
		size_t at = strlen(text);

		snprintf(text + at, sizeof text - at, " %s%s", s->label,
			 s->failed ? s->sqlstate : "");
	}
	tell(l, text);
	if (st->on_ended)
		st->on_ended(st, l);
}

static const struct lease_ops ops = {
    .granted = granted,
    .failed = failed,
    .readable = readable,
    .drained = drained,
    .lost = lost,
    .ended = ended,
};

static void
stop(void *arg)
{
	loop_stop(arg);
}

/* All that is ready now. */
static void
turn(struct stage *st)
{
	for (int i = 0; i < 3; i++) {
		struct timer soon;

		timer_init(&soon, st->loop, stop, st->loop);
		timer_start(&soon, 1000);
		ck_assert_int_eq(loop_run(st->loop), 0);
	}
}

/* server.c's own steps of a login need libpq: here they are done by hand. */
static void
setup(struct stage *st)
{
	int fds[2];

	memset(st, 0, sizeof *st);
	st->loop = loops_new();
	pools_init(&st->pools, st->loop, threads_new(st->loop, 1, 1));
	st->conf = (struct conf_pool){.name = "p",
				      .conninfo = "host=/nonexistent",
				      .size = 1,
				      .max_waiting = 10,
				      .max_opening = 1,
				      .cleanup_timeout_us = 10000000};
	st->pool = pool_new(&st->pools, &st->conf, st->told, sizeof st->told);
	ck_assert_ptr_nonnull(st->pool);
	st->srv = server_open(st->pool);
	event_del(&st->srv->connect_event);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	st->fd = fds[1];
	st->own_fd = fds[0];
	stream_init(&st->srv->stream, st->loop, fds[0], QUEUE_MAX, &stream_ops, st->srv);
	server_set_state(st->srv, SERVER_IDLE);
	lease_init(&st->lease, &ops, st, 1);
	lease_init(&st->other, &ops, st, 2);
}

static void
teardown(struct stage *st)
{
	st->pools.closing = true;
	lease_leave(&st->lease);
	lease_leave(&st->other);
	if (st->pool)
		pool_free(st->pool);
	turn(st);
	while (threads_pending(st->pools.threads) > 0)
		turn(st);
	threads_free(st->pools.threads);
	loop_free(st->loop);
	pools_clear(&st->pools);
	close(st->own_fd);
	if (st->fd >= 0)
		close(st->fd);
}

/* What has come to PostgreSQL: Queries by their text, others by their type. */
static void
came(struct stage *st, const char *expected)
{
	uint8_t data[BYTES_MAX];
	char is[400] = "";
	size_t left, at = 0;
	struct frame f;
	ssize_t n;

	loop_settle(st->loop);
	n = recv(st->fd, data, sizeof data, 0);
	left = n > 0 ? (size_t)n : 0;
	while (frame_read(data + at, left - at, &f) == 0) {
		size_t end = strlen(is);

		snprintf(is + end, sizeof is - end, "%s%.*s", end ? ", " : "",
			 f.type == 'Q' ? (int)f.body : 1,
			 (char *)data + at + (f.type == 'Q' ? FRAME_HEADER : 0));
		at += FRAME_HEADER + f.body;
	}
	ck_assert_uint_eq(at, left);
	ck_assert_msg(strcmp(is, expected) == 0, "came \"%s\", not \"%s\"", is, expected);
}

/* PostgreSQL answers a Query, and the loop turns. */
static void
answers(struct stage *st, const char *sqlstate, char status)
{
	struct buf b;

	buf_init(&b, BYTES_MAX);
	if (sqlstate)
		msg_report(&b, 'E', "ERROR", sqlstate, "no", NULL, NULL);
	else
		msg_complete(&b, "TAG");
	msg_ready(&b, status);
	ck_assert_int_eq(send(st->fd, buf_data(&b), b.len, 0), (ssize_t)b.len);
	buf_clear(&b);
	turn(st);
}

static void
told(struct stage *st, const char *expected)
{
	ck_assert_msg(strcmp(st->told, expected) == 0, "told \"%s\", not \"%s\"", st->told,
		      expected);
	st->told[0] = 0;
}

static void
hold_it(struct stage *st)
{
	struct err e;

	ck_assert_int_eq(lease_enter(&st->lease, st->pool, &e), 0);
	ck_assert_int_eq(st->lease.state, LEASE_HELD);
	ck_assert_ptr_eq(st->srv->lease, &st->lease);
}

/* The lease is in a transaction. */
static void
begin_it(struct stage *st)
{
	hold_it(st);
	st->srv->progress.status = 'T';
	lease_note_own_ready(&st->lease, loop_now_us(st->loop));
}

static void
clean(struct stage *st, enum cleanup_why why, const char *sql, bool keep, bool discard)
{
	struct todo todo;

	todo_init(&todo);
	if (sql)
		todo_add(&todo, sql, NULL, 0, 0, sql);
	lease_clean(&st->lease, why, &todo, keep, discard);
	ck_assert_ptr_null(list_first(&todo.list));
}

START_TEST(the_end_is_told)
{
	struct stage st;

	setup(&st);
	begin_it(&st);
	clean(&st, CLEANUP_CLIENT_GONE, "a", false, true);
	ck_assert_int_eq(st.lease.state, LEASE_CLEANING);
	ck_assert_ptr_eq(st.lease.srv, st.srv);
	ck_assert_ptr_eq(st.srv->lease, &st.lease);
	came(&st, "ROLLBACK");
	answers(&st, NULL, 'I');
	ck_assert_str_eq(server_state_name(st.srv), "running");
	came(&st, "a");
	answers(&st, "22012", 'I');
	came(&st, "DISCARD ALL");
	told(&st, "");
	answers(&st, NULL, 'I');
	told(&st, "ended none a22012");
	ck_assert_ptr_null(st.lease.srv);
	ck_assert_ptr_null(st.lease.pool);
	ck_assert_ptr_null(st.srv->lease);
	ck_assert_int_eq(st.srv->state, SERVER_IDLE);
	ck_assert_uint_eq(st.pool->stats.statements, 1);
	ck_assert_uint_eq(st.pool->stats.statement_fails, 1);
	ck_assert_uint_eq(st.pool->stats.xacts, 1);
	ck_assert_uint_eq(st.pool->stats.cleanups, 1);
	teardown(&st);
}
END_TEST

START_TEST(nothing_to_do_is_told_at_once)
{
	struct stage st;

	setup(&st);
	hold_it(&st);
	lease_clean(&st.lease, CLEANUP_SCOPE_END, NULL, false, false);
	told(&st, "ended none");
	ck_assert_int_eq(st.srv->state, SERVER_IDLE);
	came(&st, "");
	hold_it(&st);
	lease_clean(&st.lease, CLEANUP_SCOPE_END, NULL, true, true);
	told(&st, "ended held");
	came(&st, "");
	ck_assert_int_eq(st.srv->state, SERVER_LEASED);
	lease_return(&st.lease, false);
	/* A lease is no transaction. */
	ck_assert_uint_eq(st.pool->stats.xacts, 0);
	teardown(&st);
}
END_TEST

START_TEST(a_kept_lease_goes_on)
{
	struct stage st;

	setup(&st);
	begin_it(&st);
	clean(&st, CLEANUP_CLIENT_GONE, "a", true, true);
	came(&st, "ROLLBACK");
	answers(&st, NULL, 'I');
	came(&st, "a");
	answers(&st, NULL, 'I');
	told(&st, "ended held a");
	ck_assert_ptr_eq(st.lease.srv, st.srv);
	ck_assert_ptr_eq(st.srv->lease, &st.lease);
	ck_assert_int_eq(st.srv->state, SERVER_LEASED);
	ck_assert_uint_eq(st.pool->stats.xacts, 1);
	/* Its owner reads again. */
	progress_sent(&st.srv->progress, 'Q');
	answers(&st, NULL, 'I');
	ck_assert(strncmp(st.told, "readable", 8) == 0);
	st.told[0] = 0;
	server_read(st.srv, &(const uint8_t *){0}, &(size_t){0});
	clean(&st, CLEANUP_CLIENT_GONE, "b", false, true);
	came(&st, "b");
	answers(&st, NULL, 'I');
	came(&st, "DISCARD ALL");
	answers(&st, NULL, 'I');
	told(&st, "ended none b");
	ck_assert_uint_eq(st.pool->stats.xacts, 1);
	teardown(&st);
}
END_TEST

/* Its times are up to a tenth shorter, evenly, and never longer. */
START_TEST(times_are_spread)
{
	static const int64_t times[] = {0, 1, 9, 1000000, 3600000000, INT64_C(31536000000000)};
	struct server srv = {.spread = 0};

	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		int64_t before = times[i];

		for (unsigned spread = 0; spread <= UINT16_MAX; spread += 257) {
			int64_t us;

			srv.spread = (uint16_t)spread;
			us = server_spread_us(&srv, times[i]);
			ck_assert_int_le(us, before);
			ck_assert_int_ge(us, times[i] - times[i] / 10);
			ck_assert_int_le(before - us, times[i] / 2500 + 1);
			before = us;
		}
	}
}
END_TEST

static void
clean_outer(struct stage *st, struct lease *l)
{
	st->on_ended = NULL;
	clean(st, CLEANUP_CLIENT_GONE, "outer", false, true);
}

START_TEST(the_next_scope_is_cleaned_from_the_callback)
{
	struct stage st;

	setup(&st);
	begin_it(&st);
	st.on_ended = clean_outer;
	clean(&st, CLEANUP_CLIENT_GONE, "inner", true, true);
	came(&st, "ROLLBACK");
	answers(&st, NULL, 'I');
	came(&st, "inner");
	answers(&st, NULL, 'I');
	came(&st, "outer");
	answers(&st, NULL, 'I');
	came(&st, "DISCARD ALL");
	answers(&st, NULL, 'I');
	told(&st, "ended held inner, ended none outer");
	teardown(&st);
}
END_TEST

START_TEST(the_next_one_is_first)
{
	struct stage st;
	struct err e;

	setup(&st);
	hold_it(&st);
	ck_assert_int_eq(lease_enter(&st.other, st.pool, &e), -E_AGAIN);
	clean(&st, CLEANUP_SCOPE_END, "a", false, false);
	came(&st, "a");
	answers(&st, NULL, 'I');
	told(&st, "other granted, ended none a");
	ck_assert_ptr_eq(st.other.srv, st.srv);
	ck_assert_ptr_eq(st.srv->lease, &st.other);
	lease_return(&st.other, false);
	teardown(&st);
}
END_TEST

START_TEST(an_owner_that_leaves)
{
	struct stage st;

	setup(&st);
	hold_it(&st);
	/* It was to be kept: for nobody. */
	clean(&st, CLEANUP_SCOPE_END, "a", true, false);
	lease_forget(&st.lease);
	ck_assert_int_eq(st.lease.state, LEASE_NONE);
	ck_assert_ptr_null(st.lease.srv);
	ck_assert_ptr_null(st.srv->lease);
	lease_forget(&st.lease);
	came(&st, "a");
	answers(&st, "22012", 'I');
	came(&st, "DISCARD ALL");
	answers(&st, NULL, 'I');
	told(&st, "");
	ck_assert_int_eq(st.srv->state, SERVER_IDLE);
	ck_assert_uint_eq(st.pool->stats.statement_fails, 1);
	ck_assert_uint_eq(st.pool->stats.xacts, 0);
	/* The lease can be used again. */
	hold_it(&st);
	clean(&st, CLEANUP_SCOPE_END, "b", false, false);
	lease_forget(&st.lease);
	came(&st, "b");
	answers(&st, NULL, 'I');
	came(&st, "");
	told(&st, "");
	ck_assert_int_eq(st.srv->state, SERVER_IDLE);
	teardown(&st);
}
END_TEST

START_TEST(a_server_that_is_lost)
{
	struct stage st;
	struct todo todo;

	setup(&st);
	hold_it(&st);
	todo_init(&todo);
	todo_add(&todo, "a", NULL, 0, 0, "a");
	todo_add(&todo, "b", NULL, 0, 0, "b");
	todo_add(&todo, "c", NULL, 0, 0, "c");
	lease_clean(&st.lease, CLEANUP_SCOPE_END, &todo, true, false);
	came(&st, "a");
	answers(&st, NULL, 'I');
	came(&st, "b");
	close(st.fd);
	st.fd = -1;
	turn(&st);
	told(&st, "ended none broken a b08007 c08006");
	ck_assert_ptr_null(st.lease.srv);
	ck_assert_uint_eq(st.pool->stats.statements, 3);
	ck_assert_uint_eq(st.pool->stats.statement_fails, 2);
	teardown(&st);
	/* The same without anybody who wants to know, and while held. */
	setup(&st);
	hold_it(&st);
	clean(&st, CLEANUP_SCOPE_END, "a", false, false);
	lease_forget(&st.lease);
	close(st.fd);
	st.fd = -1;
	turn(&st);
	told(&st, "");
	ck_assert_uint_eq(st.pool->stats.statement_fails, 1);
	teardown(&st);
	setup(&st);
	hold_it(&st);
	server_close(st.srv, "test");
	told(&st, "lost");
	ck_assert_int_eq(st.lease.state, LEASE_NONE);
	teardown(&st);
}
END_TEST

START_TEST(what_deallocates_makes_it_stale)
{
	struct stage st;
	struct buf b;

	setup(&st);
	hold_it(&st);
	clean(&st, CLEANUP_SCOPE_END, "a", true, false);
	came(&st, "a");
	buf_init(&b, BYTES_MAX);
	msg_complete(&b, "DEALLOCATE ALL");
	msg_ready(&b, 'I');
	ck_assert_int_eq(send(st.fd, buf_data(&b), b.len, 0), (ssize_t)b.len);
	buf_clear(&b);
	turn(&st);
	told(&st, "ended held a");
	ck_assert(st.srv->prepared.stale);
	lease_clean(&st.lease, CLEANUP_SCOPE_END, NULL, false, false);
	came(&st, "DISCARD ALL");
	answers(&st, NULL, 'I');
	told(&st, "ended none");
	ck_assert(!st.srv->prepared.stale);
	teardown(&st);
}
END_TEST

START_TEST(a_lease_moves)
{
	struct stage st;

	setup(&st);
	begin_it(&st);
	lease_move(&st.other, &st.lease);
	ck_assert_int_eq(st.lease.state, LEASE_NONE);
	ck_assert_ptr_null(st.lease.srv);
	ck_assert_ptr_null(st.lease.pool);
	ck_assert_int_eq(st.other.state, LEASE_HELD);
	ck_assert_ptr_eq(st.other.srv, st.srv);
	ck_assert_ptr_eq(st.other.pool, st.pool);
	ck_assert_ptr_eq(st.srv->lease, &st.other);
	ck_assert_int_eq(st.srv->state, SERVER_LEASED);
	came(&st, "");
	st.srv->progress.status = 'I';
	lease_return(&st.other, false);
	ck_assert_int_eq(st.srv->state, SERVER_IDLE);
	ck_assert_uint_eq(st.pool->stats.xacts, 1);
	told(&st, "");
	teardown(&st);
}
END_TEST

/* A lease that is cleaned is nobody's to move. */
START_TEST(only_what_is_held_moves)
{
	struct stage st;

	setup(&st);
	hold_it(&st);
	clean(&st, CLEANUP_SCOPE_END, "a", false, false);
	if (freopen("/dev/null", "w", stderr))
		lease_move(&st.other, &st.lease);
}
END_TEST

/* ---- what one session leaves must not meet the next ---- */

#define LEFT(member)                                                                           \
	{                                                                                      \
#member, offsetof(struct server, member), sizeof(((struct server *)0)->member) \
	}

/* Of each lease, and set by hand here. */
static const struct {
	const char *name;
	size_t at, bytes;
} left_over[] = {
    LEFT(progress.to_left),
    LEFT(progress.ready_due),
    LEFT(progress.extended),
    LEFT(progress.from_left),
    LEFT(progress.from_have),
    LEFT(progress.skipping),
    LEFT(progress.copy_ended),
    LEFT(progress.copy),
    LEFT(progress.marked),
    LEFT(progress.flushed),
    LEFT(progress.flush_sent),
    LEFT(progress.swallowed),
    LEFT(progress.failed),
    LEFT(progress.failed_itself),
    LEFT(progress.own),
    LEFT(progress.own_syncs),
    LEFT(progress.own_failed),
    LEFT(progress.rescue),
    LEFT(progress.from_passed),
    LEFT(progress.from_drop),
    LEFT(progress.stray),
    LEFT(progress.fatal),
    LEFT(progress.dying),

    LEFT(progress.pid_due),
    LEFT(progress.pid_have),
    LEFT(progress.pid_cut),
    LEFT(progress.own_ends),
    LEFT(prepared.tracked.list.count),
};
#define LEFT_OVER (sizeof left_over / sizeof *left_over)

static void
leave(struct stage *st, size_t i)
{
	memset((char *)st->srv + left_over[i].at, 1, left_over[i].bytes);
}

/* It is closed and counted, and the session that had it is not concerned. */
static void
is_closed(struct stage *st, const char *name)
{
	ck_assert_msg(st->srv->state == SERVER_CLOSED, "%s: %s", name, server_state_name(st->srv));
	ck_assert_msg(st->pool->stats.broken == 1, "%s: not counted", name);
	told(st, "");
	/* Else the end of the test would end them once more. */
	st->srv->progress.failed = 0;
	st->srv->prepared.tracked.list.count = 0;
}

START_TEST(what_is_left_is_not_given_back)
{
	struct stage st;

	setup(&st);
	hold_it(&st);
	leave(&st, (size_t)_i);
	lease_return(&st.lease, false);
	is_closed(&st, left_over[_i].name);
	ck_assert_int_eq(st.lease.state, LEASE_NONE);
	teardown(&st);
}
END_TEST

START_TEST(what_is_left_is_not_taken)
{
	struct stage st;
	struct err e;

	setup(&st);
	leave(&st, (size_t)_i);
	ck_assert_int_eq(lease_enter(&st.lease, st.pool, &e), -E_AGAIN);
	is_closed(&st, left_over[_i].name);
	ck_assert_int_eq(st.lease.state, LEASE_WAITING);
	teardown(&st);
}
END_TEST

START_TEST(notes_are_forgotten)
{
	struct stage st;
	struct progress *p;

	setup(&st);
	p = &st.srv->progress;
	hold_it(&st);
	p->watch = p->texts = p->deallocated_all = st.srv->prepared.decoys = true;
	p->deallocated = 3;
	p->error_text = mem_strdup("no");
	memcpy(p->error, "22012", 6);
	st.srv->prepared.decoy_errors = p->errors;
	lease_return(&st.lease, false);
	ck_assert_int_eq(st.srv->state, SERVER_IDLE);
	ck_assert(!p->watch && !p->texts && !p->deallocated_all && !st.srv->prepared.decoys);
	ck_assert(p->deallocated == 0 && p->error_text == NULL && p->error[0] == 0);
	/* An error since: they may be there still. */
	hold_it(&st);
	st.srv->prepared.decoys = true;
	p->errors++;
	lease_return(&st.lease, false);
	came(&st, "DISCARD ALL");
	answers(&st, NULL, 'I');
	ck_assert_int_eq(st.srv->state, SERVER_IDLE);
	ck_assert(!st.srv->prepared.decoys);
	teardown(&st);
}
END_TEST

START_TEST(an_idle_server_answers)
{
	struct stage st;

	setup(&st);
	answers(&st, NULL, 'I');
	/* Freed already, and another one is opened for nobody. */
	ck_assert_uint_eq(st.pool->servers[SERVER_IDLE].count, 0);
	ck_assert_uint_eq(st.pool->stats.broken, 1);
	teardown(&st);
}
END_TEST

START_TEST(an_idle_server_says_something_by_itself)
{
	const uint8_t *data;
	size_t bytes;
	struct stage st;
	struct buf b;

	/* In two parts: of a message that nobody was there for, nobody gets the other half. */
	for (size_t first = 1; first < 26; first++) {
		setup(&st);
		buf_init(&b, BYTES_MAX);
		msg_parameter_status(&b, "TimeZone", "Asia/Tokyo");
		ck_assert_uint_eq(b.len, 25);
		ck_assert_int_eq(send(st.fd, buf_data(&b), first, 0), (ssize_t)first);
		turn(&st);
		ck_assert_int_eq(st.srv->state, SERVER_IDLE);
		if (first == b.len) {
			hold_it(&st);
			ck_assert_int_eq(send(st.fd, buf_data(&b), b.len, 0), (ssize_t)b.len);
			ck_assert_int_eq(server_read(st.srv, &data, &bytes), 0);
			ck_assert_uint_eq(bytes, b.len);
		} else {
			struct err e;

			ck_assert_int_eq(lease_enter(&st.lease, st.pool, &e), -E_AGAIN);
			is_closed(&st, "half a message");
		}
		buf_clear(&b);
		teardown(&st);
	}
}
END_TEST

START_TEST(what_is_queued_is_waited_for)
{
	static uint8_t data[900 * 1024];
	struct stage st;

	setup(&st);
	hold_it(&st);
	server_write(st.srv, data, sizeof data);
	ck_assert_uint_gt(stream_queued(&st.srv->stream), 0);
	lease_return(&st.lease, false);
	ck_assert_int_eq(st.srv->state, SERVER_CLEANING);
	while (stream_queued(&st.srv->stream) > 0) {
		ck_assert_int_eq(st.srv->state, SERVER_CLEANING);
		while (recv(st.fd, data, sizeof data, 0) > 0)
			;
		turn(&st);
	}
	ck_assert_int_eq(st.srv->state, SERVER_IDLE);
	teardown(&st);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("lease");
	TCase *t = tcase_create("lease");
	SRunner *r = srunner_create(s);
	int failures;

	srunner_set_fork_status(r, CK_FORK); /* some end the process on purpose */
	log_set_level(LOG_ERROR);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, the_end_is_told);
	tcase_add_test(t, nothing_to_do_is_told_at_once);
	tcase_add_test(t, a_kept_lease_goes_on);
	tcase_add_test(t, times_are_spread);
	tcase_add_test(t, the_next_scope_is_cleaned_from_the_callback);
	tcase_add_test(t, the_next_one_is_first);
	tcase_add_test(t, an_owner_that_leaves);
	tcase_add_test(t, a_server_that_is_lost);
	tcase_add_test(t, what_deallocates_makes_it_stale);
	tcase_add_test(t, a_lease_moves);
	tcase_add_loop_test(t, what_is_left_is_not_given_back, 0, LEFT_OVER);
	tcase_add_loop_test(t, what_is_left_is_not_taken, 0, LEFT_OVER);
	tcase_add_test(t, notes_are_forgotten);
	tcase_add_test(t, an_idle_server_answers);
	tcase_add_test(t, an_idle_server_says_something_by_itself);
	tcase_add_test(t, what_is_queued_is_waited_for);
	tcase_add_exit_test(t, only_what_is_held_moves, 1);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failures = srunner_ntests_failed(r);
	srunner_free(r);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
