#include "executor/exit.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "executor/executor.h"
#include "session/context.h"
#include "session/end.h"
#include "session/reply.h"
#include "session/site.h"
#include "session/slow.h"
#include "wire/frame.h"
#include "wire/msg.h"
#include "wire/sqlclass.h"

/* ---- the order of what was deferred ---- */

/* Is it to be run now? */
static bool
due(const struct scopes *sc, const struct deferred *d)
{
	if (sc->cleaning)
		return d->when == DEFERRED_CLEANUP;
	if (sc->after)
		return d->when == DEFERRED_ALWAYS || d->when == DEFERRED_ON_ROLLBACK;
	return d->when == DEFERRED_ALWAYS || d->when == DEFERRED_ON_COMMIT;
}

/* From here on they are run: last added first, but those of the definition's cleanup as written. */
static void
rewind_to(struct scopes *sc, bool cleaning)
{
	struct list *l = &sc->frame->deferred;

	sc->cleaning = cleaning;
	sc->next = cleaning ? list_first(l) : list_last(l);
	sc->step = STEP_RUN;
}

/* The next one that is due, or NULL. */
static struct deferred *
take_next(struct scopes *sc)
{
	struct list_node *end = &sc->frame->deferred.head;

	for (;;) {
		struct list_node *n = sc->next;
		struct deferred *d;

		if (n == NULL || n == end) {
			if (!sc->after || sc->cleaning)
				return NULL;
			rewind_to(sc, true);
			continue;
		}
		sc->next = sc->cleaning ? n->next : n->prev;
		d = LIST_OBJ(n, struct deferred, node);
		if (due(sc, d))
			return d;
	}
}

/* ---- what happened ---- */

static void
fail(struct scopes *sc, const struct err *e, const struct buf *raw)
{
	struct scope *f = sc->frame;

	if (sc->doing == SCOPES_UNDOING || sc->doing == SCOPES_EXPIRING)
		return;
	if (f->suppress) {
		reply_notice(sc->session, "NOTICE", e);
		return;
	}
	if (raw)
		frame_fail_raw(sc, raw);
	else
		frame_fail(sc, e);
	/* As an exception that leaves a block: what is around it fails too. */
	sc->rollback = true;
}

static void
scope_failed(struct scope *f, struct err *e)
{
	err_make(e, ERR_SCOPE_FAILED, scope_shown(f));
	if (f->error[0])
		err_detail(e, "first error: SQLSTATE %s", f->error);
}

/* PostgreSQL does not commit. */
static void
commit_refused(struct scopes *sc)
{
	struct session *s = sc->session;
	struct scope *f = sc->frame, *loser = stack_loser(&sc->stack, f);
	struct err e;

	if (f->error[0] == 0)
		memcpy(f->error, s->lease->srv->progress.error, sizeof f->error);
	scope_failed(f, &e);
	if (loser && !f->suppress && sc->doing == SCOPES_EXITING)
		scope_fail(loser, f->error);
	fail(sc, &e, &sc->talk.error);
	err_clear(&e);
	sc->good = false;
}

static void
statement_failed(struct scopes *sc)
{
	struct session *s = sc->session;
	struct scope *f = sc->frame;
	struct err e;

	err_make(&e, ERR_SCOPE_STATEMENT, f->name, talk_message(s));
	memcpy(e.sqlstate, s->lease->srv->progress.error, sizeof e.sqlstate);
	reply_notice(s, "WARNING", &e);
	err_clear(&e);
	f->pool->stats.statement_fails++;
	log_warnx("session", s->id, "scope statement failed", LOG_TEXT("name", f->name),
		  LOG_TEXT("sqlstate", s->lease->srv->progress.error));
}

static void
statement_ran(struct scopes *sc)
{
	sc->frame->pool->stats.statements++;
	if (talk_failed(sc->session))
		statement_failed(sc);
}

/* ---- steps ---- */

static bool
in_transaction(const struct session *s)
{
	return s->lease->srv->progress.status != 'I';
}

/* What runs inside a transaction must not fail it. */
static bool
needs_point(const struct scopes *sc)
{
	return !sc->after || scope_is_savepoint(sc->frame);
}

static void
run_deferred(struct scopes *sc, const struct deferred *d)
{
	struct session *s = sc->session;

	sc->step = STEP_DEFERRED;
	talk_statement(s, d);
}

