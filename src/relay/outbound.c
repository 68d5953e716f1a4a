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
#include "session/listening.h"
#include "session/marking.h"
#include "session/notifying.h"
#include "session/readonly.h"
#include "session/reply.h"
#include "session/resets.h"
#include "session/reword.h"
#include "session/script.h"
#include "session/session.h"
#include "session/site.h"
#include "session/slow.h"
#include "session/standin.h"
#include "session/telling.h"
#include "session/waiting.h"
#include "wire/msg.h"

static struct session *
owner_of(struct lease *l)
{
	return l->owner;
}

/* ---- what the server has answered to us ---- */

/* The server that was to be given the session's parameters is gone, or was closed because it
 * refused them. Nothing of the client's has been executed: asks for a new connection. */
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

/* The pool of read_only cannot serve its message, which is judged again. */
static void
ask_own_pool(struct session *s)
{
	if (s->state != SESSION_IDLE)
		session_set_state(s, SESSION_IDLE);
	stream_resume(&s->stream);
	session_wake(s);
}

static void
after_setup(struct session *s)
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
	case SETUP_OWN_POOL:
		ask_own_pool(s);
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

/* Returns the server to its pool. The verdict is not HOLD_KEEP. */
static void
return_server(struct session *s, enum hold_verdict verdict)
{
	session_set_state(s, SESSION_IDLE);
	if (s->pool->reads || s->hold->apart)
		readonly_returned(s, s->hold);
	lease_return(&s->hold->lease, verdict == HOLD_DISCARD);
	dismiss_due(s);
}

static void after_answer(struct session *);

/* It is known now what the session has set: returns the server, unless the session keeps it. */
static void
after_saving(struct session *s)
{
	enum hold_verdict verdict = hold_verdict(s->hold, s->hold->apart);

	if (verdict != HOLD_KEEP)
		return_server(s, verdict);
	stream_resume(&s->stream);
	session_wake(s);
}

/* SETUP, SAVING: the server answers a question of ours. */
static void
question_readable(struct session *s)
{
	bool ended = inquiry_readable(s);

	if (session_in_setup(s) && inquiry_is_too_long(s)) {
		session_fail_setup(s, "its answer is too long");
		return;
	}
	if (!ended)
		return;
	if (session_in_setup(s)) {
		after_setup(s);
	} else if (marking_asks(s)) {
		if (!marking_inquired(s))
			return;
		stream_resume(&s->stream);
		if (s->context.resets == RESETS_NONE || script_waiting(s) || !saving_reset_again(s))
			after_answer(s);
	} else if (!s->context.resetting) {
		if (saving_answered(s))
			after_saving(s);
	} else if (saving_reset_answered(s)) {
		stream_resume(&s->stream);
		after_answer(s);
	}
}

/* ---- what the pool tells ---- */

static void
granted(struct lease *l)
{
	struct session *s = owner_of(l);

	waits_end(&s->site->waits, s->id);
	if (s->state == SESSION_SCOPE)
		executor_granted(s, l);
	else
		session_wake(s);
}

static void
failed(struct lease *l, const struct err *e)
{
	struct session *s = owner_of(l);

	waits_end(&s->site->waits, s->id);
	if (s->state == SESSION_LOGIN)
		login_failed(s, e);
	else if (s->state == SESSION_SCOPE)
		executor_failed(s, l, e);
	else if (s->pool->reads && readonly_falls_back(s, e))
		ask_own_pool(s);
	else
		waiting_refused(s, e);
}

/* The server is at rest outside a transaction, and the client has all answers. The session keeps
 * the server, asks it, or returns it, by what it has left there (hold_verdict()). */
static void
end_lease(struct session *s)
{
	enum hold_verdict verdict;

	if (s->rare->slow)
		slow_end(s, "success", NULL);
	if (s->hold->discard_all_sent) {
		s->hold->discard_all_sent = false;
		context_discarded(s);
		listening_discard(s);
	}
	if (session_waits_for_bind(s) && !s->hold->apart)
		return;
	verdict = hold_verdict(s->hold, s->hold->apart);
	switch (verdict) {
	case HOLD_KEEP:
		return;
	case HOLD_ASK:
		saving_begin(s);
		return;
	default:
		return_server(s, verdict);
	}
}

/* A message of ours failed, and the server skipped Queries of the client behind it. Sends a Sync
 * for each, so that each gets its ReadyForQuery. */
static void
send_syncs_for_skipped_queries(struct server *srv)
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

/* A COPY of the client's has failed, and it is not known how many ReadyForQuery will come for its
 * Syncs: nothing may end or begin here before the server has told that. */
