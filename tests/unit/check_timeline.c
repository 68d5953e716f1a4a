/* From events to segments: cli/timeline.c. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/timeline.h"

#define ROLE "app"
#define POOL "orders"

/* The segments of a test, as text: one a line. */
static struct labels labels;
static struct timeline *line;
static char *told;
/* sums of times, by track */
static int64_t sums[TIMELINE_NTRACKS];

static struct label *
label(const char *text)
{
	return text ? label_of(&labels, text, strlen(text)) : NULL;
}

static void
on_segment(void *arg, const struct timeline_segment *s)
{
	char *before = told;

	ck_assert_ptr_null(arg);
	ck_assert_int_gt(s->end_us, s->begin_us);
	sums[s->track] += s->end_us - s->begin_us;
	told =
	    mem_printf("%s%s %llu %s %lld-%lld %s%s%s%s%s\n", before, timeline_track_name(s->track),
		       (unsigned long long)s->id, timeline_state_name(s->state),
		       (long long)s->begin_us, (long long)s->end_us,
		       s->who ? label_text(s->who->application_name) : "-", s->pool ? " pool=" : "",
		       label_text(s->pool), s->scope ? " scope=" : "", label_text(s->scope));
	free(before);
}

/* Only adds up: for many segments. */
static void
on_many(void *arg, const struct timeline_segment *s)
{
	ck_assert_int_gt(s->end_us, s->begin_us);
	sums[s->track] += s->end_us - s->begin_us;
}

static void
begin(void)
{
	labels_init(&labels);
	told = mem_strdup("");
	line = timeline_new(on_segment, NULL);
}

static void
finish(void)
{
	timeline_free(line);
	labels_clear(&labels);
	free(told);
}

static void
event(enum trace_kind kind, int64_t at, uint64_t subject, uint64_t other, unsigned state,
      const char *name, const char *name2)
{
	const struct trace_event e = {.kind = (uint8_t)kind,
				      .at_us = at,
				      .subject = subject,
				      .other = other,
				      .state = (uint8_t)state};

	timeline_event(line, &e, label(name), label(name2));
}

static void
client(int64_t at, uint64_t session, const char *name)
{
	event(TRACE_WHO, at, session, 4242, 0, ROLE, name);
	event(TRACE_SESSION, at, session, 0, TRACE_PRESENT, POOL, NULL);
}

static void
server(int64_t at, uint64_t id, uint64_t session, enum trace_server state)
{
	event(TRACE_SERVER, at, id, session, state, state == TRACE_CONNECTING ? POOL : NULL, NULL);
}

static void
ask(int64_t at, uint64_t id, uint64_t session, char state)
{
	event(TRACE_ASK, at, id, session, (uint8_t)state, NULL, NULL);
}

/* Were exactly these segments told? */
static void
expect(const char *want)
{
	ck_assert_str_eq(told, want);
}

START_TEST(a_transaction)
{
	begin();
	server(0, 1, 0, TRACE_CONNECTING);
	client(5, 7, "a");
	server(10, 1, 0, TRACE_IDLE);
	server(20, 1, 7, TRACE_LEASED);
	ask(20, 1, 7, 'R');
	ask(30, 1, 7, 'T');
	ask(40, 1, 7, 'R');
	ask(50, 1, 7, 'I');
	server(50, 1, 0, TRACE_IDLE);
	timeline_end(line, 60);
	expect("server 1 connecting 0-10 - pool=orders\n"
	       "server 1 idle 10-20 - pool=orders\n"
	       "session 7 outside 5-20 a pool=orders\n"
	       "server 1 running 20-30 a pool=orders\n"
	       "session 7 running 20-30 a pool=orders\n"
	       "server 1 idle in transaction 30-40 a pool=orders\n"
	       "session 7 idle in transaction 30-40 a pool=orders\n"
	       "server 1 running 40-50 a pool=orders\n"
	       "session 7 running 40-50 a pool=orders\n"
	       "server 1 idle 50-60 - pool=orders\n"
	       "session 7 outside 50-60 a pool=orders\n");
	finish();
}
END_TEST

