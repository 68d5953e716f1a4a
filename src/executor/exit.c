#include "executor/exit.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "executor/executor.h"
#include "executor/joint.h"
#include "session/asking.h"
#include "session/inquiry.h"
#include "session/readonly.h"
#include "session/reply.h"
#include "session/site.h"
#include "session/slow.h"
#include "wire/frame.h"
#include "wire/msg.h"
#include "wire/sqlclass.h"

/* ---- the order of what was deferred ---- */

/* Is the statement one of those that the phase runs? */
static bool
is_of_phase(const struct work *work, const struct deferred *d)
{
	switch (work->phase) {
	case WORK_CLEANUP:
		return d->when == DEFERRED_CLEANUP;
	case WORK_AFTER:
		return d->when == DEFERRED_ALWAYS || d->when == DEFERRED_ON_ROLLBACK;
	default:
		return d->when == DEFERRED_ALWAYS || d->when == DEFERRED_ON_COMMIT;
	}
}

/* Begins a phase: its statements run last added first, those of CLEANUP in the order of the
 * definition. */
static void
rewind_to(struct work *work, enum work_phase phase)
{
	struct list *l = &work->frame->deferred;

	if (work->phase != phase)
		work_set_phase(work, phase);
	work->next = phase == WORK_CLEANUP ? list_first(l) : list_last(l);
}

/* Begins a phase, and runs its statements. */
static void
run_phase(struct work *work, enum work_phase phase)
{
	rewind_to(work, phase);
	work_set_state(work, WORK_RUN);
}

/* Returns the next statement to be run, or NULL. */
static struct deferred *
take_next(struct work *work)
{
	struct list_node *end = &work->frame->deferred.head;

	for (;;) {
		struct list_node *n = work->next;
		struct deferred *d;

		if (n == NULL || n == end) {
			if (work->phase != WORK_AFTER)
				return NULL;
			rewind_to(work, WORK_CLEANUP);
			continue;
		}
		work->next = work->phase == WORK_CLEANUP ? n->next : n->prev;
		d = LIST_OBJ(n, struct deferred, node);
		if (is_of_phase(work, d))
			return d;
	}
}

/* ---- what happened ---- */

static void
fail_frame(struct work *work, const struct err *e, const struct buf *raw)
{
	struct scope *f = work->frame;

	if (work->purpose == WORK_UNDO || work->purpose == WORK_EXPIRE)
		return;
	if (f->suppress) {
		reply_notice(work->session, "NOTICE", e);
		return;
	}
	if (raw)
		frame_fail_raw(work, raw);
	else
		frame_fail(work, e);
	/* As an exception leaves one block after the other, the frames around this one fail too. */
	work->rollback = true;
}

static void
scope_failed(struct scope *f, struct err *e)
{
	err_make(e, ERR_SCOPE_FAILED, scope_shown(f));
	if (f->error[0])
		err_detail(e, "first error: SQLSTATE %s", f->error);
}

/* PostgreSQL has refused the COMMIT, or the savepoint before it. */
static void
commit_refused(struct work *work)
{
	struct session *s = work->session;
	struct scope *f = work->frame, *loser = stack_loser(work->session->rare->stack, f);
	struct err e;

	if (f->error[0] == 0)
		memcpy(f->error, inquiry_sqlstate(s), sizeof f->error);
	scope_failed(f, &e);
	if (loser && !f->suppress && work->purpose == WORK_EXIT)
		scope_fail(loser, f->error);
	fail_frame(work, &e, inquiry_error(work->session));
	err_clear(&e);
	work->good = false;
}

static void
statement_failed(struct work *work)
{
	struct session *s = work->session;
	struct scope *f = work->frame;
	struct err e;

	err_make(&e, ERR_SCOPE_STATEMENT, f->name, inquiry_message(s));
	memcpy(e.sqlstate, inquiry_sqlstate(s), sizeof e.sqlstate);
	reply_notice(s, "WARNING", &e);
	err_clear(&e);
	f->pool->stats.statement_fails++;
	log_warnx("session", s->id, "scope statement failed", LOG_TEXT("name", f->name),
		  LOG_TEXT("sqlstate", inquiry_sqlstate(s)));
}