static void
ask_for_rest(struct server *srv)
{
	struct buf out;

	buf_init(&out, 16);
	progress_ask(&srv->progress, &out);
	server_write(srv, buf_data(&out), out.len);
	buf_clear(&out);
}

/* The server has sent ReadyForQuery: counts the answers to the client among them. */
static void
count_answers(struct session *s, uint64_t answers, uint64_t rests)
{
	s->activity.queries += answers;
	lease_note_ready(&s->hold->lease, answers, rests);
}

/* mode = statement: a transaction is open, though no text said BEGIN (CALL, DO). Ends the
 * session. */
static void
refuse_transaction(struct session *s)
{
	struct err e;

	err_make(&e, ERR_STATEMENT_MODE, s->pool->conf->name);
	session_fail(s, &e);
	err_clear(&e);
}

/* Behind its answer the server may have said that it ends. Returns how many of the bytes are that.
 * A client whose session does not keep the server does not get them. */
static size_t
bytes_unasked(const struct session *s, size_t bytes)
{
	const struct progress *p = &s->hold->lease.srv->progress;

	if (p->status != 'I' || s->hold->pinned || (s->rare->stack && scopes_holds(s)))
		return 0;
	return p->unasked < bytes ? p->unasked : bytes;
}

/* The exchange has to be done again: nothing of it has been executed, and the client knows nothing
 * of that. */
static void
do_again(struct session *s)
{
	if (!standin_redo(s))
		return;
	readonly_redo(s);
	stream_resume(&s->stream);
	session_wake(s);
}

static void
readable(struct lease *l)
{
	struct session *s = owner_of(l);
	struct server *srv = l->srv;
	struct progress *p = &srv->progress;
	uint64_t readies = p->readies, completes = p->completes;
	uint64_t answers = p->answers, rests = p->rests;
	struct reword_from from = reword_from(p);
	const uint8_t *data;
	size_t bytes;

	/* If this is not the lease that messages go by, or if the client is gone, the bytes are
	 * read and dropped. */
	if (l != &s->hold->lease || s->state == SESSION_LEAVING) {
		executor_parked_readable(s, l);
		return;
	}
	if (s->state == SESSION_SCOPE) {
		executor_readable(s);
		return;
	}
	if (s->state != SESSION_ACTIVE) {
		question_readable(s);
		return;
	}
	if (server_read(srv, &data, &bytes) < 0)
		return;
	if (p->own_failed) {
		/* The server has refused the parameters that went ahead, and yet has run the
		 * client's statements behind them, perhaps with another session's role. Their
		 * results cannot be trusted. */
		server_close(srv, "it refused the parameters of the session; what was asked of it "
				  "may have been done without them");
		return;
	}
	if (srv->prepared.defines && (p->readies != readies || p->completes != completes))
		server_defined(srv);
	s->end.unheard |= stream_broken(&s->stream) && bytes > 0;
	if (p->unasked > 0 && bytes > 0)
		bytes -= bytes_unasked(s, bytes);
	if (p->errors != from.errors && (s->context.names || srv->prepared.tracked.stood))
		reword_errors(s, &from, data,
			      s->rare->listening ? notifying_reworded(s, data, bytes) : bytes);
	else if (bytes > 0 && s->rare->listening)
		notifying_reply(s, &from, data, bytes);
	else if (bytes > 0)
		reply_send(s, data, bytes);
	if (s->state != SESSION_ACTIVE)
		return;
	s->pool->stats.sent += bytes;
	if (p->redo) {
		do_again(s);
		return;
	}
	if (p->unsure && !p->dirty && progress_at_rest(p))
		ask_for_rest(srv);
	if (p->readies != readies)
		count_answers(s, p->answers - answers, p->rests - rests);
	if ((p->completes != completes || p->readies != readies) && limits_there(s))
		limits_note_answer(s);
	cancel_send_kept(s);
	if (p->watch)
		deallocate_answered(s);
	if (p->rescue > 0)
		send_syncs_for_skipped_queries(srv);
	/* The DISCARD ALL may have failed. This is looked at now, because a statement of ours at
	 * the end of the lease clears progress.error. */
	if (p->error[0] && progress_at_rest(p))
		s->hold->discard_all_sent = false;
	if (s->rare->stack)
		executor_note_answer(s);
	if (s->rare->listening && progress_at_rest(p) && marking_answered(s))
		return;
	if (s->context.resets != RESETS_NONE && progress_at_rest(p) && !script_waiting(s) &&
	    saving_reset_again(s))
		return;
	after_answer(s);
}

/* An answer has been dealt with: ends the lease if the server is at rest, and goes on with messages
 * that wait. */