/* A session that waits for two servers, one after the other, of another pool than its own, and for
 * a lock. */
START_TEST(waits)
{
	begin();
	client(0, 7, "a");
	event(TRACE_WAIT, 10, 7, 0, 1, "billing", NULL);
	event(TRACE_WAIT, 20, 7, 0, 0, NULL, NULL);
	event(TRACE_SCOPE, 30, 7, 1, TRACE_ENTERING, "nightly", "lock");
	event(TRACE_LOCK, 30, 7, 0, 1, "nightly", NULL);
	event(TRACE_LOCK, 45, 7, 0, 0, NULL, NULL);
	event(TRACE_SCOPE, 45, 7, 1, TRACE_OPEN, NULL, NULL);
	event(TRACE_SCOPE, 60, 7, 1, TRACE_ENDED, NULL, NULL);
	timeline_end(line, 70);
	expect("session 7 outside 0-10 a pool=orders\n"
	       "session 7 waiting for a server 10-20 a pool=billing\n"
	       "session 7 outside 20-30 a pool=orders\n"
	       "session 7 waiting for a lock 30-45 a pool=orders scope=nightly\n"
	       "scope 7 entering 30-45 a pool=orders scope=nightly\n"
	       "scope 7 open 45-60 a pool=orders scope=nightly\n"
	       "session 7 outside 45-60 a pool=orders scope=nightly\n"
	       "session 7 outside 60-70 a pool=orders\n");
	finish();
}
END_TEST

START_TEST(held_setup_and_cleanup)
{
	begin();
	client(0, 7, "a");
	server(0, 1, 7, TRACE_LEASED);
	event(TRACE_SESSION, 10, 7, 0, TRACE_PARAMETERS, NULL, NULL);
	event(TRACE_SESSION, 20, 7, 0, TRACE_PRESENT, NULL, NULL);
	ask(20, 1, 7, 'R');
	ask(30, 1, 7, 'T');
	/* The client is killed. Its server is cleaned, and counts as its own meanwhile. */
	server(40, 1, 0, TRACE_CLEANING);
	event(TRACE_SESSION, 40, 7, 0, TRACE_ABSENT, NULL, NULL);
	server(50, 1, 0, TRACE_CLOSED);
	timeline_end(line, 60);
	expect("server 1 held 0-10 a\n"
	       "session 7 held 0-10 a pool=orders\n"
	       "server 1 setup 10-20 a\n"
	       "session 7 setup 10-20 a pool=orders\n"
	       "server 1 running 20-30 a\n"
	       "session 7 running 20-30 a pool=orders\n"
	       "server 1 idle in transaction 30-40 a\n"
	       "session 7 idle in transaction 30-40 a pool=orders\n"
	       "server 1 cleanup 40-50 a\n");
	finish();
}
END_TEST

/* EXIT ends a scope by a cleanup: meanwhile the client has no server that works for it, but it
 * waits for the answer, so it is not outside. */
START_TEST(a_scope_that_ends_by_a_cleanup)
{
	begin();
	client(0, 7, "a");
	server(0, 1, 7, TRACE_LEASED);
	ask(0, 1, 7, 'R');
	ask(10, 1, 7, 'E');
	event(TRACE_SESSION, 20, 7, 0, TRACE_WORK, NULL, NULL);
	server(20, 1, 7, TRACE_CLEANING);
	server(30, 1, 0, TRACE_IDLE);
	event(TRACE_SESSION, 40, 7, 0, TRACE_PRESENT, NULL, NULL);
	timeline_end(line, 50);
	expect("server 1 running 0-10 a\n"
	       "session 7 running 0-10 a pool=orders\n"
	       "server 1 idle in transaction 10-20 a\n"
	       "session 7 idle in transaction 10-20 a pool=orders\n"
	       "server 1 cleanup 20-30 a\n"
	       "session 7 setup 20-40 a pool=orders\n"
	       "server 1 idle 30-50 -\n"
	       "session 7 outside 40-50 a pool=orders\n");
	finish();
}
END_TEST

