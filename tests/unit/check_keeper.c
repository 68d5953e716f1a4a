/* The keeper of a pool, at the other end of sockets that the test writes to: who gets which
 * notification, however reads split it, and while another connection takes over. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "loop/loop.h"
#include "pool/pool.h"
#include "wire/frame.h"

#include "loops.h"
#include "pool/keeper.c"

#define LISTENERS 3

static struct loop *the_loop;
static struct pools pools;
static struct conf_pool conf = {.name = "orders",
				.conninfo = "host=/nowhere",
				.size = 1,
				.wait_timeout_us = 10 * UNIT_S,
				.retry_delay_us = 60 * UNIT_S,
				.connect_timeout_us = 5 * UNIT_S};
static struct pool *pool;
static int backend[3]; /* the other ends of the servers that were made */
static unsigned made;

/* What each listener was told. */
static struct heard {
	struct listener listener;
	unsigned answers, refusals, failures, losses, conversions, syncs;
	struct buf got; /* payloads, each with a NUL */
	char last[64];  /* the last error, or what was converted */
} heard[LISTENERS];

static void
on_answered(struct listener *l, const struct err *e, bool refused)
{
	struct heard *h = l->owner;

	h->answers += e == NULL;
	h->refusals += e && refused;
	h->failures += e && !refused;
	if (e)
		snprintf(h->last, sizeof h->last, "%s", e->message);
}

static void
on_notified(struct listener *l, const char *channel, size_t channel_bytes, const uint8_t *message,
	    size_t bytes)
{
	struct heard *h = l->owner;

	ck_assert_uint_eq(message[0], 'A');
	ck_assert_uint_eq(frame_u32(message + 1) + 1, bytes);
	ck_assert_uint_eq(strlen(channel), channel_bytes);
	buf_add_str(&h->got, channel + channel_bytes + 1);
}

static void
on_converted(struct listener *l, const uint8_t *row, size_t bytes, const char *sqlstate,
	     const char *error)
{
	struct heard *h = l->owner;

	h->conversions++;
	snprintf(h->last, sizeof h->last, "%s %.*s", row ? "row" : sqlstate,
		 row ? (int)bytes - 6 : 60, row ? (const char *)row + 6 : error);
}

static void
on_lost(struct listener *l, const char *why)
{
	struct heard *h = l->owner;

	h->losses++;
	snprintf(h->last, sizeof h->last, "%s", why);
}

static void
on_synced(struct listener *l)
{
	struct heard *h = l->owner;

	h->syncs++;
}

static const struct listener_ops heard_ops = {on_answered, on_notified, on_converted, on_synced,
					      on_lost};

static struct server *
make_line(int which)
{
	struct server *server;
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	backend[made++] = fds[1];
	pools.servers.last = made;
	server = server_adopt(pool, made, fds[0], SERVER_IDLE, true);
	ck_assert_ptr_nonnull(server);
	progress_init(&server->progress);
	server->progress.status = 'I';
	server->keeper = pool->keeper;
	server->keep = &keeps;
	pool->keeper->line[which].srv = server;
	return server;
}

static void
setup(void)
{
	char why[200];

	log_set_level(LOG_ERROR);
	the_loop = loops_new();
	pools_init(&pools, the_loop, threads_new(the_loop, 1, 1));
	pool = pool_new(&pools, conf_pool_keep(&conf), why, sizeof why);
	ck_assert_msg(pool != NULL, "%s", why);
	need_keeper(pool);
	made = 0;
	keeper_set_state(pool->keeper, KEEPER_OPENING);
	make_line(0);
	pool->keeper->line[0].ready = true;
	keeper_set_state(pool->keeper, KEEPER_READY);
	for (unsigned i = 0; i < LISTENERS; i++) {
		memset(&heard[i], 0, sizeof heard[i]);
		listener_init(&heard[i].listener, &heard_ops, &heard[i]);
		buf_init(&heard[i].got, 1024 * 1024);
	}
}

