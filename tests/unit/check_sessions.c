#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/conf.h"
#include "loops.h"
#include "pool/pool.h"
#include "relay/turn.h"
#include "session/end.h"
#include "session/session.h"
#include "session/site.h"
#include "wire/frame.h"
#include "wire/msg.h"

/* Sessions, each over a socketpair, without a daemon and without a server. */

#define CLIENTS  5
#define ROUNDS   400
#define SYNCS    20000
#define SMALL    4096 /* bytes that a socket takes */
#define PATIENCE 2000 /* turns of the loop until something has to have happened */

struct client {
	struct session *s;
	uint64_t id;
	int fd; /* -1: it is gone */
	struct buf to_send;
	struct buf heard;
	unsigned asked, answered; /* Queries and Syncs; ReadyForQuery */
	bool inside;              /* it has been told that it has the lock */
	bool leaves;              /* its last Query gives the lock back */
};

static unsigned seed; /* CHECK_SEED, or the time */
static struct loop *the_loop;
static struct site site;
static struct conf conf;
static struct conf_pool pool_conf;
static struct pool pool;
static struct client clients[CLIENTS];

static void
stop(void *arg)
{
	loop_stop(arg);
}

/* What is ready is done. */
static void
turn_of_the_loop(void)
{
	struct timer at_once;

	timer_init(&at_once, the_loop, stop, the_loop);
	timer_start(&at_once, 0);
	ck_assert_int_eq(loop_run(the_loop), 0);
	ck_assert_uint_eq(site.woken.count, 0);
	ck_assert(batch_is_empty(&site.batch));
}

static void
connect_client(struct client *c)
{
	int fds[2], small = SMALL;

	memset(c, 0, sizeof *c);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	c->fd = fds[1];
	buf_init(&c->to_send, 1024 * 1024);
	buf_init(&c->heard, 1024 * 1024);
	/* An id that was used once. */
	c->id = idmap_add(&site.sessions, c);
	idmap_remove(&site.sessions, c->id);
	c->s = session_adopt(&site, c->id, fds[0], SESSION_IDLE);
	ck_assert_ptr_nonnull(c->s);
	c->s->pool = &pool;
	c->s->context.pin = true;
}

static void
disconnect(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	buf_clear(&c->to_send);
	buf_clear(&c->heard);
	c->inside = false;
}

static void
setup(void)
{
	the_loop = loops_new();
	memset(&site, 0, sizeof site);
	memset(&conf, 0, sizeof conf);
	memset(&pool_conf, 0, sizeof pool_conf);
	memset(&pool, 0, sizeof pool);
	site.loop = the_loop;
	site.conf = &conf;
	site.ops = &turn_session_ops;
	idmap_init(&site.sessions);
	for (int i = 0; i < SESSION_NSTATES; i++)
		list_init(&site.in_state[i]);
	list_init(&site.woken);
	list_init(&site.holds);
	loop_on_work(the_loop, turn_all, &site);
	locks_init(&site.locks, the_loop);
	waits_init(&site.waits);
	timing_init(&site.timing);
	pools_init(&site.pools, the_loop, NULL);
	batch_init(&site.batch);
	buf_init(&site.reply, 64);
	atoms_init(&site.atoms, 1);
	buf_init(&site.greeting, GREETING_MAX);
	pool_conf.name = (char *)"db";
	pool.all = &site.pools;
	pool.group = &pool;
	pool.conf = &pool_conf;
	for (int i = 0; i < SERVER_NSTATES; i++) {
		list_init(&pool.servers[i]);
		list_init(&pool.kept[i]);
	}
	list_init(&pool.waiting);
	for (int i = 0; i < CLIENTS; i++)
		clients[i].fd = -1;
}

