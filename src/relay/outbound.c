#include "relay/outbound.h"

#include <string.h>

#include "executor/executor.h"
#include "executor/expire.h"
#include "relay/borrow.h"
#include "relay/cancel.h"
#include "relay/limits.h"
#include "relay/login.h"
#include "relay/saving.h"
#include "relay/setup.h"
#include "session/context.h"
#include "session/deallocate.h"
#include "session/dismiss.h"
#include "session/end.h"
#include "session/inquiry.h"
#include "session/reply.h"
#include "session/resets.h"
#include "session/reword.h"
#include "session/script.h"
#include "session/session.h"
#include "session/site.h"
#include "session/slow.h"
#include "session/telling.h"
#include "session/waiting.h"
#include "wire/msg.h"

static struct session *
session_of(struct lease *l)
{
	return l->owner;
}

/* ---- what the server has answered to us ---- */

/* The server that was to be given the session's parameters is gone, or was closed as it did not
 * take them. Nothing of the client's has been executed: a new one is tried. */
static void
try_fresh(struct session *s)
{
	struct err e;
	int r;

	s->context.wants_fresh = true;
	session_set_state(s, SESSION_IDLE);
	r = borrow_ask(s, &e);
	if (r == -E_AGAIN && !executor_may_wait(s, &e))
		r = -E_STATE;
	if (r == -E_AGAIN) {
		session_set_state(s, SESSION_WAITING);
		session_begins_to_wait(s);
		return;
	}
	if (r < 0) {
		s->context.wants_fresh = false;
		waiting_refused(s, &e);
		err_clear(&e);
		return;
	}
	session_wake(s);
}

static void
set_up(struct session *s)
{
	struct err e;

	switch (setup_answered(s, &e)) {
	case SETUP_TAKEN:
		stream_resume(&s->stream);
		session_wake(s);
		return;
	case SETUP_TRY_FRESH:
		try_fresh(s);
		return;
	case SETUP_REFUSED:
		waiting_refused(s, &e);
		err_clear(&e);
		return;
	case SETUP_KNOWN:
		login_welcome(s);
		return;
	case SETUP_LOGIN_AGAIN:
		login_again(s);
		return;
	case SETUP_WAITS:
		return;
	}
}

/* The server is the next one's. */
static void
give_back(struct session *s)
{
	bool discard = hold_verdict(s->hold, false) == HOLD_DISCARD;

	session_set_state(s, SESSION_IDLE);
	lease_return(&s->hold->lease, discard);
	dismiss_due(s);
}

static void go_on(struct session *);

/* What the session has set is known. */
static void
saved(struct session *s)
{
	if (hold_verdict(s->hold, false) != HOLD_KEEP)
		give_back(s);
	stream_resume(&s->stream);
	session_wake(s);
}

/* Of a question of ours. */
static void
answered(struct session *s)
{
	bool ended = inquiry_readable(s);

	if (session_in_setup(s) && inquiry_is_too_long(s)) {
		session_fail_setup(s, "its answer is too long");
		return;
	}
	if (!ended)
		return;
	if (session_in_setup(s)) {
		set_up(s);
	} else if (!s->context.resetting) {
		if (saving_answered(s))
			saved(s);
	} else if (saving_reset_answered(s)) {
		stream_resume(&s->stream);
		go_on(s);
	}
}

/* ---- what the pool tells ---- */

static void
granted(struct lease *l)
{
	struct session *s = session_of(l);

	waits_end(&s->site->waits, s->id);
	if (s->state == SESSION_SCOPE)
		executor_granted(s, l);
	else
		session_wake(s);
}

static void
failed(struct lease *l, const struct err *e)
{
	struct session *s = session_of(l);

	waits_end(&s->site->waits, s->id);
	if (s->state == SESSION_LOGIN)
		login_failed(s, e);
	else if (s->state == SESSION_SCOPE)
		executor_failed(s, l, e);
	else
		waiting_refused(s, e);
}

/* The server is at rest outside a transaction, and all answers have gone to the client. Whatever is
 * left of this session in the server decides. */