static void
statement_ran(struct work *work)
{
	work->frame->pool->stats.statements++;
	if (inquiry_failed(work->session))
		statement_failed(work);
}

/* ---- steps ---- */

static void
ask(struct session *s, const char *sql)
{
	inquiry_ask(s, sql, INQUIRY_PASSES_ALL, 0);
}

static void
ask_again(struct session *s, const char *sql)
{
	inquiry_ask(s, sql, INQUIRY_PASSES_ALL, INQUIRY_AGAIN);
}

static bool
in_transaction(const struct session *s)
{
	return s->hold->lease.srv->progress.status != 'I';
}

/* Does the deferred statement run inside a transaction? A savepoint keeps its failure from that. */
static bool
needs_point(const struct work *work)
{
	return work->phase == WORK_BEFORE || scope_is_savepoint(work->frame);
}

static void
send_deferred(struct work *work, const struct deferred *d)
{
	struct session *s = work->session;

	work_set_state(work, WORK_DEFERRED);
	frame_run(s, d, 0);
}

static void
end_well(struct work *work)
{
	char sql[64];

	work_set_state(work, WORK_COMMIT);
	if (!scope_is_savepoint(work->frame)) {
		ask(work->session, "COMMIT");
		return;
	}
	snprintf(sql, sizeof sql, "RELEASE SAVEPOINT pgwith_%u", work->frame->serial);
	ask(work->session, sql);
}

static void
roll_back(struct work *work)
{
	char sql[128];

	work_set_state(work, WORK_ROLLBACK);
	/* The answer is for us: the server is read even if the client does not read. */
	stream_resume(&work->session->hold->lease.srv->stream);
	if (!scope_is_savepoint(work->frame)) {
		ask_again(work->session, "ROLLBACK");
		return;
	}
	snprintf(sql, sizeof sql, "ROLLBACK TO SAVEPOINT pgwith_%u; RELEASE SAVEPOINT pgwith_%u",
		 work->frame->serial, work->frame->serial);
	ask_again(work->session, sql);
}

/* The transaction that the scope is in has failed ahead of its COMMIT, by the inquiry that has
 * ended. */
static void
fail_ahead(struct work *work)
{
	work->good = false;
	commit_refused(work);
	roll_back(work);
}

static void
run_next(struct work *work)
{
	struct deferred *d = take_next(work);

	if (d == NULL) {
		if (work->phase != WORK_BEFORE)
			work_set_state(work, WORK_SAVE);
		else
			end_well(work);
		return;
	}
	if (needs_point(work)) {
		work_set_state(work, WORK_POINT);
		work->point = d;
		ask(work->session, "SAVEPOINT pgwith_deferred");
		return;
	}
	send_deferred(work, d);
}

/* The deferred statement has ended, or what ends its savepoint was cut short. In a transaction,
 * that goes on; outside of one, the statement must have left none. */
static void
end_point(struct work *work)
{
	struct session *s = work->session;

	if (!needs_point(work))
		ask_again(s, "ROLLBACK");
	else if (work->undone)
		ask_again(s, "ROLLBACK TO SAVEPOINT pgwith_deferred; "
			     "RELEASE SAVEPOINT pgwith_deferred");
	else
		ask_again(s, "RELEASE SAVEPOINT pgwith_deferred");
}

static void
deferred_ended(struct work *work)
{
	work->undone = inquiry_failed(work->session);
	statement_ran(work);
	work_set_state(work, WORK_UNPOINT);
	if (needs_point(work) || in_transaction(work->session))
		end_point(work);
	else
		work_set_state(work, WORK_RUN);
}

/* A cancel that came late, or a short statement_timeout, has made the transaction around a
 * savepoint fail that was rolled back: the client has to know. */
