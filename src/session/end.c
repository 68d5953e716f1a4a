#include "session/end.h"

#include <stdlib.h>

#include "base/idmap.h"
#include "base/log.h"
#include "base/logvalue.h"
#include "base/units.h"
#include "loop/listen.h"
#include "pool/pool.h"
#include "pool/prepared.h"
#include "pool/server.h"
#include "scope/waits.h"
#include "session/channels.h"
#include "session/control.h"
#include "session/holds.h"
#include "session/inquiry.h"
#include "session/named.h"
#include "session/proof.h"
#include "session/reply.h"
#include "session/resets.h"
#include "session/scopes.h"
#include "session/script.h"
#include "session/session.h"
#include "session/shown.h"
#include "session/site.h"
#include "session/slow.h"
#include "wire/msg.h"

#define CLOSING_US (5 * UNIT_S) /* how long a client has to read its last words */

/* ---- telling ---- */

static void
write_last_words(struct session *s, const struct err *e, struct buf *out)
{
	const struct server *srv = s->state == SESSION_ACTIVE ? s->hold->lease.srv : NULL;

	if (s->site->conf->log_pooler_errors)
		log_info_often("session", s->id, "refused",
			       LOG_TEXT("pool", s->pool ? s->pool->conf->name : ""),
			       LOG_TEXT("role", s->peer.role ? s->peer.role : ""),
			       LOG_NUMBER("pid", s->peer.pid), LOG_TEXT("sqlstate", e->sqlstate),
			       LOG_TEXT("kind", err_kind(e->id)->name),
			       LOG_QUOTED("why", e->message));
	s->end.error = (uint8_t)e->id;
	site_count_error(s->site, e);
	/* The client has got half a message: an error cannot be put into its middle. */
	if (srv && srv->progress.from_have > 0 && !srv->progress.from_drop)
		return;
	/* The session ends, so the error is FATAL here, whatever its kind says. */
	msg_report(out, 'E', "FATAL", e->sqlstate, e->message, e->detail, e->hint);
}

static enum cleanup_why
cleanup_reason(const struct err *e)
{
	return e->id == ERR_SHUTDOWN || e->id == ERR_DRAINED ? CLEANUP_SHUTDOWN
	       : e->id == ERR_KILLED                         ? CLEANUP_KILLED
							     : CLEANUP_CLIENT_REFUSED;
}

/* For a session with scopes. They are not kept open until a slow client has read its last words:
 * what the kernel does not take at once is lost. */
static void
fail_with_scopes(struct session *s, const struct err *e)
{
	struct buf out;

	buf_init(&out, REPLY_ERROR_MAX);
	write_last_words(s, e, &out);
	reply_send_buf(s, &out);
	buf_clear(&out);
	session_close(s, cleanup_reason(e), err_kind(e->id)->name);
}

void
session_fail(struct session *s, const struct err *e)
{
	struct buf out;

	if (session_gone(s))
		return;
	if (scopes_open(s)) {
		fail_with_scopes(s, e);
		return;
	}
	batch_end(s);
	if (session_gone(s))
		return;
	buf_init(&out, REPLY_ERROR_MAX);
	write_last_words(s, e, &out);
	if (s->context.names)
		names_clear(s->context.names,
			    s->hold->lease.srv ? &s->hold->lease.srv->prepared : NULL);
	unnamed_forget(s->context.unnamed,
		       s->hold->lease.srv ? &s->hold->lease.srv->prepared.tracked : NULL);
	if (s->rare->slow)
		slow_end(s, "error", e->sqlstate);
	if (s->hold->lease.state == LEASE_HELD)
		lease_end(&s->hold->lease, cleanup_reason(e));
	else
		lease_leave(&s->hold->lease);
	session_set_state(s, SESSION_CLOSING);
	reply_send_buf(s, &out);
	buf_clear(&out);
	if (s->state == SESSION_CLOSING && stream_queued(&s->stream) == 0)
		session_close(s, CLEANUP_CLIENT_REFUSED, "told");
	else
		stream_resume(&s->stream);
}

void
session_fail_protocol(struct session *s, const char *what)
{
	struct err e;

	err_make(&e, ERR_PROTOCOL_VIOLATION, what);
	session_fail(s, &e);
	err_clear(&e);
}

void
session_fail_setup(struct session *s, const char *why)
{
	struct err e;

	err_make(&e, ERR_SETUP_FAILED, s->pool->conf->name, why);
	session_fail(s, &e);
	err_clear(&e);
}