static void
end_well(struct scopes *sc)
{
	char sql[64];

	sc->step = STEP_COMMIT;
	if (!scope_is_savepoint(sc->frame)) {
		talk_query(sc->session, "COMMIT");
		return;
	}
	snprintf(sql, sizeof sql, "RELEASE SAVEPOINT pgwith_%u", sc->frame->serial);
	talk_query(sc->session, sql);
}

static void
roll_back(struct scopes *sc)
{
	char sql[128];

	sc->step = STEP_ROLLBACK;
	if (!scope_is_savepoint(sc->frame)) {
		talk_query(sc->session, "ROLLBACK");
		return;
	}
	snprintf(sql, sizeof sql, "ROLLBACK TO SAVEPOINT pgwith_%u; RELEASE SAVEPOINT pgwith_%u",
		 sc->frame->serial, sc->frame->serial);
	talk_query(sc->session, sql);
}

static void
run(struct scopes *sc)
{
	struct deferred *d = take_next(sc);

	if (d == NULL) {
		if (sc->after)
			sc->step = STEP_SAVE;
		else
			end_well(sc);
		return;
	}
	if (needs_point(sc)) {
		sc->step = STEP_POINT;
		sc->point = d;
		talk_query(sc->session, "SAVEPOINT pgwith_deferred");
		return;
	}
	run_deferred(sc, d);
}

/* The statement, or what had to stand around it, has ended. */
static void
deferred_ended(struct scopes *sc)
{
	struct session *s = sc->session;
	bool failed = talk_failed(s);

	statement_ran(sc);
	sc->step = STEP_UNPOINT;
	if (needs_point(sc))
		talk_query(s, failed ? "ROLLBACK TO SAVEPOINT pgwith_deferred; "
				       "RELEASE SAVEPOINT pgwith_deferred"
				     : "RELEASE SAVEPOINT pgwith_deferred");
	else if (in_transaction(s))
		talk_query(s, "ROLLBACK");
	else
		sc->step = STEP_RUN;
}

static void
rolled_back(struct scopes *sc)
{
	struct session *s = sc->session;

	if (s->lease->srv->progress.status == (scope_is_savepoint(sc->frame) ? 'T' : 'I')) {
		sc->after = true;
		rewind_to(sc, false);
	} else if (++sc->attempts < SCOPES_ATTEMPTS) {
		roll_back(sc);
	} else {
		server_close(s->lease->srv, "ROLLBACK failed");
	}
}

/* Will the session keep the server because of what it cannot take along? */
static bool
keeps(const struct session *s)
{
	return (s->pinned & ~SESSION_PINS_ASKED) || (s->pinned && !s->undone);
}

static void
release(struct scopes *sc)
{
	struct session *s = sc->session;
	struct lease *l = s->lease;
	const struct server *srv = l->srv;
	bool foreign = l != &s->own;
	bool discard = s->discard || prepared_doubtful(&srv->prepared, &srv->progress) ||
		       (foreign && s->pinned);

	sc->step = STEP_GONE;
	if (!foreign && s->pinned)
		return;
	if (foreign)
		scopes_focus(s, &s->own);
	sc->returning = l;
	sc->discard = discard;
}

/* The transaction is over, and with it the lease, unless it is the session's and pinned. */
static void
save(struct scopes *sc)
{
	struct session *s = sc->session;
	struct buf sql;

	if (scope_is_savepoint(sc->frame)) {
		sc->step = STEP_GONE;
		return;
	}
	if (s->lease == &s->own && keeps(s)) {
		sc->step = STEP_GONE;
		return;
	}
	if (s->lease != &s->own) {
		/* What pins there cannot be kept. */
		s->discard |= s->undone || s->pinned;
		s->undone = false;
	}
	if (!s->changed && !s->undone) {
		release(sc);
		return;
	}
	buf_init(&sql, 1024 * 1024);
	context_ask(s, true, &sql);
	talk_ask(s, (char *)buf_data(&sql));
	buf_clear(&sql);
}