static void
teardown(void)
{
	for (unsigned i = 0; i < LISTENERS; i++) {
		listener_clear(&heard[i].listener);
		buf_clear(&heard[i].got);
	}
	for (unsigned i = 0; i < made; i++)
		if (backend[i] >= 0)
			close(backend[i]);
	pools.closing = true;
	pool_free(pool);
	threads_free(pools.threads);
	loop_free(the_loop);
	pools_clear(&pools);
}

/* ---- the other end ---- */

/* What has been sent to the server, as texts. */
static const char *
sent(unsigned number)
{
	static char text[65536];
	static uint8_t raw[65536];
	size_t at = 0, out = 0;
	struct frame f;
	ssize_t n;

	for (int i = 0; i < 2; i++)
		if (pool->keeper && pool->keeper->line[i].srv)
			stream_flush(&pool->keeper->line[i].srv->stream);
	n = recv(backend[number], raw, sizeof raw, MSG_DONTWAIT);
	text[0] = 0;
	while (n > 0 && frame_read(raw + at, (size_t)n - at, &f) == 0) {
		ck_assert_int_eq(f.type, 'Q');
		out += (size_t)snprintf(text + out, sizeof text - out, "%s%s", out ? "|" : "",
					(const char *)raw + at + FRAME_HEADER);
		at += FRAME_HEADER + f.body;
	}
	return text;
}

static void
add_notification(struct buf *b, const char *channel, const char *payload)
{
	size_t at = msg_begin(b, 'A');

	buf_add_u32(b, 4711);
	buf_add_str(b, channel);
	buf_add_str(b, payload);
	msg_end(b, at);
}

static void
add_done(struct buf *b, const char *tag)
{
	msg_complete(b, tag);
	msg_ready(b, 'I');
}

/* The server says this, in pieces of at most so many bytes. */
static void
says(unsigned number, struct buf *b, size_t piece)
{
	for (size_t at = 0; at < b->len;) {
		size_t n = b->len - at < piece ? b->len - at : piece;
		struct server *server = idmap_get(&pools.servers, number + 1);

		ck_assert_int_eq(send(backend[number], buf_data(b) + at, n, 0), (int)n);
		at += n;
		if (server && server->keeper)
			for (int turns = 0; turns < 2; turns++)
				keeper_readable(server);
	}
	buf_clear(b);
	buf_init(b, 1024 * 1024);
}

static void
got(unsigned i, const char *payloads)
{
	char text[4096] = "";
	const char *at = (const char *)buf_data(&heard[i].got), *end = at + heard[i].got.len;

	for (; at < end; at += strlen(at) + 1) {
		strcat(text, at);
		strcat(text, " ");
	}
	ck_assert_str_eq(text, payloads);
	buf_reset(&heard[i].got);
}

static void
ask_for(unsigned i, const char *sql, const char *name, bool try)
{
	keeper_ask(pool, &heard[i].listener, sql, name, name ? strlen(name) + 1 : 0, try);
}

/* ---- the tests ---- */

static const size_t pieces[] = {1, 2, 3, 5, 7, 11, 64, 100000};

START_TEST(from_its_answer_on)
{
	size_t piece = pieces[_i];
	struct buf b;

	buf_init(&b, 1024 * 1024);
	ask_for(0, "LISTEN a", "a", false);
	ck_assert_str_eq(sent(0), "LISTEN a");
	ck_assert_int_eq(listener_has(&heard[0].listener, "a", 1), LISTENER_ASKED);
	add_notification(&b, "a", "before");
	add_done(&b, "LISTEN");
	add_notification(&b, "a", "behind");
	add_notification(&b, "b", "other");
	says(0, &b, piece);
	ck_assert_uint_eq(heard[0].answers, 1);
	got(0, "behind ");
	ask_for(1, "LISTEN A", "a", false);
	ck_assert_str_eq(sent(0), "LISTEN A");
	add_notification(&b, "a", "one");
	add_done(&b, "LISTEN");
	add_notification(&b, "a", "two");
	says(0, &b, piece);
	got(0, "one two ");
	got(1, "two ");
	listener_drop(&heard[0].listener, "a", 1);
	ck_assert_str_eq(sent(0), "");
	listener_drop_all(&heard[1].listener, false);
	ck_assert_str_eq(sent(0), "UNLISTEN \"a\"");
	add_done(&b, "UNLISTEN");
	add_notification(&b, "a", "late");
	says(0, &b, piece);
	got(0, "");
	got(1, "");
	ck_assert_ptr_null(heard[0].listener.keeper);
}
END_TEST

