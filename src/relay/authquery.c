#include "relay/authquery.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "loop/stream.h"
#include "loop/timer.h"
#include "session/passwords.h"
#include "session/session.h"
#include "session/site.h"
#include "wire/frame.h"
#include "wire/msg.h"
#include "wire/reader.h"

#define ANSWER_MAX   (64 * 1024) /* bytes of an answer */
#define QUESTION_MAX (128 * 1024)
#define ROLE         "pgwithd" /* as whom it comes in: the pool has role = fixed, and does not use it */

struct authquery {
	struct site *site;
	struct list waiting; /* questions that are not under way yet */
	struct list under_way;
};

struct question {
	struct list_node node;
	struct authquery *all;
	char *role;
	uint64_t number;      /* for passwords_answer() */
	struct stream stream; /* fd -1: not under way */
	struct timer late;
	struct buf in;
	char *secret;     /* NULL until a row has come, or its value is NULL */
	unsigned readies; /* ReadyForQuery: of the login, of the statement */
	bool complete;    /* the statement has ended well */
	bool over;        /* it has been answered; freed at the end of the turn */
	char *why;        /* what went wrong */
};

static void begin_next(struct authquery *);

static void
wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

static void
free_question(void *arg)
{
	struct question *q = arg;

	wipe(q->secret);
	if (q->in.size > 0)
		explicit_bzero(q->in.mem, q->in.size);
	buf_clear(&q->in);
	free(q->role);
	free(q->why);
	free(q);
}

static void
end(struct question *q)
{
	struct authquery *all = q->all;

	if (q->over)
		return;
	q->over = true;
	timer_stop(&q->late);
	stream_close(&q->stream);
	list_remove(&all->under_way, &q->node);
	if (!q->complete && q->why == NULL)
		q->why = mem_strdup("the connection was closed before the answer");
	passwords_answer(all->site->passwords, q->number, q->secret, q->why);
	loop_defer(all->site->loop, free_question, q);
	begin_next(all);
}

static void
fail(struct question *q, const char *why)
{
	if (q->why == NULL)
		q->why =
		    mem_printf("auth_query on pool %s: %s", q->all->site->conf->auth_pool, why);
}

/* ---- the answer ---- */

/* A row: its last column counts. PgBouncer's query has the role's name before that. */
static void
take_row(struct question *q, const uint8_t *body, size_t bytes)
{
	struct reader r;
	unsigned columns;

	if (q->secret) {
		fail(q, "it has given more than one row");
		return;
	}
	reader_init(&r, body, bytes);
	columns = reader_u16(&r);
	for (unsigned i = 0; i < columns && !r.failed; i++) {
		uint32_t length = reader_u32(&r);
		const uint8_t *value = length == UINT32_MAX ? NULL : reader_bytes(&r, length);

		if (i + 1 == columns && value)
			q->secret = mem_strndup((const char *)value, length);
	}
	if (r.failed || columns == 0)
		fail(q, "it has given a row without columns");
}

static void
take_message(struct question *q, char type, const uint8_t *body, size_t bytes)
{
	const char *text;

	switch (type) {
	case 'D':
		take_row(q, body, bytes);
		return;
	case 'E':
		text = msg_report_field(body, bytes, 'M');
		fail(q, text ? text : "an error without words");
		return;
	case 'C':
		q->complete = true;
		return;
	case 'Z':
		q->readies++;
		return;
	default: /* of the login */
		return;
	}
}

static void
say_goodbye(struct question *q)
{
	struct buf out;

	buf_init(&out, 64);
	msg_terminate(&out);
	stream_write(&q->stream, buf_data(&out), out.len);
	stream_flush(&q->stream);
	buf_clear(&out);
}