static void
saved(struct scopes *sc)
{
	struct session *s = sc->session;
	bool good = !talk_failed(s) && context_take(s, &sc->talk.kept);
	struct err e;

	if (!good && strcmp(s->lease->srv->progress.error, "57014") == 0 &&
	    ++sc->attempts < SCOPES_ATTEMPTS) {
		sc->step = STEP_SAVE;
		return;
	}
	if (!good && !s->undone && !s->context.pin) {
		err_make(&e, ERR_SETUP_FAILED, s->pool->conf->name,
			 "what the session has set cannot be kept, and the pool has pin = off");
		session_fail(s, &e);
		err_clear(&e);
		return;
	}
	if (!good)
		context_untold(s, s->lease->srv->progress.error);
	s->changed = s->undone = false;
	release(sc);
}

/* ---- frames ---- */

/* EXIT ALL: the failure of a frame inside this one ends here. */
static void
suppress(struct scopes *sc)
{
	struct scope *f = sc->frame;
	const char *sqlstate;
	struct err e;

	sqlstate = msg_report_field(buf_data(&sc->failure) + FRAME_HEADER,
				    sc->failure.len - FRAME_HEADER, 'C');
	scope_fail(f, sqlstate ? sqlstate : "40000");
	scope_failed(f, &e);
	reply_notice(sc->session, "NOTICE", &e);
	err_clear(&e);
	buf_reset(&sc->failure);
	sc->rollback = sc->statement->rollback;
}

static void
gone(struct scopes *sc)
{
	struct scope *f = sc->frame;
	bool last = f == sc->last;
	struct grammar *g = sc->statement;

	if (f->suppress && sc->doing == SCOPES_EXITING && sc->failure.len > 0)
		suppress(sc);

	if (last && g && g->chain && f->modes) {
		free(g->modes);
		g->modes = mem_strdup(f->modes);
	}
	sc->frame = NULL;
	sc->step = STEP_NEXT;
	if (sc->doing == SCOPES_EXPIRING) {
		f->state = SCOPE_EXPIRED;
		f->lease = NULL;
		f->expire_due = false;
		scope_deferred_forget(f);
		if (!scope_is_begin(f))
			frame_log_end(sc, f, TIMING_EXPIRED, "expired");
		else if (sc->session->slow && f->kind == SCOPE_IMPLICIT)
			slow_frame(sc->session, f, "expired", sc->exit_us);
		lock_leave(&f->hold);
	} else {
		frame_pop(sc, f,
			  f->state == SCOPE_EXPIRED ? TIMING_EXPIRED
			  : sc->good                ? TIMING_SUCCESS
						    : TIMING_ERROR,
			  f->state == SCOPE_EXPIRED  ? "expired"
			  : sc->good                 ? "success"
			  : f->failed || f->error[0] ? "error"
						     : "rolled back");
	}
	if (last)
		sc->last = NULL;
	/* At last, so that the log tells of this one's end before the next session has the server.
	 */
	if (sc->returning) {
		struct lease *l = sc->returning;

		sc->returning = NULL;
		lease_return(l, sc->discard);
	}
}

/* The transaction that `f` is in has no server any more, or never had one. */
static bool
holds_nothing(const struct scope *f)
{
	const struct lease *l = scope_base((struct scope *)f)->lease;

	return l == NULL || l->state != LEASE_HELD;
}

static void
begin_transaction_end(struct scopes *sc)
{
	struct session *s = sc->session;
	struct scope *f = sc->frame;
	struct progress *p;
	struct err e;

	if (f->kind == SCOPE_TRANSACTION && f->lease && f->lease->state == LEASE_WAITING) {
		waits_end(&s->site->waits, s->id);
		lease_leave(f->lease);
	}
	if (holds_nothing(f)) {
		sc->good = false;
		sc->step = STEP_GONE;
		return;
	}
	scopes_focus(s, scope_base(f)->lease);
	p = &s->lease->srv->progress;
	if (sc->good && (p->status != 'T' || f->failed)) {
		sc->good = false;
		if (p->status == 'E' && f->error[0] == 0)
			memcpy(f->error, p->error[0] ? p->error : "25P02", sizeof f->error);
		if (f->kind == SCOPE_BLOCK && !f->failed) {
			/* The client knows: nothing has been done in it since. */
			sc->lost = true;
		} else {
			scope_failed(f, &e);
			fail(sc, &e, NULL);
			err_clear(&e);
		}
	}
	if (!f->begun || p->status == 'I') {
		/* Of a savepoint that was not made nothing is left but the transaction's failure.
		 */
		sc->after = true;
		rewind_to(sc, false);
	} else if (sc->good) {
		rewind_to(sc, false);
	} else {
		roll_back(sc);
	}
}