START_TEST(refused_and_given_up)
{
	struct buf b;

	buf_init(&b, 1024 * 1024);
	ask_for(0, "LISTEN select", "select", false);
	ask_for(1, "LISTEN b", "b", false);
	ask_for(2, "", NULL, false);
	ck_assert_str_eq(sent(0), "LISTEN select|LISTEN b|");
	listener_give_up(&heard[1].listener);
	ck_assert_ptr_null(heard[1].listener.keeper);
	msg_report(&b, 'E', "ERROR", "42601", "syntax error", NULL, NULL);
	msg_ready(&b, 'I');
	add_done(&b, "LISTEN");
	add_notification(&b, "b", "for nobody");
	msg_ready(&b, 'I');
	says(0, &b, 9);
	ck_assert_uint_eq(heard[0].refusals, 1);
	ck_assert_uint_eq(heard[1].answers, 0);
	ck_assert_uint_eq(heard[2].answers, 1);
	for (unsigned i = 0; i < LISTENERS; i++)
		got(i, "");
	ck_assert_str_eq(sent(0), "UNLISTEN \"b\"|UNLISTEN \"select\"");
}
END_TEST

START_TEST(tried_and_kept)
{
	struct buf b;

	buf_init(&b, 1024 * 1024);
	ask_for(0, "LISTEN a", "a", true);
	add_done(&b, "LISTEN");
	add_notification(&b, "a", "tried");
	says(0, &b, 1000);
	got(0, "tried ");
	ck_assert_uint_eq(heard[0].listener.listens, 0);
	listener_keep(&heard[0].listener, "a", 1);
	ck_assert_uint_eq(heard[0].listener.listens, 1);
	ask_for(0, "LISTEN b", "b", true);
	add_done(&b, "LISTEN");
	says(0, &b, 1000);
	listener_drop_all(&heard[0].listener, true);
	ck_assert_int_eq(listener_has(&heard[0].listener, "a", 1), LISTENER_LISTENS);
	ck_assert_int_eq(listener_has(&heard[0].listener, "b", 1), LISTENER_NO);
}
END_TEST

START_TEST(conversions)
{
	struct buf b;
	size_t at;

	buf_init(&b, 1024 * 1024);
	ask_for(0, "LISTEN a", "a", false);
	add_done(&b, "LISTEN");
	says(0, &b, 1000);
	keeper_convert(&heard[0].listener, "SELECT 1");
	at = msg_begin(&b, 'D');
	buf_add_u16(&b, 1);
	buf_add_u32(&b, 3);
	buf_add(&b, "abc", 3);
	msg_end(&b, at);
	add_done(&b, "SELECT 1");
	says(0, &b, 3);
	ck_assert_str_eq(heard[0].last, "row abc");
	keeper_convert(&heard[0].listener, "SELECT 3");
	msg_report(&b, 'E', "ERROR", "22P05", "no equivalent", NULL, NULL);
	msg_ready(&b, 'I');
	says(0, &b, 3);
	ck_assert_str_eq(heard[0].last, "22P05 no equivalent");
	ck_assert_uint_eq(heard[0].losses, 0);
}
END_TEST

