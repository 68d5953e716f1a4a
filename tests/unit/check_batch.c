#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/loop.h"
#include "pool/lease.h"

/* What else happens while the server is written to. */
#define server_write watched_write
#include "loops.h"
#include "session/batch.c"
#undef server_write

void server_write(struct server *, const void *, size_t);

/* Two sessions, each with a lease. Each write to a server is one record of its socket. */
struct remote {
	struct session s;
	struct hold own;
	struct server srv;
	int peer;
};

static struct loop *the_loop;
static struct site site;
static struct remote one, two;
static void (*during_write)(void);

void
watched_write(struct server *srv, const void *data, size_t bytes)
{
	void (*hook)(void) = during_write;

	during_write = NULL;
	server_write(srv, data, bytes);
	if (hook)
		hook();
}

static void
nothing(struct stream *st, void *arg)
{
}

static const struct stream_ops ops = {.readable = nothing, .drained = nothing};

static void
open_end(struct remote *e, uint64_t id)
{
	int fds[2];

	memset(e, 0, sizeof *e);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
	e->peer = fds[1];
	e->srv.id = 100 + id;
	stream_init(&e->srv.stream, the_loop, fds[0], 1024 * 1024, &ops, NULL);
	e->s.id = id;
	e->s.site = &site;
	session_set_none(&e->s);
	e->s.hold = e->s.own = &e->own;
	e->own.lease.state = LEASE_HELD;
	e->own.lease.srv = &e->srv;
}

static void
setup(void)
{
	the_loop = loops_new();
	ck_assert_ptr_nonnull(the_loop);
	memset(&site, 0, sizeof site);
	batch_init(&site.batch);
	open_end(&one, 1);
	open_end(&two, 2);
}

static void
teardown(void)
{
	batch_clear(&site.batch);
	stream_close(&one.srv.stream);
	stream_close(&two.srv.stream);
	close(one.peer);
	close(two.peer);
	loop_free(the_loop);
}

/* The next write that the server has got; "" if there was none. */
static void
got(struct remote *e, const char *expected)
{
	char is[256];
	ssize_t n;

	stream_flush(&e->srv.stream);
	n = recv(e->peer, is, sizeof is - 1, 0);
	is[n > 0 ? n : 0] = 0;
	ck_assert_msg(strcmp(is, expected) == 0, "the server got \"%s\", not \"%s\"", is, expected);
}

static void
pass(struct remote *e, const char *bytes)
{
	batch_pass(&e->s, (const uint8_t *)bytes, strlen(bytes));
}

static void
add(struct remote *e, const char *bytes)
{
	buf_add(batch_for(&e->s), bytes, strlen(bytes));
}

/* ---- order, and writes ---- */

START_TEST(nothing_is_written_of_nothing)
{
	ck_assert(batch_is_empty(&site.batch));
	ck_assert(batch_flush(&one.s));
	pass(&one, "");
	batch_for(&one.s);
	ck_assert(batch_is_empty(&site.batch));
	ck_assert(batch_flush(&one.s));
	batch_check(&one.s);
	got(&one, "");
}
END_TEST

START_TEST(what_passes_is_not_copied)
{
	static const char text[] = "first second";

	batch_pass(&one.s, (const uint8_t *)text, 6);
	batch_pass(&one.s, (const uint8_t *)text + 6, 6);
	ck_assert_ptr_null(site.batch.bytes.mem);
	ck_assert_ptr_eq(site.batch.passed, text);
	ck_assert(!batch_is_empty(&site.batch));
	ck_assert(batch_flush(&one.s));
	ck_assert_ptr_null(site.batch.bytes.mem);
	got(&one, text);
	got(&one, "");
	batch_check(&one.s);
}
END_TEST

START_TEST(all_goes_in_the_order_that_it_was_given_in)
{
	pass(&one, "a ");
	add(&one, "b ");
	add(&one, "c ");
	pass(&one, "d ");
	pass(&one, "e ");
	add(&one, "f ");
	pass(&one, "g");
	ck_assert(batch_flush(&one.s));
	got(&one, "a b c d e f g");
	got(&one, "");
}
END_TEST

START_TEST(bytes_that_are_left_out_are_not_sent)
{
	static const char text[] = "yes no more";

	batch_pass(&one.s, (const uint8_t *)text, 4);
	batch_pass(&one.s, (const uint8_t *)text + 7, 4);
	ck_assert(batch_flush(&one.s));
	got(&one, "yes more");
	got(&one, "");
}
END_TEST

START_TEST(the_memory_is_kept_for_the_next)
{
	const uint8_t *mem;

	add(&one, "a");
	mem = site.batch.bytes.mem;
	ck_assert(batch_flush(&one.s));
	ck_assert_ptr_eq(site.batch.bytes.mem, mem);
	add(&two, "b");
	ck_assert_ptr_eq(site.batch.bytes.mem, mem);
	ck_assert(batch_flush(&two.s));
	got(&one, "a");
	got(&two, "b");
}
END_TEST

START_TEST(one_follows_the_other)
{
	pass(&one, "a");
	ck_assert(batch_flush(&one.s));
	add(&two, "b");
	pass(&two, "c");
	ck_assert(batch_flush(&two.s));
	pass(&one, "d");
	ck_assert(batch_flush(&one.s));
	got(&one, "a");
	got(&one, "d");
	got(&two, "bc");
}
END_TEST

static void
one_is_lost(void)
{
	one.own.lease.state = LEASE_NONE;
	one.own.lease.srv = NULL;
	batch_end(&one.s);
}

