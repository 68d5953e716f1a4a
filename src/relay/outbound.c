#include "relay/outbound.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "executor/executor.h"
#include "executor/expire.h"
#include "relay/cancel.h"
#include "relay/inbound.h"
#include "relay/limits.h"
#include "relay/login.h"
#include "session/context.h"
#include "session/deallocate.h"
#include "session/dismiss.h"
#include "session/end.h"
#include "session/params.h"
#include "session/reply.h"
#include "session/resets.h"
#include "session/reword.h"
#include "session/script.h"
#include "session/sequences.h"
#include "session/session.h"
#include "session/slow.h"
#include "session/telling.h"
#include "wire/frame.h"
#include "wire/msg.h"

static struct session *
session_of(struct lease *l)
{
	return l->owner;
}

/* ---- asking the server for ourselves ---- */

#define ANSWER_MAX (1024 * 1024) /* bytes of what it says */

/* The client waits meanwhile, and gets nothing of the answer. */
static void
ask(struct session *s, enum session_state state, const char *sql)
{
	struct server *srv = s->hold->lease.srv;
	struct buf out;

	session_set_state(s, state);
	stream_pause(&s->stream);
	s->answer = mem_alloc(sizeof *s->answer);
	buf_init(s->answer, ANSWER_MAX);
	buf_init(&out, 2 * ANSWER_MAX);
	progress_forget_error(&srv->progress);
	/* Any Query destroys the server's unnamed statement. The session's may be used again. */
	s->context.unnamed.here = false;
	msg_query(&out, sql);
	progress_sent(&srv->progress, 'Q');
	server_write(srv, buf_data(&out), out.len);
	buf_clear(&out);
}

static void
forget_answer(struct session *s)
{
	buf_clear(s->answer);
	free(s->answer);
	s->answer = NULL;
}

static void
end_by(struct session *s, const char *why)
{
	struct err e;

	err_make(&e, ERR_SETUP_FAILED, s->pool->conf->name, why);
	session_fail(s, &e);
	err_clear(&e);
}

/* ---- startup parameters ---- */

#define ASKS_MAX 20 /* one question: a statement_timeout of a session's can end many */

static void give(struct session *s);

/* What came between is the client's. What the session's parameters make of the server's, it is told
 * otherwise. */
static void
pass_on(struct session *s)
{
	const uint8_t *at = buf_data(s->answer);
	size_t left = s->answer->len;
	struct frame f;

	while (frame_read(at, left, &f) == 0 && FRAME_HEADER + f.body <= left) {
		if (f.type == 'A' || (f.type == 'S' && s->state != SESSION_SETUP))
			reply_send(s, at, FRAME_HEADER + f.body);
		at += FRAME_HEADER + f.body;
		left -= FRAME_HEADER + f.body;
	}
}

/* The server has refused the session's parameters: its words, and SQLSTATE. */
static void
make_refusal(const struct session *s, const uint8_t *report, size_t bytes, struct err *e)
{
	const char *text = msg_report_field(report, bytes, 'M');

	err_make(e, s->let_in && !s->context.unproven ? ERR_SETTINGS_REFUSED : ERR_STARTUP_REFUSED,
		 text ? text : "the server gives no reason");
	snprintf(e->sqlstate, sizeof e->sqlstate, "%s", s->hold->lease.srv->progress.error);
	if ((text = msg_report_field(report, bytes, 'D')) != NULL)
		err_detail(e, "%s", text);
	else if (s->let_in)
		err_detail(e,
			   "The server of pool \"%s\" was to get the parameters of this session.",
			   s->pool->conf->name);
	if ((text = msg_report_field(report, bytes, 'H')) != NULL)
		err_hint(e, "%s", text);
	else if (s->let_in)
		err_hint(e, "RESET ALL, or SET anew what is refused.");
}

static void
end_refused(struct session *s, const uint8_t *report, size_t bytes)
{
	struct err e;

	make_refusal(s, report, bytes, &e);
	session_fail(s, &e);
	err_clear(&e);
}

int
outbound_enter(struct session *s, struct err *e)
{
	return s->context.wants_fresh ? lease_enter_fresh(&s->hold->lease, s->pool, e)
				      : lease_enter(&s->hold->lease, s->pool, e);
}

/* The message that the session needs a server for is answered by the error. */
static void
refuse_first(struct session *s, const struct err *e)
{
	inbound_failed(s, s->in.len && !script_pending(s) ? (char)*buf_data(&s->in) : 'Q', e);
}

/* The server that was to be given the session's parameters is gone, or was closed as it did not
 * take them. Nothing of the client's has been executed: a new one is tried. */