/* Those who ask for a sync while one is under way wait for the next. */
START_TEST(syncs)
{
	struct buf b;

	buf_init(&b, 1024 * 1024);
	for (unsigned i = 0; i < LISTENERS; i++) {
		ask_for(i, "LISTEN a", "a", false);
		add_done(&b, "LISTEN");
	}
	says(0, &b, 1000);
	sent(0);
	keeper_sync(&heard[0].listener);
	ck_assert_uint_eq(strlen(sent(0)), 0); /* the empty statement */
	keeper_sync(&heard[1].listener);
	keeper_sync(&heard[2].listener);
	ck_assert_uint_eq(pool->keeper->line[0].requests.count, 1);
	listener_clear(&heard[2].listener);
	msg_ready(&b, 'I');
	says(0, &b, 1000);
	ck_assert_uint_eq(heard[0].syncs, 1);
	ck_assert_uint_eq(heard[1].syncs, 0);
	ck_assert_uint_eq(pool->keeper->line[0].requests.count, 1);
	msg_ready(&b, 'I');
	says(0, &b, 1000);
	ck_assert_uint_eq(heard[1].syncs, 1);
	ck_assert_uint_eq(heard[2].syncs, 0);
	ck_assert_ptr_null(heard[2].listener.keeper);
}
END_TEST

START_TEST(lost_connection)
{
	struct buf b;

	buf_init(&b, 1024 * 1024);
	ask_for(0, "LISTEN a", "a", false);
	add_done(&b, "LISTEN");
	says(0, &b, 1000);
	ask_for(0, "LISTEN c", "c", false); /* it listens, and asks */
	ask_for(1, "LISTEN b", "b", false);
	close(backend[0]);
	backend[0] = -1;
	keeper_readable(pool->keeper->line[0].srv);
	ck_assert_uint_eq(heard[0].losses, 1);
	ck_assert_uint_eq(heard[0].failures, 0);
	ck_assert_uint_eq(heard[1].losses, 0);
	ck_assert_uint_eq(heard[1].failures, 1);
	ck_assert_str_eq(keeper_state_name(pool), "closed");
	for (unsigned i = 0; i < 2; i++)
		ck_assert_ptr_null(heard[i].listener.keeper);
	ck_assert_uint_eq(pool->keeper->channels.count, 0);
}
END_TEST

/* Somebody listens, and another connection has logged in: both are asked to listen to the mark. */
static void
begin_moving(void)
{
	struct keeper *k = pool->keeper;
	struct buf b;

	buf_init(&b, 1024 * 1024);
	ask_for(0, "LISTEN a", "a", false);
	add_done(&b, "LISTEN");
	says(0, &b, 1000);
	keeper_set_state(k, KEEPER_MOVING);
	make_line(1);
	keeper_logged_in(k->line[1].srv);
	add_done(&b, "SELECT 3");
	says(1, &b, 1000);
	ck_assert_ptr_nonnull(k->line[0].srv);
}

/* Both listen; then the mark is notified. */
static void
both_listen(void)
{
	struct buf b;

	buf_init(&b, 1024 * 1024);
	ck_assert(!pool->keeper->told);
	add_done(&b, "LISTEN");
	says(0, &b, 1000);
	add_done(&b, "LISTEN"); /* the mark, then the channels */
	says(1, &b, 1000);
	ck_assert(!pool->keeper->told);
	add_done(&b, "LISTEN");
	says(1, &b, 1000);
	ck_assert(pool->keeper->told);
	add_done(&b, "NOTIFY");
	says(1, &b, 1000);
}

/* Another connection takes over. Both get the same notifications, and the mark among them, at times
 * of their own: each is given once and in order. Meanwhile a session begins to listen, and another
 * one ends. */
