#include "executor/executor.h"

#include <stdlib.h>
#include <string.h>

#include "executor/enter.h"
#include "executor/exit.h"
#include "executor/expire.h"
#include "executor/joint.h"
#include "executor/leave.h"
#include "session/end.h"
#include "session/expiry.h"
#include "session/inquiry.h"
#include "session/reply.h"
#include "session/script.h"
#include "session/site.h"
#include "session/telling.h"
#include "wire/msg.h"

void
executor_fresh(struct session *s, struct lease *l)
{
	scopes_focus(s, hold_of(l));
	session_begin_lease(s);
}

/* ---- answers ---- */

static void
tag_of(const struct work *work, char *tag, size_t size)
{
	const struct grammar *g = work->statement;
	int64_t took = loop_now_us(work->session->site->loop) - work->began_us;

	if (g->verb == GRAMMAR_COMMIT && work->lost)
		snprintf(tag, size, "ROLLBACK");
	else if (g->verb == GRAMMAR_EXIT)
		snprintf(tag, size, "%s %.63s %.1f ms", grammar_tag(g),
			 g->all ? "ALL" : work->exited, (double)took / 1000);
	else
		snprintf(tag, size, "%s", grammar_tag(g));
}

void
executor_tell_of_server(struct session *s)
{
	if (s->hold->lease.state == LEASE_HELD)
		telling_send(s);
}

/* Answers the statement of the work: its tag, or its error. */
static void
answer_statement(struct work *work)
{
	struct session *s = work->session;
	struct buf out;
	char tag[160];

	buf_init(&out, REPLY_ERROR_MAX + 1024);
	if (work->failure.len > 0) {
		buf_add(&out, buf_data(&work->failure), work->failure.len);
		script_drop(s);
		if (work->answer_type != 'Q')
			s->extended.skip_sync = true;
		/* The client's BEGIN was answered here, and no server could be had for it. */
		if (s->block.state == BLOCK_BEGUN)
			block_set_state(&s->block, s->id, BLOCK_FAILED);
	} else {
		tag_of(work, tag, sizeof tag);
		msg_complete(&out, tag);
	}
	if (work->answer_type == 'Q' && !script_more(s))
		reply_ready(s, &out);
	reply_send_buf(s, &out);
	buf_clear(&out);
}

static bool
is_cancelled(const struct lease *l)
{
	return l && l->state == LEASE_HELD && l->srv->cancels > 0;
}

/* Is a cancel of ours under way that could hit the client's next statement? A pinned session keeps
 * the server when the frame has ended. */
static bool
late_cancels(const struct session *s)
{
	const struct list_node *n;

	if (is_cancelled(&s->own->lease))
		return true;
	LIST_EACH (n, &s->rare->stack->frames)
		if (is_cancelled(LIST_OBJ(n, const struct scope, node)->lease))
			return true;
	return false;
}

void
executor_finish(struct work *work)
{
	struct session *s = work->session;
	const struct hold *hold = s->hold;

	if (!session_ends(s) && s->rare->expiry && s->rare->expiry->own_cancel && late_cancels(s)) {
		work_set_state(work, WORK_CANCELS);
		return;
	}
	if (work->statement && work->statement->chain && !work->chained && !session_ends(s) &&
	    work->failure.len == 0) {
		work->chained = true;
		enter_chain(work);
		return;
	}
	if (s->rare->expiry)
		s->rare->expiry->own_cancel = false;
	/* The work ends before the answer is sent: if that fails, the session can leave at once. */
	work_end(work);
	if (session_ends(s)) {
		inquiry_forget(s);
		session_close(s, s->end.why, s->end.text);
		return;
	}
	frame_drop_implicit(s);
	frame_choose_state(s);
	if (work->answer_type)
		executor_tell_of_server(s);
	if (work->answer_type && !session_ends(s))
		answer_statement(work);
	/* From here on the relay passes on what comes, and the rest of this message. */
	if (s->hold == hold)
		inquiry_pass_half(s);
	inquiry_forget(s);
	expire_go_on(s);
	if (s->state != SESSION_ACTIVE && s->state != SESSION_IDLE)
		return;
	stream_resume(&s->stream);
	session_wake(s);
}

/* ---- what the server says ---- */