static void
try_fresh(struct session *s)
{
	struct err e;
	int r;

	s->context.wants_fresh = true;
	session_set_state(s, SESSION_IDLE);
	r = outbound_enter(s, &e);
	if (r == -E_AGAIN && !executor_may_wait(s, &e))
		r = -E_STATE;
	if (r == -E_AGAIN) {
		session_set_state(s, SESSION_WAITING);
		session_begins_to_wait(s);
		return;
	}
	if (r < 0) {
		s->context.wants_fresh = false;
		refuse_first(s, &e);
		err_clear(&e);
		return;
	}
	outbound_begin(s);
	if (s->state != SESSION_ACTIVE)
		return;
	stream_resume(&s->stream);
	inbound_resume(s);
}

/* The server has refused what the session has set. What cannot be undone in a backend (temporary
 * tables fix temp_buffers), or what has gone since (a role that the session before had), another
 * one may not have; if a new one refuses it too, the client is told. */
static void
setup_refused(struct session *s, const uint8_t *report, size_t bytes)
{
	struct err e;

	make_refusal(s, report, bytes, &e);
	telling_unlearn(s);
	pass_on(s);
	forget_answer(s);
	if (s->state != SESSION_SETUP) {
		err_clear(&e);
		return;
	}
	if (context_may_be_taken(s)) {
		lease_close(&s->hold->lease, "it refused the parameters of a session");
		try_fresh(s);
	} else if (s->context.unproven) {
		/* PostgreSQL would not have let it in. */
		session_fail(s, &e);
	} else {
		s->context.wants_fresh = s->context.probes = false;
		s->context.refused = true;
		session_set_state(s, SESSION_IDLE);
		lease_return(&s->hold->lease, true);
		refuse_first(s, &e);
	}
	err_clear(&e);
}

/* The answer's first ErrorResponse, or NULL. */
static const uint8_t *
find_refusal(const struct buf *answer, size_t *bytes)
{
	const uint8_t *at = buf_data(answer);
	size_t left = answer->len;
	struct frame f;

	while (frame_read(at, left, &f) == 0 && FRAME_HEADER + f.body <= left) {
		if (f.type == 'E') {
			*bytes = f.body;
			return at + FRAME_HEADER;
		}
		at += FRAME_HEADER + f.body;
		left -= FRAME_HEADER + f.body;
	}
	return NULL;
}

static void
setup_answered(struct session *s)
{
	size_t refused_bytes = 0;
	const uint8_t *refused = find_refusal(s->answer, &refused_bytes);

	if (strcmp(s->hold->lease.srv->progress.error, "57014") == 0 && s->asks < ASKS_MAX) {
		pass_on(s);
		forget_answer(s);
		if (s->state == SESSION_SETUP) {
			session_set_state(s, SESSION_ACTIVE);
			give(s);
		}
		return;
	}
	if (refused && s->hold->lease.srv->progress.error[0] && s->let_in) {
		setup_refused(s, refused, refused_bytes);
		return;
	}
	/* What cannot be undone in a backend: see setup_refused(). */
	if (refused && s->hold->lease.srv->leases > 1 && context_may_be_taken(s)) {
		forget_answer(s);
		s->context.wants_fresh = true;
		lease_close(&s->hold->lease, "it refused the startup parameters of a session");
		login_again(s);
		return;
	}
	if (refused && s->hold->lease.srv->progress.error[0]) {
		end_refused(s, refused, refused_bytes);
		return;
	}
	if (s->hold->lease.srv->progress.error[0]) {
		end_by(s, "it gives no reason");
		return;
	}
	if (s->let_in) {
		pass_on(s);
		forget_answer(s);
		if (s->state != SESSION_SETUP)
			return;
		context_taken(s);
		if (sequences_due(s))
			sequences_gone(s);
		if (s->context.unproven)
			telling_learn(s);
		session_set_state(s, SESSION_ACTIVE);
		telling_send(s);
		if (s->state != SESSION_ACTIVE)
			return;
		stream_resume(&s->stream);
		inbound_resume(s);
		cancel_late(s);
		return;
	}
	if (s->hold->lease.srv->retiring) {
		forget_answer(s);
		context_applied(s);
		lease_return(&s->hold->lease, false);
		login_again(s);
		return;
	}
	forget_answer(s);
	context_taken(s);
	telling_learn(s);
	lease_return(&s->hold->lease, false);
	login_welcome(s);
}

/* Two values, as one of them may be what the server has. */
static const char temp_buffers_probe[] =
    "; SELECT pg_catalog.set_config('temp_buffers', '111', true), "
    "pg_catalog.set_config('temp_buffers', '112', true)";