/* The innermost one that is still to be done; NULL: all are. */
static struct scope *
next_frame(const struct scopes *sc)
{
	struct scope *f = stack_innermost(&sc->stack);

	if (sc->last == NULL)
		return NULL;
	if (sc->doing != SCOPES_EXPIRING)
		return f;
	while (f->state == SCOPE_EXPIRED && f != sc->last)
		f = stack_outside(&sc->stack, f);
	return f->state == SCOPE_EXPIRED ? NULL : f;
}

static bool
next(struct scopes *sc)
{
	struct session *s = sc->session;
	struct scope *f = next_frame(sc);
	struct err e;

	if (f == NULL)
		return false;
	sc->frame = f;
	sc->exit_us = loop_now_us(s->site->loop);
	sc->after = false;
	sc->attempts = 0;
	sc->good = !sc->rollback && sc->doing == SCOPES_EXITING;
	if (!scope_is_begin(f) && s->site->conf->log_scopes)
		log_info("session", s->id, "scope exit", LOG_TEXT("name", f->name),
			 LOG_TEXT("why", sc->doing == SCOPES_EXPIRING  ? "expired"
					 : sc->doing == SCOPES_UNDOING ? "not entered"
					 : sc->swept                   ? "left behind"
								       : "asked"));
	if (f->state == SCOPE_EXPIRED) {
		if (sc->good && f->kind == SCOPE_BLOCK) {
			sc->lost = true;
		} else if (sc->good) {
			scopes_expired_error(f, &e);
			fail(sc, &e, NULL);
			err_clear(&e);
		}
		sc->good = false;
		sc->step = STEP_GONE;
	} else if (scope_base(f) == NULL) {
		waits_end(&s->site->waits, s->id);
		sc->step = STEP_GONE;
	} else {
		begin_transaction_end(sc);
	}
	return true;
}

static void
heard(struct scopes *sc)
{
	struct session *s = sc->session;
	struct progress *p = &s->lease->srv->progress;

	sc->talk.ended = false;
	switch (sc->step) {
	case STEP_POINT:
		if (!talk_failed(s)) {
			run_deferred(sc, sc->point);
		} else if (sc->after) {
			statement_failed(sc);
			sc->step = STEP_RUN;
		} else {
			sc->good = false;
			commit_refused(sc);
			roll_back(sc);
		}
		return;
	case STEP_DEFERRED:
		deferred_ended(sc);
		return;
	case STEP_UNPOINT:
		sc->step = STEP_RUN;
		return;
	case STEP_COMMIT:
		if (!talk_failed(s)) {
			sc->after = true;
			rewind_to(sc, true);
			return;
		}
		commit_refused(sc);
		if (scope_is_savepoint(sc->frame) || p->status != 'I') {
			roll_back(sc);
		} else {
			sc->after = true;
			rewind_to(sc, false);
		}
		return;
	case STEP_ROLLBACK:
		rolled_back(sc);
		return;
	default:
		saved(sc);
	}
}

void
exit_go(struct scopes *sc)
{
	const struct session *s = sc->session;

	for (;;) {
		if (s->state == SESSION_CLOSED || s->state == SESSION_CLOSING || sc->talk.busy ||
		    sc->doing == SCOPES_NOTHING || sc->doing == SCOPES_LEAVING)
			return;
		if (sc->talk.ended)
			heard(sc);
		else if (sc->step == STEP_RUN)
			run(sc);
		else if (sc->step == STEP_SAVE)
			save(sc);
		else if (sc->step == STEP_GONE)
			gone(sc);
		else if (!next(sc))
			break;
	}
	executor_finish(sc);
}

void
exit_begin(struct scopes *sc, enum scopes_doing doing, struct scope *last, bool rollback)
{
	sc->doing = doing;
	sc->step = STEP_NEXT;
	sc->frame = NULL;
	sc->last = last;
	sc->rollback = rollback;
	sc->talk.ended = false;
	sc->began_us = last->asked_us;
	exit_go(sc);
}