/* In a scope that is open, a server at rest outside a transaction of PostgreSQL's is not idle. */
START_TEST(scopes_inside_scopes)
{
	begin();
	client(0, 7, "a");
	server(0, 1, 7, TRACE_LEASED);
	event(TRACE_SCOPE, 10, 7, 1, TRACE_OPEN, "work", "transaction");
	event(TRACE_SCOPE, 20, 7, 2, TRACE_ENTERING, "part", "savepoint");
	event(TRACE_SCOPE, 20, 7, 2, TRACE_OPEN, "part", "savepoint");
	event(TRACE_SCOPE, 30, 7, 2, TRACE_ENDED, NULL, NULL);
	event(TRACE_SCOPE, 40, 7, 1, TRACE_ENDED, NULL, NULL);
	event(TRACE_SCOPE, 40, 7, 9, TRACE_ENDED, NULL, NULL);
	timeline_end(line, 50);
	expect("server 1 held 0-10 a\n"
	       "session 7 held 0-10 a pool=orders\n"
	       "server 1 idle in transaction 10-20 a scope=work\n"
	       "session 7 idle in transaction 10-20 a pool=orders scope=work\n"
	       "scope 7 open 20-30 a pool=orders scope=part\n"
	       "server 1 idle in transaction 20-30 a scope=part\n"
	       "session 7 idle in transaction 20-30 a pool=orders scope=part\n"
	       "scope 7 open 10-40 a pool=orders scope=work\n"
	       "server 1 idle in transaction 30-40 a scope=work\n"
	       "session 7 idle in transaction 30-40 a pool=orders scope=work\n"
	       "server 1 held 40-50 a\n"
	       "session 7 held 40-50 a pool=orders\n");
	finish();
}
END_TEST

/* Events were lost: a session, a server and a scope have ended meanwhile, and a wait. */
START_TEST(a_snapshot)
{
	begin();
	client(0, 7, "a");
	client(0, 8, "b");
	client(0, 9, "c");
	server(0, 1, 7, TRACE_LEASED);
	server(0, 2, 0, TRACE_IDLE);
	ask(0, 1, 7, 'R');
	event(TRACE_WAIT, 0, 8, 0, 1, POOL, NULL);
	event(TRACE_SCOPE, 0, 8, 3, TRACE_OPEN, "gone", "lock");
	event(TRACE_SCOPE, 0, 8, 4, TRACE_OPEN, "stays", "lock");
	event(TRACE_SNAPSHOT, 10, 0, 0, 1, NULL, NULL);
	event(TRACE_WHO, 10, 8, 4242, 1, ROLE, "b");
	event(TRACE_SESSION, 10, 8, 0, TRACE_PRESENT, POOL, NULL);
	event(TRACE_SCOPE, 10, 8, 4, TRACE_OPEN, "stays", "lock");
	/* This one is told while it waits again: that counts once. */
	event(TRACE_WAIT, 11, 9, 0, 1, POOL, NULL);
	event(TRACE_WHO, 12, 9, 4242, 1, ROLE, "c");
	event(TRACE_SESSION, 12, 9, 0, TRACE_PRESENT, POOL, NULL);
	event(TRACE_WAIT, 12, 9, 0, 1, POOL, NULL);
	event(TRACE_SERVER, 13, 2, 9, TRACE_LEASED, POOL, NULL);
	event(TRACE_WAIT, 13, 9, 0, 0, NULL, NULL);
	ask(13, 2, 9, 'R');
	event(TRACE_SNAPSHOT, 14, 0, 0, 0, NULL, NULL);
	timeline_end(line, 20);
	expect("session 8 waiting for a server 0-10 b pool=orders scope=stays\n"
	       "session 9 outside 0-11 c pool=orders\n"
	       "session 9 waiting for a server 11-12 c pool=orders\n"
	       "server 2 idle 0-13 - pool=orders\n"
	       "session 9 waiting for a server 12-13 c pool=orders\n"
	       "server 1 running 0-14 a\n"
	       "session 7 running 0-14 a pool=orders\n"
	       "scope 8 open 0-14 b pool=orders scope=gone\n"
	       "server 2 running 13-20 c pool=orders\n"
	       "scope 8 open 0-20 b pool=orders scope=stays\n"
	       "session 8 outside 10-20 b pool=orders scope=stays\n"
	       "session 9 running 13-20 c pool=orders\n");
	finish();
}
END_TEST