static void
take_over(unsigned seed)
{
	unsigned count = 20, at_mark = (unsigned)rand_r(&seed) % count, next[2] = {0, 0};
	bool told[2] = {false, false};
	char want[1024] = "", mark_channel[64];
	struct keeper *k = pool->keeper;
	struct buf b;

	buf_init(&b, 1024 * 1024);
	begin_moving();
	snprintf(mark_channel, sizeof mark_channel, "%s", k->mark);
	ck_assert_uint_ne(strlen(mark_channel), 0);
	sent(1);
	ask_for(1, "LISTEN b", "b", false);
	ck_assert_str_eq(strstr(sent(0), "LISTEN b") ? "sent" : "waits", "waits");
	both_listen();
	for (unsigned i = 0; i < count; i++) {
		char text[16];

		snprintf(text, sizeof text, "%u ", i);
		strcat(want, text);
	}
	while (next[0] <= count || next[1] <= count) {
		unsigned line = (unsigned)rand_r(&seed) % 2;
		char text[16];

		if (next[line] > count || (line == 0 && told[0] && told[1]))
			line = !line;
		if (next[line] > count)
			break;
		if (!told[line] && next[line] == at_mark) {
			add_notification(&b, mark_channel, "");
			told[line] = true;
		} else if (next[line] < count) {
			snprintf(text, sizeof text, "%u", next[line]++);
			add_notification(&b, "a", text);
		} else {
			next[line]++;
			continue;
		}
		says(line, &b, 1 + (unsigned)rand_r(&seed) % 40);
		if (told[0] && told[1])
			next[0] = count + 1;
	}
	got(0, want);
	ck_assert_str_eq(keeper_state_name(pool), "ready");
	ck_assert_uint_eq(heard[0].losses, 0);
	ck_assert_ptr_nonnull(strstr(sent(1), "LISTEN b"));
	buf_clear(&b);
}

START_TEST(another_takes_over)
{
	take_over((unsigned)_i + 1);
}
END_TEST

/* The next connection is lost behind the mark, or another one is to take over instead: what came
 * from the one in use behind the mark is given all the same. */
START_TEST(stays_behind_the_mark)
{
	struct keeper *k = pool->keeper;
	char mark[64];
	struct buf b;

	buf_init(&b, 1024 * 1024);
	begin_moving();
	both_listen();
	snprintf(mark, sizeof mark, "%s", k->mark);
	add_notification(&b, "a", "before");
	add_notification(&b, mark, "");
	add_notification(&b, "a", "behind");
	add_notification(&b, "a", "and more");
	says(0, &b, 1000);
	got(0, "before ");
	sent(0);
	if (_i == 0) {
		close(backend[1]);
		backend[1] = -1;
		keeper_readable(k->line[1].srv);
		ck_assert_str_eq(keeper_state_name(pool), "ready");
	} else {
		keeper_move(pool);
		ck_assert_str_eq(keeper_state_name(pool), "moving");
	}
	got(0, "behind and more ");
	ck_assert_ptr_nonnull(strstr(sent(0), mark)); /* UNLISTEN */
	add_notification(&b, "a", "later");
	says(0, &b, 1000);
	got(0, "later ");
	ck_assert_uint_eq(heard[0].losses, 0);
}
END_TEST

/* More channels than one text has room for. */
START_TEST(many_channels)
{
	struct keeper *k = pool->keeper;
	unsigned count = 5000, at = 0;
	char name[KEEPER_NAME + 1];
	struct list_node *n;

	for (unsigned i = 0; i < count; i++) {
		memset(name, '"', KEEPER_NAME);
		name[KEEPER_NAME] = 0;
		memcpy(name + 20, "0000", 4);
		snprintf(name + 20, 5, "%04u", i);
		name[24] = '"';
		listener_want(k, &heard[0].listener, name, sizeof name, false);
	}
	begin_moving();
	ck_assert_uint_gt(k->line[1].requests.count, 5);
	LIST_EACH (n, &k->line[1].requests) {
		const char *sql = LIST_OBJ(n, struct request, node)->sql;

		ck_assert_uint_lt(strlen(sql), 128 * 1024);
		ck_assert_int_eq(strncmp(sql, "LISTEN \"", 8), 0);
		for (; (sql = strstr(sql, "LISTEN ")) != NULL; sql++)
			at++;
	}
	ck_assert_uint_eq(at, count + 2); /* "a" and the mark */
}
END_TEST