static void
fail_around(struct work *work)
{
	statement_failed(work);
	if (work->purpose == WORK_EXIT)
		frame_fail_raw(work, inquiry_error(work->session));
	work->failed_around = true;
	work_set_state(work, WORK_RUN);
}

/* What ends the savepoint of a deferred statement has been answered. */
static void
point_ended(struct work *work, enum inquiry_state how)
{
	struct session *s = work->session;
	char status = s->hold->lease.srv->progress.status;

	if (needs_point(work) ? status != 'E' : status == 'I') {
		inquiry_give_up(s);
		work_set_state(work, WORK_RUN);
	} else if (how == INQUIRY_CUT_SHORT) {
		/* If it was the RELEASE, what the statement has done is undone, too. */
		if (needs_point(work) && !work->undone)
			statement_failed(work);
		work->undone = true;
		end_point(work);
	} else if (!needs_point(work)) {
		server_close(s->hold->lease.srv, "ROLLBACK failed");
	} else if (work->phase == WORK_BEFORE) {
		fail_ahead(work);
	} else {
		fail_around(work);
	}
}

static void
rolled_back(struct work *work)
{
	struct session *s = work->session;

	if (s->hold->lease.srv->progress.status == (scope_is_savepoint(work->frame) ? 'T' : 'I')) {
		inquiry_give_up(s);
		run_phase(work, WORK_AFTER);
	} else if (inquiry_state(s) == INQUIRY_CUT_SHORT) {
		roll_back(work);
	} else {
		server_close(s->hold->lease.srv, "ROLLBACK failed");
	}
}

/* The session does not need the server any more: its lease is returned when the frame has ended. */
static void
give_up_server(struct work *work, bool discard)
{
	struct session *s = work->session;

	work_set_state(work, WORK_DONE);
	readonly_returned(s, s->hold);
	work->returning = &s->hold->lease;
	work->discard = discard;
	scopes_focus(s, s->own);
}

/* The transaction is over. Its lease ends too, unless it is the session's own and pinned: the
 * server may have to be asked. */
static void
save_parameters(struct work *work)
{
	struct session *s = work->session;
	bool foreign = s->hold != s->own || s->hold->apart;
	enum hold_verdict verdict;

	if (scope_is_savepoint(work->frame)) {
		work_set_state(work, WORK_DONE);
		return;
	}
	readonly_over(s, s->hold);
	if (foreign)
		hold_give_up_pins(s->hold);
	if (work->frame->was_joined) {
		/* Its members have set parameters, too: nothing of that is the session's. */
		give_up_server(work, true);
		return;
	}
	verdict = hold_verdict(s->hold, foreign);
	switch (verdict) {
	case HOLD_KEEP:
		work_set_state(work, WORK_DONE);
		return;
	case HOLD_ASK:
		break;
	default:
		give_up_server(work, verdict == HOLD_DISCARD);
		return;
	}
	asking_begin(s, INQUIRY_PASSES_ALL, true);
}

static void
parameters_saved(struct work *work, enum inquiry_state how)
{
	struct session *s = work->session;

	if (how != INQUIRY_CUT_SHORT && !asking_answered(s, how)) {
		if (work->purpose == WORK_NONE)
			return;
		/* The session leaves when its scopes have ended. The server is returned without
		 * what the session has set. */
		s->hold->discard = true;
		s->hold->changed = false;
	}
	save_parameters(work);
}

/* ---- frames ---- */

/* A frame inside this one has failed, and this one has SUPPRESS: the failure ends here. */
static void
suppress_failure(struct work *work)
{
	struct scope *f = work->frame;
	const char *sqlstate;
	struct err e;

	sqlstate = msg_report_field(buf_data(&work->failure) + FRAME_HEADER,
				    work->failure.len - FRAME_HEADER, 'C');
	scope_fail(f, sqlstate ? sqlstate : "40000");
	scope_failed(f, &e);
	reply_notice(work->session, "NOTICE", &e);
	err_clear(&e);
	buf_reset(&work->failure);
	work->rollback = work->statement->rollback;
}