/* A client that takes another name is another one from then on. */
START_TEST(another_name)
{
	begin();
	timeline_program(line, 4242, label("psql"));
	client(0, 7, "a");
	server(0, 1, 7, TRACE_LEASED);
	ask(0, 1, 7, 'R');
	event(TRACE_WHO, 10, 7, 4242, 0, ROLE, "b");
	event(TRACE_WHO, 15, 7, 4242, 0, ROLE, "b");
	timeline_end(line, 20);
	expect("session 7 running 0-10 a pool=orders\n"
	       "server 1 running 0-10 a\n"
	       "server 1 running 10-20 b\n"
	       "session 7 running 10-20 b pool=orders\n");
	finish();
}
END_TEST

/* What comes is not always whole: nothing of it may do harm, and no state is invented. */
START_TEST(nonsense)
{
	begin();
	event(TRACE_SERVER, 0, 1, 0, 99, NULL, NULL);
	event(TRACE_SESSION, 0, 7, 0, 99, NULL, NULL);
	event(TRACE_SCOPE, 0, 7, 0, 99, NULL, NULL);
	event(TRACE_WAIT, 0, 7, 0, 0, NULL, NULL);
	event(TRACE_WHO, 0, 0, 0, 0, NULL, NULL);
	ask(0, 5, 0, 'R');
	timeline_program(line, -1, label("x"));
	timeline_program(line, 0, label("x"));
	event(TRACE_SNAPSHOT, 5, 0, 0, 0, NULL, NULL);
	timeline_end(line, 10);
	expect("");
	finish();
}
END_TEST

/* Thousands of sessions that come and go leave nothing behind but the names. */
START_TEST(what_is_gone_is_forgotten)
{
	labels_init(&labels);
	line = timeline_new(on_many, NULL);
	memset(sums, 0, sizeof sums);
	for (uint64_t i = 1; i <= 20000; i++) {
		int64_t at = (int64_t)i * 10;

		server(at, i, 0, TRACE_CONNECTING);
		client(at, i, "a");
		server(at, i, i, TRACE_LEASED);
		event(TRACE_SCOPE, at, i, 1, TRACE_OPEN, "s", "lock");
		ask(at, i, i, 'R');
		event(TRACE_SCOPE, at + 5, i, 1, TRACE_ENDED, NULL, NULL);
		server(at + 10, i, 0, TRACE_CLEANING);
		event(TRACE_SESSION, at + 10, i, 0, TRACE_ABSENT, NULL, NULL);
		server(at + 20, i, 0, TRACE_CLOSED);
		ck_assert_uint_eq(timeline_count(line), 0);
	}
	ck_assert_int_eq(sums[TIMELINE_SERVER], 20000 * 20);
	ck_assert_int_eq(sums[TIMELINE_SESSION], 20000 * 10);
	ck_assert_int_eq(sums[TIMELINE_SCOPE], 20000 * 5);
	timeline_free(line);
	labels_clear(&labels);
}
END_TEST

/* The order of events when a server breaks off while it works for a session: the server's end comes
 * first, and names the session. */
START_TEST(a_server_that_breaks_off_is_forgotten)
{
	begin();
	server(0, 1, 0, TRACE_CONNECTING);
	client(0, 7, "a");
	server(10, 1, 7, TRACE_LEASED);
	ask(10, 1, 7, 'R');
	server(20, 1, 7, TRACE_CLOSED);
	ask(20, 1, 7, 'I');
	event(TRACE_SESSION, 20, 7, 0, TRACE_ABSENT, NULL, NULL);
	ck_assert_uint_eq(timeline_count(line), 0);
	/* The same at login: the session is never told to be there. */
	server(30, 2, 0, TRACE_CONNECTING);
	server(30, 2, 8, TRACE_LEASED);
	server(40, 2, 8, TRACE_CLOSED);
	ck_assert_uint_eq(timeline_count(line), 0);
	finish();
}
END_TEST

