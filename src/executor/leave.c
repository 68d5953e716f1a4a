#include "executor/leave.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "executor/executor.h"
#include "executor/joint.h"
#include "session/end.h"
#include "session/inquiry.h"
#include "session/script.h"
#include "session/site.h"

/* ---- what a frame leaves to be done ---- */

static void
add_statement(struct todo *todo, const struct scope *f, const struct deferred *d)
{
	char label[128];

	snprintf(label, sizeof label, "scope %s", f->name);
	todo_add(todo, d->sql, (const char *const *)d->values, d->nvalues, d->used, label);
}

/* Lists the statements that the frame's end runs: deferred ones, last added first; then those of
 * its definition's cleanup, as written. */
static void
plan_statements(const struct scope *f, struct todo *todo)
{
	const struct list_node *n;

	todo_init(todo);
	for (n = f->deferred.head.prev; n != &f->deferred.head; n = n->prev) {
		const struct deferred *d = LIST_OBJ(n, const struct deferred, node);

		if (d->when == DEFERRED_ALWAYS || d->when == DEFERRED_ON_ROLLBACK)
			add_statement(todo, f, d);
	}
	LIST_EACH (n, &f->deferred)
		if (LIST_OBJ(n, const struct deferred, node)->when == DEFERRED_CLEANUP)
			add_statement(todo, f, LIST_OBJ(n, const struct deferred, node));
}

/* ---- one after the other ---- */

/* Begins to end the innermost frame. */
static void
end_frame(struct work *work, struct scope *f)
{
	struct session *s = work->session;
	struct scope *base;
	struct todo todo;

	if (f->kind == SCOPE_JOINT)
		joint_give_back(f);
	base = scope_base(f);
	work->frame = f;
	work->exit_us = loop_now_us(s->site->loop);
	if (!scope_is_begin(f) && s->site->conf->log_scopes)
		log_info("session", s->id, "scope exit", LOG_TEXT("name", f->name),
			 LOG_QUOTED("why", s->end.text));
	if (base && base->lease)
		lease_leave(base->lease);
	if (base == NULL || base->lease == NULL || base->lease->state != LEASE_HELD) {
		work_set_state(work, WORK_DONE);
		return;
	}
	plan_statements(f, &todo);
	work_set_state(work, WORK_CLEAN);
	lease_clean(base->lease, s->end.why, &todo, f != base, true);
	todo_clear(&todo);
}

static void
end_frames(struct work *work)
{
	struct session *s = work->session;
	struct scope *f;

	while (work->state != WORK_CLEAN) {
		if (work->state == WORK_DONE) {
			if (work->frame)
				frame_pop(work, work->frame, TIMING_CANCELLED, "cancelled");
			work->frame = NULL;
			work_set_state(work, WORK_NEXT);
		}
		f = stack_innermost(work->session->rare->stack);
		if (f == NULL)
			break;
		end_frame(work, f);
	}
	if (work->state == WORK_CLEAN)
		return;
	work_end(work);
	session_close(s, s->end.why, s->end.text);
}

/* The frame waits no longer for its lease or lock: other frames are ended before it. */
static void
stop_waiting(struct scope *f)
{
	if (f == NULL)
		return;
	if (f->lease)
		lease_leave(f->lease);
	if (f->hold.state == LOCK_WAITING)
		lock_leave(&f->hold);
}

/* Begins the work LEAVE. The work that the session has, if any, ends. */
static struct work *
begin_work(struct session *s)
{
	struct work *work;

	waits_end(&s->site->waits, s->id);
	if (s->rare->work)
		work_end(s->rare->work);
	work = work_begin(s, WORK_LEAVE);
	inquiry_give_up(s);
	return work;
}

static void
begin_leaving(struct session *s)
{
	struct prepared_set *set = s->hold->lease.srv ? &s->hold->lease.srv->prepared : NULL;
	struct work *work;

	script_drop(s);
	work = begin_work(s);
	if (s->state != SESSION_LEAVING)
		session_set_state(s, SESSION_LEAVING);
	if (s->context.names)
		names_clear(s->context.names, set);
	unnamed_forget(s->context.unnamed, set ? &set->tracked : NULL);
	lease_leave(&s->own->lease);
	stop_waiting(stack_innermost(s->rare->stack));
	/* The session's own lease, if no scope has it, ends first: it was taken last, or rests. */
	if (s->own->lease.state == LEASE_HELD &&
	    stack_of_lease(s->rare->stack, &s->own->lease) == NULL) {
		work_set_state(work, WORK_CLEAN);
		lease_clean(&s->own->lease, s->end.why, NULL, false, true);
	}
}

void
leave_go(struct session *s)
{
	switch (work_purpose(s)) {
	case WORK_LEAVE:
		break;
	case WORK_UNDO:
	case WORK_EXIT:
	case WORK_EXPIRE:
		/* What has begun is finished first. */
		return;
	default:
		begin_leaving(s);
	}
	end_frames(s->rare->work);
}

void
leave_abandon(struct session *s)
{
	enum cleanup_why why = session_ends(s) ? s->end.why : CLEANUP_SHUTDOWN;
	struct work *work;
	struct scope *f;

	if (!scopes_open(s))
		return;
	work = begin_work(s);
	work->exit_us = loop_now_us(s->site->loop);
	s->hold = s->own;
	while ((f = stack_innermost(s->rare->stack)) != NULL) {
		struct lease *l;

		if (f->kind == SCOPE_JOINT)
			joint_give_back(f);
		l = f->lease;
		lock_leave(&f->hold);
		if (l) {
			lease_leave(l);
			lease_forget(l);
			if (l->state == LEASE_HELD)
				lease_end(l, why);
		}
		frame_pop(work, f, TIMING_CANCELLED, "abandoned");
	}
	lease_leave(&s->own->lease);
	lease_forget(&s->own->lease);
	work_end(work);
}