static void
end_frame(struct work *work)
{
	struct scope *f = work->frame;
	bool last = f == work->last;
	struct grammar *g = work->statement;

	if (f->suppress && work->purpose == WORK_EXIT && work->failure.len > 0 &&
	    !work->failed_around)
		suppress_failure(work);

	if (last && g && g->chain && f->modes) {
		free(g->modes);
		g->modes = mem_strdup(f->modes);
	}
	work->frame = NULL;
	work_set_state(work, WORK_NEXT);
	if (work->purpose == WORK_EXPIRE) {
		f->state = SCOPE_EXPIRED;
		f->lease = NULL;
		f->expire_due = false;
		scope_deferred_forget(f);
		if (!scope_is_begin(f))
			frame_log_end(work, f, TIMING_EXPIRED, "expired");
		else if (work->session->rare->slow && f->kind == SCOPE_IMPLICIT)
			slow_frame(work->session, f, "expired", work->exit_us);
		lock_leave(&f->hold);
	} else {
		frame_pop(work, f,
			  f->state == SCOPE_EXPIRED ? TIMING_EXPIRED
			  : work->good              ? TIMING_SUCCESS
						    : TIMING_ERROR,
			  f->state == SCOPE_EXPIRED  ? "expired"
			  : work->good               ? "success"
			  : f->failed || f->error[0] ? "error"
						     : "rolled back");
	}
	if (last)
		work->last = NULL;
	/* This comes last, so that the log has the frame's end before the next session's lease. */
	if (work->returning) {
		struct lease *l = work->returning;

		work->returning = NULL;
		lease_return(l, work->discard);
	}
}

/* Has the transaction that `f` is in no server, any more or yet? */
static bool
holds_nothing(const struct scope *f)
{
	const struct lease *l = scope_base((struct scope *)f)->lease;

	return l == NULL || l->state != LEASE_HELD;
}

static void
begin_transaction_end(struct work *work)
{
	struct session *s = work->session;
	struct scope *f = work->frame;
	struct progress *p;
	struct err e;

	if (f->kind == SCOPE_TRANSACTION && f->lease && f->lease->state == LEASE_WAITING) {
		waits_end(&s->site->waits, s->id);
		lease_leave(f->lease);
	}
	if (holds_nothing(f)) {
		work->good = false;
		work_set_state(work, WORK_DONE);
		return;
	}
	scopes_focus(s, hold_of(scope_base(f)->lease));
	p = &s->hold->lease.srv->progress;
	if (work->good && (p->status != 'T' || f->failed)) {
		work->good = false;
		if (p->status == 'E' && f->error[0] == 0)
			memcpy(f->error, p->error[0] ? p->error : "25P02", sizeof f->error);
		if (f->kind == SCOPE_BLOCK && !f->failed) {
			/* The client has got the error before, so COMMIT answers ROLLBACK. */
			work->lost = true;
		} else {
			scope_failed(f, &e);
			fail_frame(work, &e, NULL);
			err_clear(&e);
		}
	}
	if (!f->begun || p->status == 'I') {
		/* The server has no transaction, or savepoint, to be ended. */
		run_phase(work, WORK_AFTER);
	} else if (work->good) {
		run_phase(work, WORK_BEFORE);
	} else {
		roll_back(work);
	}
}

/* Returns the innermost frame that is still to be ended, or NULL. */
static struct scope *
next_frame(const struct work *work)
{
	struct scope *f = stack_innermost(work->session->rare->stack);

	if (work->last == NULL)
		return NULL;
	if (work->purpose != WORK_EXPIRE)
		return f;
	while (f->state == SCOPE_EXPIRED && f != work->last)
		f = stack_outside(work->session->rare->stack, f);
	return f->state == SCOPE_EXPIRED ? NULL : f;
}