static void
end_lease(struct session *s)
{
	if (s->slow)
		slow_end(s, "success", NULL);
	if (s->hold->discard_all_sent) {
		s->hold->discard_all_sent = false;
		context_discarded(s);
	}
	switch (hold_verdict(s->hold, false)) {
	case HOLD_KEEP:
		return;
	case HOLD_ASK:
		saving_begin(s);
		return;
	default:
		give_back(s);
	}
}

/* Queries of the client that a failed message of ours made the server skip: each is owed a
 * ReadyForQuery. */
static void
rescue(struct server *srv)
{
	struct progress *p = &srv->progress;
	struct buf out;

	buf_init(&out, 64 * 1024);
	for (uint32_t n = p->rescue; n > 0 && !out.failed; n--) {
		msg_sync(&out);
		progress_sent(p, 'S');
	}
	p->rescue = 0;
	server_write(srv, buf_data(&out), out.len);
	buf_clear(&out);
}

/* The server has said ReadyForQuery, of which so many were answers to the client. */
static void
count(struct session *s, uint64_t answers, uint64_t rests)
{
	s->activity.queries += answers;
	lease_note_ready(&s->hold->lease, answers, rests);
}

/* In mode statement, a transaction that was begun behind our back. */
static void
refuse_transaction(struct session *s)
{
	struct err e;

	err_make(&e, ERR_STATEMENT_MODE, s->pool->conf->name);
	session_fail(s, &e);
	err_clear(&e);
}

/* Behind its answer the server has said that it ends: how many of these bytes are that. A session
 * that keeps no server has nothing to do with it. */
static size_t
bytes_unasked(const struct session *s, size_t bytes)
{
	const struct progress *p = &s->hold->lease.srv->progress;

	if (p->status != 'I' || s->hold->pinned || (s->stack && scopes_holds(s)))
		return 0;
	return p->unasked < bytes ? p->unasked : bytes;
}

static void
readable(struct lease *l)
{
	struct session *s = session_of(l);
	struct server *srv = l->srv;
	struct progress *p = &srv->progress;
	uint64_t readies = p->readies, completes = p->completes;
	uint64_t answers = p->answers, rests = p->rests;
	struct reword_from from = reword_from(p);
	const uint8_t *data;
	size_t bytes;

	/* What is still to be ended in a session that leaves is nobody's to read. */
	if (l != &s->hold->lease || s->state == SESSION_LEAVING) {
		executor_parked_readable(s, l);
		return;
	}
	if (s->state == SESSION_SCOPE) {
		executor_readable(s);
		return;
	}
	if (s->state != SESSION_ACTIVE) {
		answered(s);
		return;
	}
	if (server_read(srv, &data, &bytes) < 0)
		return;
	if (p->own_failed) {
		/* What the client has sent behind that may have run as if it were another's. */
		server_close(srv, "it refused the parameters of the session; what was asked of it "
				  "may have been done without them");
		return;
	}
	s->end.unheard |= s->stream.broken && bytes > 0;
	if (p->unasked > 0 && bytes > 0)
		bytes -= bytes_unasked(s, bytes);
	if (p->errors != from.errors && s->context.names)
		reword_errors(s, &from, data, bytes);
	else if (bytes > 0)
		reply_send(s, data, bytes);
	if (s->state != SESSION_ACTIVE)
		return;
	s->pool->stats.sent += bytes;
	if (p->readies != readies)
		count(s, p->answers - answers, p->rests - rests);
	if ((p->completes != completes || p->readies != readies) && limits_there(s))
		limits_heard(s);
	cancel_late(s);
	if (p->watch)
		deallocate_answered(s);
	if (p->rescue > 0)
		rescue(srv);
	/* Here, and not when the lease ends: until then a statement of ours may have wiped its
	 * error. */
	if (p->error[0] && progress_at_rest(p))
		s->hold->discard_all_sent = false;
	if (s->stack)
		executor_heard(s);
	if (s->context.resets != RESETS_NONE && progress_at_rest(p) && !script_waiting(s) &&
	    saving_reset_again(s))
		return;
	go_on(s);
}