static void
teardown(void)
{
	for (int i = 0; i < CLIENTS; i++)
		disconnect(&clients[i]);
	for (int i = 0; i < PATIENCE && site_sessions(&site) > 0; i++)
		turn_of_the_loop();
	/* All that they had is gone with them. */
	ck_assert_uint_eq(site_sessions(&site), 0);
	ck_assert_uint_eq(site.locks.list.count, 0);
	loop_free(the_loop);
	idmap_clear(&site.sessions);
	locks_clear(&site.locks);
	waits_clear(&site.waits);
	timing_clear(&site.timing);
	greetings_clear(&site.greetings, &site.pools.told, &site.atoms);
	pools_clear(&site.pools);
	batch_clear(&site.batch);
	buf_clear(&site.reply);
	buf_clear(&site.greeting);
	ck_assert_uint_eq(site.atoms.all.count, 0);
	atoms_clear(&site.atoms);
}

/* Sends some of what the client has to say: at most so many bytes. */
static void
send_some(struct client *c, size_t most)
{
	size_t bytes = c->to_send.len < most ? c->to_send.len : most;
	ssize_t n;

	if (c->fd < 0 || bytes == 0)
		return;
	n = send(c->fd, buf_data(&c->to_send), bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0)
		buf_drop(&c->to_send, (size_t)n);
}

static void
take_message(struct client *c, char type)
{
	ck_assert_msg(type == 'C' || type == 'Z', "CHECK_SEED=%u: a client was told %c", seed,
		      type);
	if (type == 'Z') {
		c->answered++;
		ck_assert_uint_le(c->answered, c->asked);
	}
}

/* Reads at most so many bytes of the answers. */
static void
hear_some(struct client *c, size_t most)
{
	struct frame f;
	uint8_t bytes[4096];
	ssize_t n;

	if (c->fd < 0)
		return;
	n = recv(c->fd, bytes, most < sizeof bytes ? most : sizeof bytes, MSG_DONTWAIT);
	ck_assert_msg(n != 0, "CHECK_SEED=%u: a client was left", seed);
	if (n < 0)
		return;
	buf_add(&c->heard, bytes, (size_t)n);
	while (frame_read(buf_data(&c->heard), c->heard.len, &f) == 0 &&
	       FRAME_HEADER + f.body <= c->heard.len) {
		take_message(c, f.type);
		buf_drop(&c->heard, FRAME_HEADER + f.body);
	}
}

static void
ask(struct client *c, const char *sql)
{
	c->asked++;
	if (sql)
		msg_query(&c->to_send, sql);
	else
		msg_sync(&c->to_send);
}

/* ---- one session ---- */

/* The client does not read for a while: then its messages are kept. */
START_TEST(each_sync_is_answered_once)
{
	struct client *c = &clients[0];
	bool was_kept = false;

	srandom(seed);
	connect_client(c);
	while (c->answered < SYNCS) {
		while (c->to_send.len < 4096 && c->asked < SYNCS)
			ask(c, NULL);
		send_some(c, (size_t)random() % 3000);
		turn_of_the_loop();
		was_kept |= c->s->in->len >= FRAME_HEADER;
		if (random() % 8 == 0)
			for (long n = random() % 40; n > 0; n--) {
				hear_some(c, 1 + (size_t)random() % 4000);
				turn_of_the_loop();
			}
	}
	ck_assert(was_kept);
	ck_assert_uint_eq(c->s->in->len, 0);
}
END_TEST

/* A text of several statements is done part by part, in turns of the session. */
START_TEST(a_text_is_answered_once)
{
	struct client *c = &clients[0];

	connect_client(c);
	for (int i = 0; i < 50; i++) {
		ask(c, "ENTER LOCK 'a'; ENTER LOCK 'b'; EXIT b; EXIT a;");
		ask(c, NULL);
	}
	for (int i = 0; i < PATIENCE && c->answered < c->asked; i++) {
		send_some(c, 1 + (size_t)i % 500);
		turn_of_the_loop();
		hear_some(c, 4096);
	}
	ck_assert_uint_eq(c->answered, c->asked);
	ck_assert_uint_eq(site.locks.list.count, 0);
}
END_TEST