/* ---- the end ---- */

static void
free_session(void *arg)
{
	struct session *s = arg;

	session_drop_kept(s, s->in->len);
	inquiry_forget(s);
	holds_free(s);
	resets_forget(s);
	slow_free(s);
	control_free(s);
	shown_forget(s);
	proof_free(s);
	channels_free(s);
	activity_clear(&s->activity);
	peer_clear(&s->peer, &s->site->atoms);
	context_clear(&s->context, &s->site->pools.told, &s->site->atoms);
	named_free(s->extended.named);
	script_free(s);
	if (s->rare != &rare_none) {
		free(s->rare->expiry);
		free(s->rare->stack);
		free(s->rare);
	}
	free(s);
}

/* Its scopes end first, in its turn; then the session is closed. */
static void
leave(struct session *s)
{
	stream_close(&s->stream);
	/* The server may not have been read from, because the client did not read. */
	if (s->hold->lease.state == LEASE_HELD)
		stream_resume(&s->hold->lease.srv->stream);
	/* What is being done about its scopes may have to come to its end before. */
	if (s->state != SESSION_SCOPE && s->state != SESSION_LEAVING)
		session_set_state(s, SESSION_LEAVING);
	session_wake(s);
}

/* Is something of the client's under way: a query that has not been answered, or that waits for a
 * server; a transaction; a scope? */
static bool
is_in_the_middle(const struct session *s)
{
	switch (s->state) {
	case SESSION_WAITING:
	case SESSION_SETUP:
		return true;
	case SESSION_ACTIVE:
		if (!progress_at_rest(&s->hold->lease.srv->progress))
			return true;
		/* fall through */
	case SESSION_IDLE:
	case SESSION_SAVING:
	case SESSION_SCOPE:
		return scopes_open(s) || scopes_plain(s);
	default:
		return false;
	}
}

void
session_close(struct session *s, enum cleanup_why why, const char *text)
{
	struct site *site = s->site;
	bool was_in = session_was_let_in(s);

	batch_end(s);
	if (s->state == SESSION_CLOSED)
		return;
	/* This is called again when the scopes have ended: the first reason counts. */
	if (!session_ends(s)) {
		s->end.why = (uint8_t)why;
		s->end.text = text;
		if (why == CLEANUP_CLIENT_GONE && is_in_the_middle(s))
			s->pool->stats.vanished++;
	}
	if (scopes_open(s)) {
		leave(s);
		return;
	}
	if (s->rare->console)
		site->console->closed(s);
	if (s->rare->slow)
		slow_end(s, "cancelled", NULL);
	if (was_in && site->conf->log_disconnections && !(s->peer.marks & PEER_INSIDE))
		log_info("session", s->id, "left", LOG_TEXT("role", s->peer.role),
			 LOG_NUMBER("pid", s->peer.pid),
			 LOG_QUOTED("why", s->end.error ? err_kind(s->end.error)->name : text),
			 LOG_NUMBER("queries", s->activity.queries));
	session_set_state(s, SESSION_CLOSED);
	if (s->pool && peer_is_counted(&s->peer))
		party_remove_client(&site->pools.parties, s->peer.role, s->peer.uid);
	proof_stop(s);
	channels_end(s);
	stream_close(&s->stream);
	idmap_remove(&site->sessions, s->id);
	waits_end(&site->waits, s->id);
	listen_resume(site->listen);
	loop_defer(site->loop, free_session, s);
	if (s->context.names)
		names_clear(s->context.names,
			    s->hold->lease.srv ? &s->hold->lease.srv->prepared : NULL);
	unnamed_forget(s->context.unnamed,
		       s->hold->lease.srv ? &s->hold->lease.srv->prepared.tracked : NULL);
	/* This comes last: the server may be another session's when it returns. */
	if (s->hold->lease.state == LEASE_HELD)
		lease_end(&s->hold->lease, why);
	else
		lease_leave(&s->hold->lease);
}

void
end_sweep(struct site *site)
{
	int64_t now = loop_now_us(site->loop);
	struct list_node *n;

	while ((n = list_first(&site->in_state[SESSION_CLOSING])) != NULL) {
		struct session *s = LIST_OBJ(n, struct session, node);

		if (now - s->since_us < CLOSING_US)
			break;
		session_close(s, CLEANUP_CLIENT_REFUSED, "it did not take its last words");
	}
}
