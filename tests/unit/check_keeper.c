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

#include "loops.h"
#include "pool/keeper.c"

#define LISTENERS 3

static struct loop *the_loop;
static struct pools pools;
static struct conf_pool conf = {.name = "orders", .conninfo = "host=/nowhere", .size = 1};
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
				readable(server);
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
	readable(pool->keeper->line[0].srv);
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
	ask_for(0, "LISTEN a", "a", false);
	add_done(&b, "LISTEN");
	says(0, &b, 1000);
	keeper_set_state(k, KEEPER_MOVING);
	make_line(1);
	logged_in(k->line[1].srv);
	add_done(&b, "SELECT 3");
	says(1, &b, 1000);
	ck_assert_str_eq(k->line[0].srv ? "" : "gone", "");
	snprintf(mark_channel, sizeof mark_channel, "%s", k->mark);
	ck_assert_uint_ne(strlen(mark_channel), 0);
	sent(1);
	ask_for(1, "LISTEN b", "b", false);
	ck_assert_str_eq(strstr(sent(0), "LISTEN b") ? "sent" : "waits", "waits");
	add_done(&b, "LISTEN");
	says(0, &b, 1000);
	add_done(&b, "LISTEN");
	add_done(&b, "NOTIFY"); /* it is sent when both listen */
	says(1, &b, 1000);
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
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