void
executor_note_answer(struct session *s)
{
	const struct progress *p = &s->hold->lease.srv->progress;
	struct scope *f;

	if (p->error[0]) {
		boundary_note_error(s);
		script_note_error(s);
	}
	f = stack_of_lease(s->rare->stack, &s->hold->lease);
	if (f == NULL || !progress_at_rest(p))
		return;
	if (f->points_sent && p->error[0])
		scope_points_keep(f, f->points_kept);
	f->points_sent = false;
	if (p->status == 'E' && f->error[0] == 0)
		memcpy(f->error, p->error[0] ? p->error : "25P02", sizeof f->error);
	else if (p->status == 'T' && !f->failed)
		f->error[0] = 0;
	/* The client's own COMMIT has ended the transaction before the time limit could. */
	if (p->status == 'I' && f->kind == SCOPE_IMPLICIT && f->expire_due &&
	    f == stack_innermost(s->rare->stack)) {
		s->rare->expiry->forced = false;
		frame_drop_implicit(s);
		return;
	}
	/* ReadyForQuery(I) in a scope: a statement has ended the transaction that the classifier
	 * cannot see through (CALL, DO). The scope fails with 25P01. */
	if (p->status == 'I') {
		scope_fail(f, "25P01");
		scope_fail(scope_base(f), "25P01");
	}
}

void
executor_readable(struct session *s)
{
	if (!inquiry_readable(s))
		return;
	lease_note_own_ready(&s->hold->lease, s->rare->inquiry->since_us);
	session_wake(s);
}

/* ---- its turn ---- */

void
executor_go(struct session *s)
{
	struct work *work;

	if (session_ends(s) && scopes_open(s))
		leave_go(s);
	work = s->rare->work;
	if (work == NULL)
		return;
	if (work->state == WORK_CANCELS) {
		if (!late_cancels(s))
			executor_finish(work);
		return;
	}
	switch (work->purpose) {
	case WORK_LEAVE:
		return;
	case WORK_ENTER:
		enter_go(work);
		return;
	case WORK_UNDO:
		/* Nothing of it has begun. */
		if (work->last == NULL)
			enter_go(work);
		else
			exit_go(work);
		return;
	default:
		exit_go(work);
	}
}

void
executor_parked_readable(struct session *s, struct lease *l)
{
	/* The server is at rest, so these are notices and changes of parameters. The client does
	 * not get them, because its messages go to another server now. */
	server_drop(l->srv);
}

void
executor_granted(struct session *s, struct lease *l)
{
	executor_fresh(s, l);
	enter_granted(s->rare->work);
}

void
executor_failed(struct session *s, struct lease *l, const struct err *e)
{
	struct err copy;

	err_copy(&copy, e);
	enter_refused(s->rare->work, &copy);
}

void
executor_ended(struct session *s)
{
	work_set_state(s->rare->work, WORK_DONE);
	session_wake(s);
}

void
executor_lost(struct session *s, struct lease *l)
{

	if (s->rare->work == NULL || s->rare->work->purpose == WORK_LEAVE)
		return;
	/* LEAVE begins next. */
	inquiry_give_up(s);
	work_end(s->rare->work);
	waits_end(&s->site->waits, s->id);
}

bool
executor_may_wait(struct session *s, struct err *e)
{
	struct waits *waits = &s->site->waits;
	char *circle = NULL;

	if (!scopes_open(s))
		return true;
	waits_begin_lease(waits, s->id, &s->own->lease);
	waits_within(waits, s->id, joint_of(s->pool) ? s->pool : NULL);
	if (!waits_closed(waits, s->id, &circle))
		return true;
	waits_end(waits, s->id);
	err_make(e, ERR_SCOPE_DEADLOCK, "pool", s->own->lease.pool->conf->name);
	lease_leave(&s->own->lease);
	err_detail(e, "%s", circle);
	free(circle);
	return false;
}

bool
executor_cancel(struct session *s, uint64_t requester)
{
	struct work *work = s->rare->work;
	struct err e;

	/* The end of a scope is not interrupted. */
	if (work->purpose != WORK_ENTER)
		return false;
	if (inquiry_state(s) == INQUIRY_ASKED) {
		inquiry_try_no_more(s);
		lease_cancel(&s->hold->lease, requester);
		return true;
	}
	if (work->state == WORK_USER) {
		const struct grammar_item *item = enter_item(work);

		err_make(&e, ERR_CANCELED_WAITING,
			 item->pool  ? item->pool
			 : work->def ? work->def->pool
				     : "");
		enter_not_looked_up(s, &e);
		err_clear(&e);
		return false;
	}
	if (work->frame) {
		err_make(&e, ERR_SCOPE_CANCELED, work->frame->name);
		enter_refused(work, &e);
	}
	return false;
}
