#include "executor/frame.h"

#include <stdio.h>

#include "base/log.h"
#include "session/batch.h"
#include "session/effects.h"
#include "session/holds.h"
#include "session/inquiry.h"
#include "session/readonly.h"
#include "session/reply.h"
#include "session/sequences.h"
#include "session/session.h"
#include "session/site.h"
#include "session/slow.h"
#include "wire/msg.h"
#include "wire/sqlmention.h"

/* ---- the work ---- */

struct work *
frame_begin_work(struct session *s, enum work_purpose purpose)
{
	session_set_state(s, SESSION_SCOPE);
	stream_pause(&s->stream);
	return work_begin(s, purpose);
}

void
frame_choose_state(struct session *s)
{
	enum session_state to;

	scopes_refocus(s);
	to = s->hold->lease.state == LEASE_HELD ? SESSION_ACTIVE : SESSION_IDLE;
	if (s->state != to)
		session_set_state(s, to);
}

void
frame_fail_raw(struct work *work, const struct buf *message)
{
	if (work->failure.len == 0)
		buf_add(&work->failure, buf_data(message), message->len);
}

void
frame_fail(struct work *work, const struct err *e)
{
	if (work->failure.len > 0)
		return;
	reply_log_error(work->session, e);
	msg_err(&work->failure, e);
	site_count_error(work->session->site, e);
}

void
frame_fail_enter(struct work *work, struct err *e)
{
	frame_fail(work, e);
	err_clear(e);
	work_turn(work, WORK_UNDO);
}

/* ---- statements of a scope ---- */

void
frame_run(struct session *s, const struct deferred *d, unsigned inquiry_options)
{
	/* It may set parameters or pin the session, as a statement of the client may. */
	unsigned set = effects_of_deferred(s, d->sql);

	effects_take(s, NULL, set & ~SQLMENTION_SEQUENCE, NULL, 0);
	if (s->pool->reads && !s->hold->apart)
		readonly_note_write(s);
	/* Numbers of others are discarded ahead of it, as ahead of a statement of the client. */
	sequences_mind(s, set);
	batch_flush(s);
	inquiry_run(s, d, inquiry_options);
}

/* ---- frames end ---- */

void
frame_drop_implicit(struct session *s)
{
	struct stack *st = s->rare->stack;
	struct scope *f = stack_innermost(st);

	if (f && f->kind == SCOPE_IMPLICIT) {
		if (f->state == SCOPE_EXPIRED) {
			/* Its client has not ended it yet: from now on the block knows of it. */
			block_expire(&s->block, s->id, stack_reason(st, f)->expired_by);
			s->block.apart = f->apart;
			holds_need(s)->begun_us = f->asked_us;
		}
		if (s->rare->slow && f->state != SCOPE_EXPIRED)
			slow_unframed(s, f);
		scopes_trace(s, f, TRACE_ENDED);
		stack_pop(st, f);
		loop_defer(s->site->loop, scope_free, f);
	}
}

void
frame_log_end(struct work *work, struct scope *f, enum timing_outcome outcome, const char *word)
{
	struct session *s = work->session;
	int64_t now = loop_now_us(s->site->loop);
	int64_t held = f->opened_us ? work->exit_us - f->opened_us : 0;

	if (s->site->conf->log_scopes)
		log_info("session", s->id, "scope released", LOG_TEXT("name", f->name),
			 LOG_QUOTED("outcome", word), LOG_MS("held", held),
			 LOG_MS("cleanup", now - work->exit_us));
	if (s->rare->slow)
		slow_frame(s, f, word, work->exit_us);
	timing_count(scopes_timing(work->session, f), outcome);
	if (f->opened_us)
		timing_add(scopes_timing(work->session, f), TIMING_HOLD, held);
	timing_add(scopes_timing(work->session, f), TIMING_CLEANUP, now - work->exit_us);
}

static void
forget_deadline(struct scope *f)
{
	timer_stop(&f->timer);
	f->expire_due = false;
}

void
frame_pop(struct work *work, struct scope *f, enum timing_outcome outcome, const char *word)
{
	struct session *s = work->session;

	forget_deadline(f);
	/* A frame that has expired was counted when it did. */
	if (!scope_is_begin(f) && f->state != SCOPE_EXPIRED)
		frame_log_end(work, f, outcome, word);
	else if (s->rare->slow && f->kind == SCOPE_IMPLICIT && f->state != SCOPE_EXPIRED)
		slow_frame(s, f, word, work->exit_us);
	snprintf(work->exited, sizeof work->exited, "%s", f->name);
	if (s->hold == &f->own)
		scopes_focus(s, s->own);
	scopes_trace(s, f, TRACE_ENDED);
	stack_pop(work->session->rare->stack, f);
	loop_defer(s->site->loop, scope_free, f);
	/* The lock goes last, so that the log has the frame's end before the next holder of the
	 * lock. */
	lock_leave(&f->hold);
}