/* Who gives up before it is sent leaves nothing behind. */
START_TEST(given_up_unsent)
{
	struct keeper *k = pool->keeper;

	keeper_lose(k, "test");
	ask_for(0, "LISTEN a", "a", false);
	ck_assert_str_eq(keeper_state_name(pool), "opening");
	ask_for(1, "LISTEN b", "b", false);
	listener_clear(&heard[0].listener);
	ck_assert_uint_eq(k->waiting.count, 1);
	ck_assert_uint_eq(k->channels.count, 1);
	ck_assert_ptr_null(heard[0].listener.keeper);
}
END_TEST

/* None is opened while the pool is paused, handed over, or shortly after a failure. */
START_TEST(opened_later)
{
	struct keeper *k = pool->keeper;
	struct err e;

	keeper_lose(k, "test");
	gate_pause(pool);
	ask_for(0, "LISTEN a", "a", false);
	ck_assert_str_eq(keeper_state_name(pool), "closed");
	keepers_sweep(pool, keeper_now_us(k));
	ck_assert_str_eq(keeper_state_name(pool), "closed");
	gate_resume(pool);
	ck_assert_str_eq(keeper_state_name(pool), "opening");
	gate_pause(pool);
	ck_assert_str_eq(keeper_state_name(pool), "closed");
	gate_resume(pool);
	keeper_hold(pool);
	ck_assert(keeper_can_move_now(pool));
	ck_assert_uint_eq(heard[0].failures, 0);
	keeper_release(pool);
	ck_assert_str_eq(keeper_state_name(pool), "opening");
	err_make(&e, ERR_SERVER_UNREACHABLE, "orders", "test");
	for (int i = 0; i < 3; i++) {
		struct server *server = k->line[0].srv;

		server->keeper = NULL;
		server_end_keeper(server, "test");
		server->keeper = k;
		line_failed(server, &e);
		ck_assert_uint_eq(heard[0].failures, 1 + (unsigned)i);
		ask_for(0, "LISTEN a", "a", false);
		ck_assert_str_eq(keeper_state_name(pool), "closed");
		ck_assert(keeper_is_busy(pool));
		ck_assert_int_eq(k->retry_us - keeper_now_us(k), (100 << i) * UNIT_MS);
		k->retry_us = 0;
		keepers_sweep(pool, keeper_now_us(k));
		ck_assert_str_eq(keeper_state_name(pool), "opening");
	}
	err_clear(&e);
	/* wait_timeout, without the pause. */
	gate_pause(pool);
	k->retry_us = keeper_now_us(k) + 60 * UNIT_S;
	keepers_sweep(pool, keeper_now_us(k) + 15 * UNIT_S);
	gate_resume(pool);
	ask_for(1, "LISTEN b", "b", false);
	keepers_sweep(pool, keeper_now_us(k) + 9 * UNIT_S);
	ck_assert_uint_eq(heard[1].failures, 0);
	keepers_sweep(pool, keeper_now_us(k) + 11 * UNIT_S);
	ck_assert_uint_eq(heard[0].failures, 4);
	ck_assert_uint_eq(heard[1].failures, 1);
	ck_assert_ptr_null(heard[1].listener.keeper);
	ck_assert(!keeper_is_busy(pool));
}
END_TEST