static void
give(struct session *s)
{
	struct buf sql;

	s->asks++;
	buf_init(&sql, ANSWER_MAX);
	if (s->let_in && sequences_due(s))
		buf_add_fmt(&sql, "DISCARD SEQUENCES; ");
	if (s->context.repeated_bytes > 0)
		params_check(s->context.repeated, s->context.repeated_bytes, s->pool, &sql);
	context_change(s, &sql);
	if (s->context.probes)
		buf_add_fmt(&sql, "%s", temp_buffers_probe);
	buf_add_u8(&sql, 0);
	ask(s, SESSION_SETUP, (char *)buf_data(&sql));
	buf_clear(&sql);
}

void
outbound_setup(struct session *s)
{
	s->asks = 0;
	give(s);
}

void
outbound_setup_not(struct session *s)
{
	forget_answer(s);
	lease_end(&s->hold->lease, CLEANUP_TIME_LIMIT);
}

void
outbound_begin(struct session *s)
{
	session_begin_lease(s);
	if (slow_wanted(s->pool))
		slow_watch(s);
	if (s->slow)
		slow_begin(s);
	/* What a server has taken once, it will take again: that goes ahead of the first message.
	 * Other things are waited for, so that another server can be tried; the parameters of a
	 * login that had no server may be wrong. */
	if (s->context.refused || s->context.probes || s->context.unproven ||
	    context_is_doubtful(s)) {
		outbound_setup(s);
		return;
	}
	s->context.wants_fresh = false;
	session_set_state(s, SESSION_ACTIVE);
	context_apply(s, batch_for(s));
	sequences_begin(s, batch_for(s));
	telling_send(s);
}

/* ---- parameters that were set ---- */

static void give_back(struct session *s);

static void
save(struct session *s)
{
	struct buf sql;

	buf_init(&sql, ANSWER_MAX);
	context_ask(s, s->asks++ > 0, &sql);
	ask(s, SESSION_SAVING, (char *)buf_data(&sql));
	buf_clear(&sql);
}

static void
saved(struct session *s)
{
	const char *error = s->hold->lease.srv->progress.error;
	bool good = error[0] == 0 && context_take(s, s->answer);

	pass_on(s);
	forget_answer(s);
	if (s->state != SESSION_SAVING)
		return;
	/* A late cancel, or the session has given itself a short statement_timeout. */
	if (strcmp(error, "57014") == 0 && s->asks < ASKS_MAX) {
		session_set_state(s, SESSION_ACTIVE);
		save(s);
		return;
	}
	if (!good && !s->hold->pins_doubtful && !s->context.pin) {
		end_by(s, "what the session has set cannot be kept, and the pool has pin = off");
		return;
	}
	if (!good)
		context_untold(s, error);
	s->hold->changed = s->hold->pins_doubtful = false;
	session_set_state(s, SESSION_ACTIVE);
	if (hold_verdict(s->hold, false) != HOLD_KEEP)
		give_back(s);
	stream_resume(&s->stream);
	inbound_resume(s);
}

/* The startup parameters that the client has reset are set again, where it keeps the server.
 * Returns true if the client waits for that. */
static bool
reset_again(struct session *s)
{
	const struct progress *p = &s->hold->lease.srv->progress;
	struct buf sql;
	bool asked;

	/* Elsewhere the next lease has them; a DISCARD ALL that has let it go, too. */
	if (p->status == 'I' && !(s->scopes && scopes_holds(s)) &&
	    (s->hold->pinned == 0 || (s->hold->discard_all_sent && p->error[0] == 0)))
		return false;
	buf_init(&sql, ANSWER_MAX);
	asked = resets_sql(s, &sql);
	if (asked) {
		buf_add_u8(&sql, 0);
		s->context.resetting = true;
		ask(s, SESSION_SAVING, (char *)buf_data(&sql));
	}
	buf_clear(&sql);
	return asked;
}

static void go_on(struct session *s);

static void
reset_answered(struct session *s)
{
	bool failed = s->hold->lease.srv->progress.status == 'E';

	pass_on(s);
	forget_answer(s);
	if (s->state != SESSION_SAVING)
		return;
	session_set_state(s, SESSION_ACTIVE);
	/* The role in force may not set what the login has set: the transaction must not fail by
	 * it. */
	if (failed) {
		ask(s, SESSION_SAVING,
		    "ROLLBACK TO SAVEPOINT pgwith_startup; RELEASE SAVEPOINT pgwith_startup");
		return;
	}
	s->context.resetting = false;
	stream_resume(&s->stream);
	go_on(s);
}

static void
answered(struct session *s, const uint8_t *data, size_t bytes)
{
	buf_add(s->answer, data, bytes);
	if (s->answer->failed && s->state == SESSION_SETUP) {
		end_by(s, "its answer is too long");
		return;
	}
	if (!progress_at_rest(&s->hold->lease.srv->progress))
		return;
	if (s->state == SESSION_SETUP)
		setup_answered(s);
	else if (s->context.resetting)
		reset_answered(s);
	else
		saved(s);
}