/* What the server has said is with the client, or was for us. */
static void
go_on(struct session *s)
{
	struct server *srv = s->hold->lease.srv;
	struct progress *p = &srv->progress;

	/* What went ahead of a part of a text has been answered: now comes the part. */
	if (progress_at_rest(p) && p->status == 'I' && !(s->stack && scopes_holds(s)) &&
	    !script_waiting(s)) {
		end_lease(s);
	} else if (p->status != 'I' && s->context.mode == CONF_STATEMENT) {
		refuse_transaction(s);
		return;
	}
	if (s->hold->lease.srv && stream_queued(&s->stream) > 0)
		stream_pause(&srv->stream);
	/* Messages that came while there was too much unanswered, or behind the last one. */
	if (s->stack) {
		expire_settle(s);
		if (s->state != SESSION_ACTIVE && s->state != SESSION_IDLE)
			return;
	}
	if (s->state != SESSION_SAVING && (s->in.len > 0 || script_pending(s)) &&
	    (s->hold->lease.srv == NULL || stream_queued(&s->hold->lease.srv->stream) == 0)) {
		stream_resume(&s->stream);
		session_wake(s);
	}
}

static void
drained(struct lease *l)
{
	struct session *s = session_of(l);

	if (s->state != SESSION_ACTIVE || l != &s->hold->lease)
		return;
	stream_resume(&s->stream);
	session_wake(s);
}

static void
told(struct lease *l, const char *name, const char *value)
{
	struct session *s = session_of(l);

	if (l != &s->hold->lease)
		return;
	if (s->state == SESSION_ACTIVE ||
	    ((s->state == SESSION_SAVING || s->state == SESSION_SCOPE) &&
	     inquiry_passes_parameters(s)))
		telling_heard(s, name, value);
}

static void
own_ended(struct lease *l, struct buf *out)
{
	struct session *s = session_of(l);

	if (l == &s->hold->lease && s->state == SESSION_ACTIVE)
		telling_differences(s, out);
}

static void
cancels_ended(struct lease *l)
{
	struct session *s = session_of(l);

	if (s->state == SESSION_SCOPE)
		session_wake(s);
}

static void
ended(struct lease *l, struct todo *done, bool broken)
{
	struct session *s = session_of(l);

	/* What the cleanup has brought about. */
	if (l == &s->hold->lease && l->state == LEASE_HELD && !session_gone(s))
		telling_send(s);
	executor_ended(s);
}

/* Has PostgreSQL ended the server for a reason that is none of the session's? */
static bool
ends_by_itself(const struct progress *p)
{
	return p->dying ||
	       (p->fatal && (strcmp(p->error, "57P01") == 0 || strcmp(p->error, "57P02") == 0));
}

/* The server was not yet what the session wants it to be, and nothing of the client's has gone
 * there: another one will do. */
static void
set_up_again(struct session *s)
{
	inquiry_forget(s);
	if (!session_was_let_in(s)) {
		login_again(s);
		return;
	}
	session_set_state(s, SESSION_IDLE);
	stream_resume(&s->stream);
	session_wake(s);
}

static void
lost(struct lease *l, const struct server *srv, const char *why)
{
	struct session *s = session_of(l);
	const struct progress *p = &srv->progress;
	struct err e;

	if (session_in_setup(s) && l == &s->hold->lease && ends_by_itself(p)) {
		set_up_again(s);
		return;
	}
	if (s->stack)
		executor_lost(s, l);
	if (s->state == SESSION_SETUP && l == &s->hold->lease && !s->context.wants_fresh) {
		inquiry_forget(s);
		try_fresh(s);
		return;
	}
	/* The client has read the server's own last words, or is in the middle of a message, where
	 * no error can be put. */
	if (s->state == SESSION_ACTIVE && l == &s->hold->lease && !p->own_failed &&
	    (p->fatal || (p->from_have > 0 && !p->from_drop))) {
		if (scopes_open(s)) {
			session_close(s, CLEANUP_CLIENT_REFUSED, "server lost");
			return;
		}
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
	session_describe(l->owner, out, out_size);
}

const struct lease_ops outbound_lease_ops = {
    .granted = granted,
    .failed = failed,
    .readable = readable,
    .drained = drained,
    .lost = lost,
    .describe = describe,
    .told = told,
    .own_ended = own_ended,
    .ended = ended,
    .cancels_ended = cancels_ended,
};