/* Before a joined scope ends, its members do. Returns false while that takes time. */
static bool
members_have_left(struct work *work, struct scope *f)
{
	if (f->kind != SCOPE_JOINT)
		return true;
	joint_close(f, work->purpose == WORK_EXPIRE ? "a limit has passed, and it is rolled back"
		       : work->rollback || work->purpose != WORK_EXIT ? "it is rolled back"
								      : "its owner has left it");
	if (!joint_is_closed(f)) {
		if (work->state != WORK_MEMBERS)
			work_set_state(work, WORK_MEMBERS);
		return false;
	}
	joint_close_lost(f);
	joint_give_back(f);
	if (work->state == WORK_MEMBERS)
		work_set_state(work, WORK_NEXT);
	return true;
}

static bool
begin_next_frame(struct work *work)
{
	struct session *s = work->session;
	struct scope *f = next_frame(work);
	struct err e;

	if (f == NULL)
		return false;
	if (!members_have_left(work, f))
		return true;
	work->frame = f;
	work->exit_us = loop_now_us(s->site->loop);
	work_set_phase(work, WORK_BEFORE);
	work->good = !work->rollback && work->purpose == WORK_EXIT;
	if (!scope_is_begin(f) && s->site->conf->log_scopes)
		log_info("session", s->id, "scope exit", LOG_TEXT("name", f->name),
			 LOG_TEXT("why", work->purpose == WORK_EXPIRE ? "expired"
					 : work->purpose == WORK_UNDO ? "not entered"
					 : work->swept                ? "left behind"
								      : "asked"));
	if (f->state == SCOPE_EXPIRED) {
		if (work->good && f->kind == SCOPE_BLOCK) {
			work->lost = true;
		} else if (work->good) {
			scopes_expired_error(f, &e);
			fail_frame(work, &e, NULL);
			err_clear(&e);
		}
		work->good = false;
		work_set_state(work, WORK_DONE);
	} else if (scope_base(f) == NULL) {
		waits_end(&s->site->waits, s->id);
		work_set_state(work, WORK_DONE);
	} else {
		begin_transaction_end(work);
	}
	return true;
}

static void
statement_ended(struct work *work)
{
	struct session *s = work->session;
	struct progress *p = &s->hold->lease.srv->progress;
	enum inquiry_state how = inquiry_take(s);

	switch (work->state) {
	case WORK_POINT:
		if (!inquiry_failed(s)) {
			send_deferred(work, work->point);
		} else if (work->phase != WORK_BEFORE) {
			fail_around(work);
		} else {
			fail_ahead(work);
		}
		return;
	case WORK_DEFERRED:
		deferred_ended(work);
		return;
	case WORK_UNPOINT:
		point_ended(work, how);
		return;
	case WORK_COMMIT:
		if (!inquiry_failed(s)) {
			run_phase(work, WORK_CLEANUP);
			return;
		}
		commit_refused(work);
		if (scope_is_savepoint(work->frame) || p->status != 'I') {
			roll_back(work);
		} else {
			run_phase(work, WORK_AFTER);
		}
		return;
	case WORK_ROLLBACK:
		rolled_back(work);
		return;
	default:
		parameters_saved(work, how);
	}
}

void
exit_go(struct work *work)
{
	const struct session *s = work->session;

	for (;;) {
		if (inquiry_state(s) == INQUIRY_ASKED || work->purpose == WORK_NONE)
			return;
		if (inquiry_has_ended(s))
			statement_ended(work);
		else if (work->state == WORK_RUN)
			run_next(work);
		else if (work->state == WORK_SAVE)
			save_parameters(work);
		else if (work->state == WORK_DONE)
			end_frame(work);
		else if (!begin_next_frame(work))
			break;
		else if (work->state == WORK_MEMBERS)
			return;
	}
	executor_finish(work);
}

void
exit_begin(struct work *work, struct scope *last, bool rollback)
{
	work->frame = NULL;
	work->last = last;
	work->rollback = rollback;
	work->began_us = last->asked_us;
}