static void
on_readable(struct stream *st, void *arg)
{
	struct question *q = arg;
	uint8_t *room = buf_room(&q->in, 4096);
	ssize_t n;
	struct frame f;

	if (room == NULL) {
		fail(q, "its answer is too long");
		end(q);
		return;
	}
	n = stream_read(st, room, 4096);
	if (n == -E_AGAIN)
		return;
	if (n <= 0) {
		end(q);
		return;
	}
	buf_grew(&q->in, (size_t)n);
	while (frame_read(buf_data(&q->in), q->in.len, &f) == 0 &&
	       q->in.len >= FRAME_HEADER + f.body) {
		take_message(q, f.type, buf_data(&q->in) + FRAME_HEADER, f.body);
		explicit_bzero(buf_data(&q->in), FRAME_HEADER + f.body);
		buf_drop(&q->in, FRAME_HEADER + f.body);
	}
	if (q->readies == 2) {
		say_goodbye(q);
		end(q);
	}
}

static void
on_drained(struct stream *st, void *arg)
{
}

static const struct stream_ops ops = {on_readable, on_drained, NULL};

static void
on_late(void *arg)
{
	struct question *q = arg;

	fail(q, "no answer within login_timeout");
	end(q);
}

/* ---- the question ---- */

/* All of it at once: the login and the statement. A Terminate waits for the answer: behind it,
 * nobody would notice that we hang up. */
static void
add_question(const struct question *q, struct buf *out)
{
	const struct conf *conf = q->all->site->conf;
	const char *const login[] = {
	    "user", ROLE, "database", conf->auth_pool, "application_name", "pgwithd auth_query",
	    NULL};
	const char *const values[] = {q->role};

	msg_startup(out, login);
	msg_parse(out, "", conf->auth_query, NULL, 0);
	msg_bind(out, "", "", values, 1);
	msg_execute(out, "");
	msg_sync(out);
}

/* Returns our end of a pair of sockets, of which a new session has the other; or -1 with errno. */
static int
open_session(struct site *site)
{
	const struct ucred self = {.pid = getpid(), .uid = site->self, .gid = getegid()};
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		return -1;
	session_new(site, fds[1], &self)->peer.marks |= PEER_INSIDE;
	return fds[0];
}

static void
begin(struct question *q)
{
	struct site *site = q->all->site;
	int fd = open_session(site);
	struct buf out;

	list_append(&q->all->under_way, &q->node);
	timer_init(&q->late, site->loop, on_late, q);
	timer_start(&q->late, site->conf->login_timeout_us);
	if (fd < 0) {
		fail(q, strerror(errno));
		q->stream.fd = -1;
		timer_start(&q->late, 0);
		return;
	}
	stream_init(&q->stream, site->loop, fd, QUESTION_MAX, &ops, q);
	buf_init(&out, QUESTION_MAX);
	add_question(q, &out);
	if (out.failed || stream_write(&q->stream, buf_data(&out), out.len) < 0) {
		fail(q, "the question is too long");
		timer_start(&q->late, 0);
	}
	buf_clear(&out);
}

static void
begin_next(struct authquery *all)
{
	struct list_node *n;

	while (all->under_way.count < AUTHQUERY_MAX && (n = list_first(&all->waiting)) != NULL) {
		list_remove(&all->waiting, n);
		begin(LIST_OBJ(n, struct question, node));
	}
}

void
authquery_ask(void *arg, const char *role, uint64_t number)
{
	struct authquery *all = arg;
	struct question *q = mem_calloc(1, sizeof *q);

	q->all = all;
	q->role = mem_strdup(role);
	q->number = number;
	q->stream.fd = -1;
	buf_init(&q->in, ANSWER_MAX);
	list_append(&all->waiting, &q->node);
	begin_next(all);
}

struct authquery *
authquery_new(struct site *site)
{
	struct authquery *all = mem_calloc(1, sizeof *all);

	all->site = site;
	list_init(&all->waiting);
	list_init(&all->under_way);
	return all;
}

void
authquery_free(struct authquery *all)
{
	struct list *const lists[] = {&all->waiting, &all->under_way};

	for (unsigned i = 0; i < sizeof lists / sizeof *lists; i++) {
		struct list_node *n;

		while ((n = list_first(lists[i])) != NULL) {
			struct question *q = LIST_OBJ(n, struct question, node);

			list_remove(lists[i], n);
			timer_stop(&q->late);
			stream_close(&q->stream);
			free_question(q);
		}
	}
	free(all);
}