/* ---- several ---- */

static void
enter(struct client *c)
{
	c->leaves = false;
	ask(c, "ENTER LOCK 'l'");
}

static void
leave(struct client *c)
{
	/* The others may have it from the moment that this is sent. */
	c->inside = false;
	c->leaves = true;
	ask(c, "EXIT l");
}

/* Its answers are there: it has the lock, or has given it back. */
static void
go_on(struct client *c)
{
	if (c->answered < c->asked || c->asked == 0)
		return;
	if (!c->leaves) {
		for (int i = 0; i < CLIENTS; i++)
			ck_assert_msg(c == &clients[i] || !clients[i].inside,
				      "CHECK_SEED=%u: two have the lock", seed);
		c->inside = true;
	}
}

static void
random_step(struct client *c)
{
	if (c->fd < 0) {
		if (random() % 4 == 0)
			connect_client(c);
		return;
	}
	go_on(c);
	switch (random() % 12) {
	case 0:
		/* It hangs up: while it waits, while it has the lock, with half a message sent. */
		if (random() % 6 == 0)
			disconnect(c);
		break;
	case 1:
	case 2:
		if (c->answered < c->asked)
			break;
		if (c->inside)
			leave(c);
		else
			enter(c);
		break;
	case 3:
		/* Both at once. */
		if (c->answered == c->asked && !c->inside) {
			enter(c);
			leave(c);
		}
		break;
	case 4:
		if (c->answered == c->asked && !c->inside) {
			c->leaves = true;
			ask(c, "ENTER LOCK 'l'; EXIT l");
		}
		break;
	default:
		send_some(c, 1 + (size_t)random() % 60);
		hear_some(c, 1 + (size_t)random() % 100);
	}
}

static bool
all_is_answered(void)
{
	for (int i = 0; i < CLIENTS; i++)
		if (clients[i].fd >= 0 && clients[i].answered < clients[i].asked)
			return false;
	return true;
}

/* All that are inside leave; then nobody waits. */
static void
come_to_an_end(void)
{
	for (int i = 0; i < PATIENCE; i++) {
		turn_of_the_loop();
		for (int k = 0; k < CLIENTS; k++) {
			struct client *c = &clients[k];

			send_some(c, 4096);
			hear_some(c, 4096);
			if (c->fd < 0)
				continue;
			go_on(c);
			if (c->inside)
				leave(c);
		}
		if (all_is_answered())
			return;
	}
	ck_abort_msg("CHECK_SEED=%u: a client waits for ever", seed);
}

/* A lock goes from one to the next, whatever they do: nobody is forgotten, two never have it. */
START_TEST(random_clients_share_a_lock)
{
	unsigned asked = 0;

	srandom(seed);
	for (int round = 0; round < ROUNDS; round++) {
		for (long n = random() % 100; n > 0; n--) {
			random_step(&clients[random() % CLIENTS]);
			if (random() % 2)
				turn_of_the_loop();
		}
		if (random() % 20 == 0)
			come_to_an_end();
	}
	come_to_an_end();
	for (int i = 0; i < CLIENTS; i++)
		asked += clients[i].asked;
	ck_assert_uint_gt(asked, 0);
}
END_TEST

int
main(void)
{
	const char *given = getenv("CHECK_SEED");
	Suite *suite = suite_create("sessions");
	TCase *t = tcase_create("sessions");
	SRunner *runner;
	int failed;

	seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
	fprintf(stderr, "check_sessions: CHECK_SEED=%u\n", seed);
	log_init("check_sessions", getenv("CHECK_DEBUG") ? LOG_DEBUG : LOG_ERROR);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, each_sync_is_answered_once);
	tcase_add_test(t, a_text_is_answered_once);
	tcase_add_test(t, random_clients_share_a_lock);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