static void
after_answer(struct session *s)
{
	struct server *srv = s->hold->lease.srv;
	struct progress *p = &srv->progress;

	/* If the next part of a text waits for this answer, the lease goes on. */
	if (progress_at_rest(p) && p->status == 'I' && !(s->rare->stack && scopes_holds(s)) &&
	    !script_waiting(s)) {
		end_lease(s);
	} else if (p->status != 'I' && s->context.mode == CONF_STATEMENT) {
		refuse_transaction(s);
		return;
	}
	/* In SESSION_SAVING the server answers a question of ours: it is read in any case. */
	if (s->state == SESSION_ACTIVE && s->hold->lease.srv && stream_is_slow(&s->stream))
		stream_pause(&srv->stream);
	/* Ends scopes whose time limit passed while the server was not at rest. */
	if (s->rare->stack) {
		expire_go_on(s);
		if (s->state != SESSION_ACTIVE && s->state != SESSION_IDLE)
			return;
	}
	/* What came while it was asked, and a ReadyForQuery that is owed, go to the client now. */
	if (s->rare->listening && s->state != SESSION_SAVING)
		session_wake(s);
	if (s->state != SESSION_SAVING && (s->in->len > 0 || script_pending(s)) &&
	    (s->hold->lease.srv == NULL || stream_queued(&s->hold->lease.srv->stream) == 0)) {
		stream_resume(&s->stream);
		session_wake(s);
	}
}

static void
drained(struct lease *l)
{
	struct session *s = owner_of(l);

	if (s->state != SESSION_ACTIVE || l != &s->hold->lease)
		return;
	stream_resume(&s->stream);
	session_wake(s);
}

static void
told(struct lease *l, const char *name, const char *value)
{
	struct session *s = owner_of(l);

	if (l != &s->hold->lease)
		return;
	if (s->state == SESSION_ACTIVE ||
	    ((s->state == SESSION_SAVING || s->state == SESSION_SCOPE) &&
	     inquiry_passes_parameters(s)))
		telling_note_status(s, name, value);
}

static void
own_ended(struct lease *l, struct buf *out)
{
	struct session *s = owner_of(l);

	if (l == &s->hold->lease && s->state == SESSION_ACTIVE)
		telling_differences(s, out);
}

static void
cancels_ended(struct lease *l)
{
	struct session *s = owner_of(l);

	if (s->state == SESSION_SCOPE)
		session_wake(s);
}

static void
ended(struct lease *l, struct todo *done, bool broken)
{
	struct session *s = owner_of(l);

	/* Cleanup may have changed parameters that the client was told. */
	if (l == &s->hold->lease && l->state == LEASE_HELD && !session_gone(s))
		telling_send(s);
	executor_ended(s);
}

/* Has PostgreSQL ended the server for a reason that has nothing to do with the session? */
static bool
ends_by_itself(const struct progress *p)
{
	return p->dying ||
	       (p->fatal && (strcmp(p->error, "57P01") == 0 || strcmp(p->error, "57P02") == 0));
}

/* The server ended before it had the session's parameters, so nothing of the client's has gone
 * there: another server is asked for. */
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
	struct session *s = owner_of(l);
	const struct progress *p = &srv->progress;
	struct err e;

	if (session_in_setup(s) && l == &s->hold->lease && ends_by_itself(p)) {
		set_up_again(s);
		return;
	}
	if (s->rare->stack)
		executor_lost(s, l);
	if (s->state == SESSION_SETUP && l == &s->hold->lease && !s->context.wants_fresh) {
		inquiry_forget(s);
		try_fresh(s);
		return;
	}
	/* The client has got the server's own last words, or half a message, into which no error
	 * can be put: it gets no error of ours. */
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
	err_make(&e, ERR_SERVER_LOST, srv->pool->conf->name, why);
	session_fail(s, &e);
	err_clear(&e);
}

static void
describe(const struct lease *l, char *out, size_t out_size)
{
	session_describe(l->owner, out, out_size);
}

static void
find_parties(const struct lease *l, struct party *of[PARTY_KINDS])
{
	const struct session *s = l->owner;

	if (peer_is_counted(&s->peer))
		parties_find(&s->site->pools.parties, s->peer.role, s->peer.uid, of);
	else
		memset(of, 0, PARTY_KINDS * sizeof *of);
}

const struct lease_ops outbound_lease_ops = {
    .granted = granted,
    .failed = failed,
    .readable = readable,
    .drained = drained,
    .lost = lost,
    .describe = describe,
    .parties = find_parties,
    .told = told,
    .own_ended = own_ended,
    .ended = ended,
    .cancels_ended = cancels_ended,
};