START_TEST(the_session_ends_during_the_write)
{
	pass(&one, "a ");
	add(&one, "b");
	during_write = one_is_lost;
	ck_assert(batch_flush(&one.s));
	batch_check(&one.s);
	got(&one, "a b");
	add(&two, "c");
	ck_assert(batch_flush(&two.s));
	got(&two, "c");
}
END_TEST

/* ---- what is not sent ---- */

START_TEST(of_a_lease_that_has_ended_nothing_is_sent)
{
	pass(&one, "a");
	one.own.lease.state = LEASE_NONE;
	one.own.lease.srv = NULL;
	ck_assert(batch_flush(&one.s));
	batch_check(&one.s);
	add(&two, "b");
	two.own.lease.state = LEASE_CLEANING;
	batch_end(&two.s);
	batch_check(&two.s);
	got(&one, "");
	got(&two, "");
}
END_TEST

START_TEST(what_is_dropped_is_not_sent)
{
	pass(&one, "a");
	add(&one, "b");
	pass(&one, "c");
	batch_drop(&one.s);
	batch_check(&one.s);
	ck_assert(batch_flush(&one.s));
	got(&one, "");
	batch_drop(&two.s);
}
END_TEST

START_TEST(a_session_that_ends_sends_its_own)
{
	pass(&one, "a");
	batch_end(&two.s);
	ck_assert(!batch_is_empty(&site.batch));
	batch_end(&one.s);
	batch_check(&one.s);
	got(&one, "a");
	got(&two, "");
}
END_TEST

START_TEST(too_much_is_not_sent)
{
	static char much[BYTES_MAX + 1];

	memset(much, 'x', sizeof much);
	buf_add(batch_for(&one.s), "a", 1);
	buf_add(batch_for(&one.s), much, sizeof much);
	ck_assert(!batch_is_empty(&site.batch));
	ck_assert(!batch_flush(&one.s));
	batch_check(&one.s);
	got(&one, "");
	add(&one, "b");
	batch_pass(&one.s, (const uint8_t *)much, BYTES_MAX);
	ck_assert(!batch_flush(&one.s));
	batch_check(&one.s);
	add(&one, "c");
	ck_assert(batch_flush(&one.s));
	got(&one, "c");
}
END_TEST

/* ---- our own bugs end the program ---- */

START_TEST(another_session_adds)
{
	add(&one, "a");
	add(&two, "b");
}
END_TEST

START_TEST(another_session_passes)
{
	pass(&one, "a");
	pass(&two, "b");
}
END_TEST

START_TEST(another_session_sends)
{
	pass(&one, "a");
	batch_flush(&two.s);
}
END_TEST

START_TEST(another_session_drops)
{
	pass(&one, "a");
	batch_drop(&two.s);
}
END_TEST

/* The lease of one of its scopes, which has a server of its own. */
START_TEST(another_lease_of_the_session_sends)
{
	add(&one, "a");
	one.s.hold = &two.own;
	batch_flush(&one.s);
}
END_TEST

/* The lease was given back and taken again. */
START_TEST(the_lease_has_another_server)
{
	add(&one, "a");
	one.own.lease.srv = &two.srv;
	batch_flush(&one.s);
}
END_TEST

static void
two_works(void)
{
	add(&two, "theirs");
}

/* Each session has its turn behind those of others: relay/turn.c. */
START_TEST(another_works_during_the_write)
{
	add(&one, "a");
	during_write = two_works;
	batch_flush(&one.s);
}
END_TEST

START_TEST(there_is_no_server)
{
	one.own.lease.state = LEASE_WAITING;
	one.own.lease.srv = NULL;
	batch_for(&one.s);
}
END_TEST

START_TEST(something_is_left_behind)
{
	pass(&one, "a");
	batch_check(&one.s);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("batch");
	TCase *t = tcase_create("bytes");
	SRunner *runner;
	int failed;

	log_init("check_batch", LOG_ERROR);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, nothing_is_written_of_nothing);
	tcase_add_test(t, what_passes_is_not_copied);
	tcase_add_test(t, all_goes_in_the_order_that_it_was_given_in);
	tcase_add_test(t, bytes_that_are_left_out_are_not_sent);
	tcase_add_test(t, the_memory_is_kept_for_the_next);
	tcase_add_test(t, one_follows_the_other);
	tcase_add_test(t, the_session_ends_during_the_write);
	tcase_add_test(t, of_a_lease_that_has_ended_nothing_is_sent);
	tcase_add_test(t, what_is_dropped_is_not_sent);
	tcase_add_test(t, a_session_that_ends_sends_its_own);
	tcase_add_test(t, too_much_is_not_sent);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	/* They end the program, which without a process of their own (CK_FORK=no) is this one. */
	if (srunner_fork_status(runner) == CK_FORK) {
		t = tcase_create("bugs");
		tcase_add_checked_fixture(t, setup, NULL);
		tcase_add_exit_test(t, another_session_adds, 1);
		tcase_add_exit_test(t, another_session_passes, 1);
		tcase_add_exit_test(t, another_session_sends, 1);
		tcase_add_exit_test(t, another_session_drops, 1);
		tcase_add_exit_test(t, another_lease_of_the_session_sends, 1);
		tcase_add_exit_test(t, the_lease_has_another_server, 1);
		tcase_add_exit_test(t, another_works_during_the_write, 1);
		tcase_add_exit_test(t, there_is_no_server, 1);
		tcase_add_exit_test(t, something_is_left_behind, 1);
		suite_add_tcase(suite, t);
	}
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
