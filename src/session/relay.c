/* relay: a lease's life from the session's side, and what comes from its server. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "session/daemon.h"
#include "session/session.h"
#include "wire/msg.h"

static struct session *
session_of(struct lease *l)
{
	return LIST_OBJ(l, struct session, lease);
}

/* ---- startup parameters ---- */

static void
begin_setup(struct session *s)
{
	struct server *srv = s->lease.srv;
	struct buf out;

	s->pinned |= SESSION_PIN_STARTUP;
	session_set_state(s, SESSION_SETUP);
	buf_init(&out, 256 * 1024);
	msg_query(&out, s->setup);
	progress_sent(&srv->progress, 'Q');
	server_write(srv, buf_data(&out), out.len);
	buf_clear(&out);
}

static void
setup_answered(struct session *s)
{
	struct server *srv = s->lease.srv;
	struct err e;

	if (!progress_at_rest(&srv->progress))
		return;
	if (srv->progress.error[0]) {
		err_make(&e, ERR_SETUP_FAILED, s->pool->conf->name, srv->progress.error);
		session_fail(s, &e);
		err_clear(&e);
		return;
	}
	free(s->setup);
	s->setup = NULL;
	session_set_state(s, SESSION_ACTIVE);
	stream_resume(&s->stream);
	request_resume(s);
}

void
relay_begin(struct session *s)
{
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

/* The last answer of the transaction has gone to the client: the server is free for the next. */
static void
end_lease(struct session *s)
{
	bool discard = s->discard;

	s->discard = false;
	session_set_state(s, SESSION_IDLE);
	lease_return(&s->lease, discard);
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
		setup_answered(s);
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
	if (progress_at_rest(p) && p->status == 'I' && !s->pinned) {
		end_lease(s);
	} else if (stream_queued(&s->stream) > 0) {
		stream_pause(&srv->stream);
	}
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