/* A statement that somebody has cancelled is sent again. */
START_TEST(cancelled)
{
	struct buf b;

	buf_init(&b, 1024 * 1024);
	ask_for(0, "LISTEN a", "a", false);
	sent(0);
	for (int i = 0; i < 2; i++) {
		msg_report(&b, 'E', "ERROR", "57014", "canceling statement", NULL, NULL);
		msg_ready(&b, 'I');
		says(0, &b, 1000);
		ck_assert_str_eq(sent(0), "LISTEN a");
	}
	add_done(&b, "LISTEN");
	says(0, &b, 1000);
	ck_assert_uint_eq(heard[0].answers, 1);
	keeper_sync(&heard[0].listener);
	msg_report(&b, 'E', "ERROR", "57014", "canceling statement", NULL, NULL);
	msg_ready(&b, 'I');
	says(0, &b, 1000);
	ck_assert_uint_eq(heard[0].syncs, 0);
	msg_ready(&b, 'I');
	says(0, &b, 1000);
	ck_assert_uint_eq(heard[0].syncs, 1);
	ck_assert_uint_eq(heard[0].losses + heard[0].refusals, 0);
}
END_TEST

/* A channel that is tried is kept when that is granted, and not before. */
START_TEST(tried_then_asked)
{
	struct buf b;

	buf_init(&b, 1024 * 1024);
	ask_for(0, "LISTEN a", "a", true);
	add_done(&b, "LISTEN");
	says(0, &b, 1000);
	ask_for(0, "LISTEN a", "a", false);
	ck_assert_uint_eq(heard[0].listener.listens, 0);
	msg_report(&b, 'E', "ERROR", "42601", "syntax error", NULL, NULL);
	msg_ready(&b, 'I');
	says(0, &b, 1000);
	ck_assert_int_eq(listener_has(&heard[0].listener, "a", 1), LISTENER_TRIED);
	ask_for(0, "LISTEN a", "a", true);
	add_done(&b, "LISTEN");
	says(0, &b, 1000);
	ck_assert_int_eq(listener_has(&heard[0].listener, "a", 1), LISTENER_TRIED);
	ask_for(0, "LISTEN a", "a", false);
	add_done(&b, "LISTEN");
	says(0, &b, 1000);
	ck_assert_int_eq(listener_has(&heard[0].listener, "a", 1), LISTENER_LISTENS);
	ck_assert_uint_eq(heard[0].listener.listens, 1);
}
END_TEST

/* A server that reads nothing: walks over listeners go on, and the sweep closes it. */
START_TEST(does_not_read)
{
	struct keeper *k = pool->keeper;
	size_t bytes = SERVER_KEEPER_QUEUE_MAX + 8 * 1024 * 1024;
	char *sql = malloc(bytes + 1), name[16];
	struct buf b;

	buf_init(&b, 1024 * 1024);
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof name, "c%d", i);
		ask_for(0, "LISTEN", name, false);
		add_done(&b, "LISTEN");
		says(0, &b, 1000);
	}
	memset(sql, ' ', bytes);
	sql[bytes] = 0;
	ask_for(1, sql, "b", false);
	free(sql);
	ck_assert(k->line[0].broken);
	listener_drop_all(&heard[0].listener, false);
	ck_assert_ptr_nonnull(k->line[0].srv);
	ck_assert_uint_eq(heard[1].failures, 0);
	keepers_sweep(pool, keeper_now_us(k));
	ck_assert_str_eq(keeper_state_name(pool), "closed");
	ck_assert_uint_eq(heard[1].failures, 1);
	ck_assert_str_eq(heard[1].last[0] ? "told" : "", "told");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("keeper");
	TCase *t = tcase_create("keeper");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, from_its_answer_on, 0, sizeof pieces / sizeof *pieces);
	tcase_add_test(t, refused_and_given_up);
	tcase_add_test(t, tried_and_kept);
	tcase_add_test(t, conversions);
	tcase_add_test(t, syncs);
	tcase_add_test(t, lost_connection);
	tcase_add_loop_test(t, another_takes_over, 0, 60);
	tcase_add_loop_test(t, stays_behind_the_mark, 0, 2);
	tcase_add_test(t, many_channels);
	tcase_add_test(t, given_up_unsent);
	tcase_add_test(t, opened_later);
	tcase_add_test(t, cancelled);
	tcase_add_test(t, tried_then_asked);
	tcase_add_test(t, does_not_read);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