/* Whatever happens, the times of a server and of a session add up to the wall time, if both are
 * there from the beginning to the end. */
START_TEST(random_events_add_up)
{
	enum { SERVERS = 3, SESSIONS = 5, STEPS = 3000 };
	int64_t at = 1000;

	srand((unsigned)_i);
	labels_init(&labels);
	line = timeline_new(on_many, NULL);
	memset(sums, 0, sizeof sums);
	for (uint64_t i = 1; i <= SERVERS; i++)
		server(at, i, 0, TRACE_CONNECTING);
	for (uint64_t i = 1; i <= SESSIONS; i++)
		client(at, i, "a");
	for (unsigned step = 0; step < STEPS; step++) {
		uint64_t srv = 1 + (uint64_t)rand() % SERVERS, s = 1 + (uint64_t)rand() % SESSIONS;

		at += rand() % 100;
		switch (rand() % 6) {
		case 0:
			server(at, srv, s, TRACE_LEASED);
			break;
		case 1:
			server(at, srv, 0, (unsigned)rand() % 2 ? TRACE_IDLE : TRACE_CLEANING);
			break;
		case 2:
			ask(at, srv, s, "RITE"[rand() % 4]);
			break;
		case 3:
			event(rand() % 2 ? TRACE_WAIT : TRACE_LOCK, at, s, 0, rand() % 2, POOL,
			      NULL);
			break;
		case 4:
			event(TRACE_SCOPE, at, s, 1 + (uint64_t)rand() % 3,
			      (unsigned)rand() % (TRACE_ENDED + 1), "s", "lock");
			break;
		default:
			event(TRACE_WHO, at, s, 1, rand() % 2, ROLE, rand() % 2 ? "a" : "b");
			event(TRACE_SESSION, at, s, 0,
			      TRACE_PRESENT + (unsigned)rand() % (TRACE_WORK - TRACE_ABSENT), NULL,
			      NULL);
		}
	}
	timeline_end(line, at);
	ck_assert_int_eq(sums[TIMELINE_SERVER], SERVERS * (at - 1000));
	ck_assert_int_eq(sums[TIMELINE_SESSION], SESSIONS * (at - 1000));
	timeline_free(line);
	labels_clear(&labels);
}
END_TEST

START_TEST(words)
{
	for (unsigned i = 0; i < TIMELINE_NTRACKS; i++)
		ck_assert_str_ne(timeline_track_name(i), "");
	for (unsigned i = 0; i < TIMELINE_NSTATES; i++)
		ck_assert_str_ne(timeline_state_name(i), "");
}
END_TEST

START_TEST(equal_labels_are_one)
{
	struct label *a, *b;

	labels_init(&labels);
	ck_assert_ptr_null(label_of(&labels, "x", 0));
	ck_assert_str_eq(label_text(NULL), "");
	a = label_of(&labels, "orders", 6);
	b = label_of(&labels, "orders of the day", 17);
	ck_assert_ptr_ne(a, b);
	ck_assert_ptr_eq(label_of(&labels, "orders of the day", 6), a);
	ck_assert_uint_ne(a->id, b->id);
	ck_assert(!a->written);
	labels_clear(&labels);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("timeline");
	Suite *s = suite_create("timeline");
	SRunner *r = srunner_create(s);

	suite_add_tcase(s, t);
	tcase_add_test(t, a_transaction);
	tcase_add_test(t, waits);
	tcase_add_test(t, held_setup_and_cleanup);
	tcase_add_test(t, a_scope_that_ends_by_a_cleanup);
	tcase_add_test(t, scopes_inside_scopes);
	tcase_add_test(t, a_snapshot);
	tcase_add_test(t, another_name);
	tcase_add_test(t, nonsense);
	tcase_add_test(t, what_is_gone_is_forgotten);
	tcase_add_test(t, a_server_that_breaks_off_is_forgotten);
	tcase_add_loop_test(t, random_events_add_up, 0, 20);
	tcase_add_test(t, words);
	tcase_add_test(t, equal_labels_are_one);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