/* ---- what the pool tells ---- */

static void
granted(struct lease *l)
{
	struct session *s = session_of(l);

	if (s->state == SESSION_LOGIN) {
		login_granted(s);
		return;
	}
	if (s->state == SESSION_SCOPE) {
		executor_granted(s, l);
		return;
	}
	waits_end(&s->site->waits, s->id);
	outbound_begin(s);
	if (s->state != SESSION_ACTIVE)
		return;
	stream_resume(&s->stream);
	inbound_resume(s);
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
		inbound_failed(s, s->in.len && !script_pending(s) ? (char)*buf_data(&s->in) : 'Q',
			       e);
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

/* The server is at rest outside a transaction, and all answers have gone to the client. Whatever is
 * left of this session in the server decides. */
static void
end_lease(struct session *s)
{
	struct server *srv = s->hold->lease.srv;

	if (s->slow)
		slow_end(s, "success", NULL);
	if (s->hold->discard_all_sent) {
		s->hold->discard_all_sent = false;
		if (srv->progress.error[0] == 0)
			context_discarded(s);
	}
	switch (hold_verdict(s->hold, false)) {
	case HOLD_KEEP:
		return;
	case HOLD_ASK:
		s->asks = 0;
		save(s);
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

	if (p->status != 'I' || s->hold->pinned || (s->scopes && scopes_holds(s)))
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
	if (server_read(srv, &data, &bytes) < 0)
		return;
	if (s->state != SESSION_ACTIVE) {
		answered(s, data, bytes);
		return;
	}
	if (p->own_failed) {
		/* What the client has sent behind that may have run as if it were another's. */
		server_close(srv, "it refused the parameters of the session; what was asked of it "
				  "may have been done without them");
		return;
	}
	s->unheard |= s->stream.broken && bytes > 0;
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
	if (s->scopes)
		executor_heard(s);
	if (s->context.resets != RESETS_NONE && progress_at_rest(p) && !script_waiting(s) &&
	    reset_again(s))
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
	if (progress_at_rest(p) && p->status == 'I' && !(s->scopes && scopes_holds(s)) &&
	    !script_waiting(s)) {
		end_lease(s);
	} else if (p->status != 'I' && s->context.mode == CONF_STATEMENT) {
		refuse_transaction(s);
		return;
	}
	if (s->hold->lease.srv && stream_queued(&s->stream) > 0)
		stream_pause(&srv->stream);
	/* Messages that came while there was too much unanswered, or behind the last one. */
	if (s->scopes) {
		expire_settle(s);
		if (s->state != SESSION_ACTIVE && s->state != SESSION_IDLE)
			return;
	}
	if (s->state != SESSION_SAVING && (s->in.len > 0 || (s->scopes && script_pending(s))) &&
	    (s->hold->lease.srv == NULL || stream_queued(&s->hold->lease.srv->stream) == 0)) {
		stream_resume(&s->stream);
		inbound_resume(s);
	}
}

static void
drained(struct lease *l)
{
	struct session *s = session_of(l);

	if (s->state != SESSION_ACTIVE || l != &s->hold->lease)
		return;
	stream_resume(&s->stream);
	inbound_resume(s);
}

static void
told(struct lease *l, const char *name, const char *value)
{
	struct session *s = session_of(l);

	/* SETUP: see setup_answered(). */
	if (s->state == SESSION_SCOPE && s->scopes->talk.setup)
		return;
	if (l == &s->hold->lease &&
	    (s->state == SESSION_ACTIVE || s->state == SESSION_SAVING || s->state == SESSION_SCOPE))
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
	executor_calm(session_of(l));
}

static void
ended(struct lease *l, struct todo *done, bool broken)
{
	struct session *s = session_of(l);

	/* What the cleanup has brought about. */
	if (l == &s->hold->lease && l->state == LEASE_HELD && !session_gone(s))
		telling_send(s);
	executor_ended(s, l, done, broken);
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
	forget_answer(s);
	if (!s->let_in) {
		login_again(s);
		return;
	}
	session_set_state(s, SESSION_IDLE);
	stream_resume(&s->stream);
	inbound_resume(s);
}

static void
lost(struct lease *l, const struct server *srv, const char *why)
{
	struct session *s = session_of(l);
	const struct progress *p = &srv->progress;
	struct err e;

	if (s->state == SESSION_SETUP && l == &s->hold->lease && ends_by_itself(p)) {
		set_up_again(s);
		return;
	}
	if (s->scopes)
		executor_lost(s, l);
	if (s->state == SESSION_SETUP && s->let_in && l == &s->hold->lease &&
	    !s->context.wants_fresh) {
		forget_answer(s);
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
