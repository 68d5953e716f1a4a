/* relay: a lease's life from the session's side, and what comes from its server. */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "session/daemon.h"
#include "session/session.h"
#include "wire/frame.h"
#include "wire/msg.h"

static struct session *
session_of(struct lease *l)
{
	return LIST_OBJ(l, struct session, lease);
}

/* ---- startup parameters ---- */

#define ANSWER_MAX (64 * 1024) /* bytes of the server's answer to them */

static void
begin_setup(struct session *s)
{
	struct server *srv = s->lease.srv;
	struct buf out;

	session_set_state(s, SESSION_SETUP);
	s->discard = true;
	s->answer = mem_alloc(sizeof *s->answer);
	buf_init(s->answer, ANSWER_MAX);
	buf_init(&out, 256 * 1024);
	msg_query(&out, s->setup);
	progress_sent(&srv->progress, 'Q');
	server_write(srv, buf_data(&out), out.len);
	buf_clear(&out);
}

/* Of the answer, the client gets the parameters that have changed: it decodes values by them.
 * Returns the server's words if it refused, or NULL. */
static const char *
read_answer(struct session *s)
{
	const uint8_t *at = buf_data(s->answer);
	size_t left = s->answer->len;
	const char *refused = NULL;
	struct frame f;

	while (frame_read(at, left, &f) == 0 && FRAME_HEADER + f.body <= left) {
		if (f.type == 'S')
			session_send(s, at, FRAME_HEADER + f.body);
		if (f.type == 'E' && refused == NULL)
			refused = msg_report_field(at + FRAME_HEADER, f.body, 'M');
		at += FRAME_HEADER + f.body;
		left -= FRAME_HEADER + f.body;
	}
	return refused;
}

static void
setup_answered(struct session *s, size_t bytes)
{
	struct progress *p = &s->lease.srv->progress;
	const char *refused;
	struct err e;

	buf_add(s->answer, loop_scratch(s->daemon->loop), bytes);
	if (!progress_at_rest(p) && !s->answer->failed)
		return;
	refused = read_answer(s);
	if (p->error[0] || s->answer->failed) {
		err_make(&e, ERR_SETUP_FAILED, s->pool->conf->name,
			 refused ? refused : "its answer is too long");
		session_fail(s, &e);
		err_clear(&e);
		return;
	}
	buf_clear(s->answer);
	free(s->answer);
	s->answer = NULL;
	if (s->state != SESSION_SETUP)
		return;
	session_set_state(s, SESSION_ACTIVE);
	stream_resume(&s->stream);
	request_resume(s);
}

void
relay_begin(struct session *s)
{
	s->parsed = s->bound = s->unpin = s->discard = false;
	if (s->setup) {
		stream_pause(&s->stream);
		begin_setup(s);
		return;
	}
	session_set_state(s, SESSION_ACTIVE);
}

/* ---- what the pool tells ---- */

static void
granted(struct lease *l)
{
	struct session *s = session_of(l);

	if (s->state == SESSION_LOGIN) {
		lease_return(l, false);
		login_welcome(s);
		return;
	}
	relay_begin(s);
	if (s->state != SESSION_ACTIVE)
		return;
	stream_resume(&s->stream);
	request_resume(s);
}

static void
failed(struct lease *l, const struct err *e)
{
	struct session *s = session_of(l);

	if (s->state == SESSION_LOGIN)
		login_failed(s, e);
	else
		request_failed(s, s->in.len ? (char)*buf_data(&s->in) : 'Q', e);
}

/* The server is at rest outside a transaction, and all answers have gone to the client. Whatever is
 * left of this session in the server decides. */
static void
end_lease(struct session *s)
{
	struct err e;

	if (s->unpin) {
		s->unpin = false;
		if (s->lease.srv->progress.error[0] == 0)
			s->pinned = 0;
	}
	/* Prepared in one exchange, to be bound in a later one; unless the error was its own. */
	if (s->parsed && !s->bound && s->lease.srv->progress.error[0] == 0)
		s->pinned |= SESSION_PIN_STATEMENT;
	if (s->pinned)
		return;
	session_set_state(s, SESSION_IDLE);
	lease_return(&s->lease, s->discard);
	if (s->daemon->phase != DAEMON_RUNNING) {
		err_make(&e, ERR_SHUTDOWN);
		session_fail(s, &e);
		err_clear(&e);
	}
}

static void
readable(struct lease *l)
{
	struct session *s = session_of(l);
	struct server *srv = l->srv;
	struct progress *p = &srv->progress;
	uint64_t readies = p->readies;
	int64_t now = loop_now_us(s->daemon->loop);
	ssize_t n = server_read(srv);

	if (n <= 0)
		return;
	if (s->state == SESSION_SETUP) {
		setup_answered(s, (size_t)n);
		return;
	}
	session_send(s, loop_scratch(s->daemon->loop), (size_t)n);
	if (s->state != SESSION_ACTIVE)
		return;
	s->pool->stats.sent += (uint64_t)n;
	if (p->readies != readies) {
		s->queries += p->readies - readies;
		s->pool->stats.queries += p->readies - readies;
		if (p->ready_due == 0)
			s->pool->stats.query_us += now - s->request_us;
	}
	if (progress_at_rest(p) && p->status == 'I')
		end_lease(s);
	if (s->lease.srv && stream_queued(&s->stream) > 0)
		stream_pause(&srv->stream);
	/* Messages that came while there was too much unanswered, or behind the last one. */
	if (s->in.len > 0 && (s->lease.srv == NULL || stream_queued(&s->lease.srv->stream) == 0)) {
		stream_resume(&s->stream);
		request_resume(s);
	}
}

static void
drained(struct lease *l)
{
	struct session *s = session_of(l);

	if (s->state != SESSION_ACTIVE)
		return;
	stream_resume(&s->stream);
	request_resume(s);
}

static void
lost(struct lease *l, const struct server *srv, const char *why)
{
	struct session *s = session_of(l);
	const struct progress *p = &srv->progress;
	struct err e;

	/* The client has read the server's own last words, or is in the middle of a message, where
	 * no error can be put. */
	if (s->state == SESSION_ACTIVE && (p->fatal || p->from_have > 0)) {
		session_set_state(s, SESSION_CLOSING);
		if (stream_queued(&s->stream) == 0)
			session_close(s, CLEANUP_CLIENT_REFUSED, "server lost");
		else
			stream_resume(&s->stream);
		return;
	}
	err_make(&e, ERR_SERVER_LOST, s->pool->conf->name, why);
	session_fail(s, &e);
	err_clear(&e);
}

static void
describe(const struct lease *l, char *out, size_t out_size)
{
	session_describe(LIST_OBJ(l, struct session, lease), out, out_size);
}

const struct lease_ops relay_lease_ops = {
    .granted = granted,
    .failed = failed,
    .readable = readable,
    .drained = drained,
    .lost = lost,
    .describe = describe,
};
