#include "executor/frame.h"

#include <stdio.h>

#include "base/log.h"
#include "session/reply.h"
#include "session/session.h"
#include "session/site.h"
#include "session/slow.h"
#include "wire/msg.h"

/* ---- the work ---- */

void
frame_begin_work(struct session *s)
{
	session_set_state(s, SESSION_SCOPE);
	stream_pause(&s->stream);
	buf_reset(&s->scopes->failure);
}

void
frame_settle_state(struct session *s)
{
	enum session_state to;

	scopes_refocus(s);
	to = s->lease->state == LEASE_HELD ? SESSION_ACTIVE : SESSION_IDLE;
	if (s->state != to)
		session_set_state(s, to);
}

void
frame_fail_raw(struct scopes *sc, const struct buf *message)
{
	if (sc->failure.len == 0)
		buf_add(&sc->failure, buf_data(message), message->len);
}

void
frame_fail(struct scopes *sc, const struct err *e)
{
	if (sc->failure.len > 0)
		return;
	reply_log_error(sc->session, e);
	msg_err(&sc->failure, e);
	site_count_error(sc->session->site, e);
}

/* ---- frames end ---- */

void
frame_drop_implicit(struct scopes *sc)
{
	struct scope *f = stack_innermost(&sc->stack);
	struct session *s = sc->session;

	if (f && f->kind == SCOPE_IMPLICIT) {
		if (f->state == SCOPE_EXPIRED) {
			/* Its client has not ended it. */
			s->block.begun = BEGUN_EXPIRED;
			s->block.begun_us = f->asked_us;
			s->block.expired_by = (uint8_t)stack_reason(&sc->stack, f)->expired_by;
			s->block.ending = 0;
		}
		if (s->slow && f->state != SCOPE_EXPIRED)
			slow_unframed(s, f);
		stack_pop(&sc->stack, f);
		loop_defer(s->site->loop, scope_free, f);
	}
}

void
frame_log_end(struct scopes *sc, struct scope *f, enum timing_outcome outcome, const char *word)
{
	struct session *s = sc->session;
	int64_t now = loop_now_us(s->site->loop);
	int64_t held = f->opened_us ? sc->exit_us - f->opened_us : 0;

	if (s->site->conf->log_scopes)
		log_info("session", s->id, "scope released", LOG_TEXT("name", f->name),
			 LOG_QUOTED("outcome", word), LOG_MS("held", held),
			 LOG_MS("cleanup", now - sc->exit_us));
	if (s->slow)
		slow_frame(s, f, word, sc->exit_us);
	timing_count(scopes_timing(sc, f), outcome);
	if (f->opened_us)
		timing_add(scopes_timing(sc, f), TIMING_HOLD, held);
	timing_add(scopes_timing(sc, f), TIMING_CLEANUP, now - sc->exit_us);
}

static void
forget_deadline(struct scopes *sc, struct scope *f)
{
	if (f->deadline_us)
		evtimer_del(&f->timer);
	f->expire_due = false;
}

void
frame_pop(struct scopes *sc, struct scope *f, enum timing_outcome outcome, const char *word)
{
	struct session *s = sc->session;

	forget_deadline(sc, f);
	/* One that has expired was counted then. */
	if (!scope_is_begin(f) && f->state != SCOPE_EXPIRED)
		frame_log_end(sc, f, outcome, word);
	else if (s->slow && f->kind == SCOPE_IMPLICIT && f->state != SCOPE_EXPIRED)
		slow_frame(s, f, word, sc->exit_us);
	snprintf(sc->exited, sizeof sc->exited, "%s", f->name);
	if (s->lease == &f->own)
		scopes_focus(s, &s->own);
	stack_pop(&sc->stack, f);
	loop_defer(s->site->loop, scope_free, f);
	/* At last, so that the log tells of this one's end before it tells that the next one has
	 * it. */
	lock_leave(&f->hold);
}
