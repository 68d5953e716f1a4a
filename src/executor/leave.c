#include "executor/leave.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "executor/executor.h"
#include "session/end.h"
#include "session/script.h"
#include "session/site.h"

/* ---- what a frame leaves to be done ---- */

static void
add(struct todo *todo, const struct scope *f, const struct deferred *d)
{
	char label[128];

	snprintf(label, sizeof label, "scope %s", f->name);
	todo_add(todo, d->sql, (const char *const *)d->values, d->nvalues, d->used, label);
}

/* Last added first; then its definition's cleanup, as written. */
static void
plan(const struct scope *f, struct todo *todo)
{
	const struct list_node *n;

	todo_init(todo);
	for (n = f->deferred.head.prev; n != &f->deferred.head; n = n->prev) {
		const struct deferred *d = LIST_OBJ(n, const struct deferred, node);

		if (d->when == DEFERRED_ALWAYS || d->when == DEFERRED_ON_ROLLBACK)
			add(todo, f, d);
	}
	LIST_EACH (n, &f->deferred)
		if (LIST_OBJ(n, const struct deferred, node)->when == DEFERRED_CLEANUP)
			add(todo, f, LIST_OBJ(n, const struct deferred, node));
}

/* ---- one after the other ---- */

/* Begins to end the innermost one. */
static void
end_frame(struct scopes *sc, struct scope *f)
{
	struct session *s = sc->session;
	struct scope *base = scope_base(f);
	struct todo todo;

	sc->frame = f;
	sc->exit_us = loop_now_us(s->site->loop);
	sc->step = STEP_GONE;
	if (!scope_is_begin(f) && s->site->conf->log_scopes)
		log_info("session", s->id, "scope exit", LOG_TEXT("name", f->name),
			 LOG_QUOTED("why", sc->gone_text));
	if (base == NULL || base->lease == NULL)
		return;
	lease_leave(base->lease);
	if (base->lease->state != LEASE_HELD)
		return;
	plan(f, &todo);
	sc->step = STEP_WAIT;
	lease_clean(base->lease, sc->gone_why, &todo, f != base, true);
	todo_clear(&todo);
}

static void
leave_go(struct scopes *sc)
{
	struct session *s = sc->session;
	struct scope *f;

	/* A cleanup that ends at once comes back to here. */
	if (sc->leaving)
		return;
	sc->leaving = true;
	while (sc->step != STEP_WAIT) {
		if (sc->step == STEP_GONE && sc->frame)
			frame_pop(sc, sc->frame, TIMING_CANCELLED, "cancelled");
		sc->frame = NULL;
		sc->step = STEP_NEXT;
		f = stack_innermost(&sc->stack);
		if (f == NULL)
			break;
		end_frame(sc, f);
	}
	sc->leaving = false;
	if (sc->step == STEP_WAIT)
		return;
	sc->doing = SCOPES_NOTHING;
	session_close(s, sc->gone_why, sc->gone_text);
}

void
leave_ended(struct scopes *sc)
{
	sc->step = STEP_GONE;
	leave_go(sc);
}

/* What it waits for must not come any more: something else may have to end first. */
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

static void
begin(struct scopes *sc)
{
	struct session *s = sc->session;
	struct prepared_set *set = s->lease->srv ? &s->lease->srv->prepared : NULL;

	script_drop(s);
	waits_end(&s->site->waits, s->id);
	if (sc->timing)
		evtimer_del(&sc->timer);
	sc->timing = false;
	sc->doing = SCOPES_LEAVING;
	sc->talk.busy = sc->talk.ended = false;
	sc->frame = NULL;
	sc->step = STEP_NEXT;
	stream_close(&s->stream);
	session_set_state(s, SESSION_LEAVING);
	if (s->context.names)
		names_clear(s->context.names, set);
	unnamed_forget(&s->context.unnamed, set ? &set->tracked : NULL);
	lease_leave(&s->own);
	stop_waiting(stack_innermost(&sc->stack));
	/* Its own lease, if no scope has it, is what was taken last, or is at rest. */
	if (s->own.state == LEASE_HELD && stack_of_lease(&sc->stack, &s->own) == NULL) {
		sc->step = STEP_WAIT;
		lease_clean(&s->own, sc->gone_why, NULL, false, true);
		if (sc->step == STEP_WAIT)
			return;
	}
	leave_go(sc);
}

/* The daemon ends now: nothing is waited for. */
static void
abandon(struct scopes *sc)
{
	struct session *s = sc->session;
	struct scope *f;

	waits_end(&s->site->waits, s->id);
	if (sc->timing)
		evtimer_del(&sc->timer);
	sc->timing = false;
	sc->doing = SCOPES_NOTHING;
	s->lease = &s->own;
	while ((f = stack_innermost(&sc->stack)) != NULL) {
		struct lease *l = f->lease;

		lock_leave(&f->hold);
		if (l) {
			lease_leave(l);
			lease_forget(l);
			if (l->state == LEASE_HELD)
				lease_end(l, sc->gone_why);
		}
		frame_pop(sc, f, TIMING_CANCELLED, "abandoned");
	}
	lease_leave(&s->own);
	lease_forget(&s->own);
}

bool
leave_scopes(struct session *s, enum cleanup_why why, const char *text)
{
	struct scopes *sc = s->scopes;

	if (sc->doing == SCOPES_NOTHING && sc->stack.frames.count == 0)
		return false;
	if (!sc->gone) {
		sc->gone = true;
		sc->gone_why = why;
		sc->gone_text = text;
	}
	if (s->site->phase == SITE_STOPPED) {
		abandon(sc);
		return false;
	}
	switch (sc->doing) {
	case SCOPES_LEAVING:
		return true;
	case SCOPES_UNDOING:
	case SCOPES_EXITING:
	case SCOPES_EXPIRING:
		/* What has begun is ended first. */
		stream_close(&s->stream);
		return true;
	default:
		begin(sc);
		return true;
	}
}
