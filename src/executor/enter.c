#include "executor/enter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "conf/conf.h"
#include "executor/enter_wait.h"
#include "executor/executor.h"
#include "executor/exit.h"
#include "executor/expire.h"
#include "executor/joint.h"
#include "executor/joint_outside.h"
#include "executor/opening.h"
#include "executor/wanted.h"
#include "session/holds.h"
#include "session/inquiry.h"
#include "session/readonly.h"
#include "session/site.h"
#include "session/slow.h"

const struct grammar_item *
enter_item(const struct work *work)
{
	return &work->statement->items[work->item];
}

/* ---- one item ---- */

static void
on_deadline(void *arg)
{
	struct scope *f = arg;

	expire_scope(f->owner, f, ERR_SCOPE_DEADLINE);
}

static void
set_deadline(struct work *work, struct scope *f, int64_t us)
{
	char text[32];

	if (us == 0)
		return;
	f->deadline_us = f->asked_us + us;
	f->deadline_text = mem_strdup(units_duration_str(us, text, sizeof text));
	timer_init(&f->timer, work->session->site->loop, on_deadline, f);
	timer_start(&f->timer, us);
}

static struct scope *
push_frame(struct work *work, enum scope_kind kind, const char *name)
{
	struct session *s = work->session;
	struct scope *f =
	    stack_push(work->session->rare->stack, kind, name, loop_now_us(s->site->loop));

	f->owner = s;
	if (s->rare->slow)
		f->statements_before = s->rare->slow->statements;
	work->frame = f;
	scopes_trace(s, f, TRACE_ENTERING);
	if (kind != SCOPE_IMPLICIT)
		work->entered++;
	return f;
}

static void
log_granted(const struct work *work, const struct scope *f)
{
	if (!work->session->site->conf->log_scopes)
		return;
	log_info("session", work->session->id, "scope granted", LOG_TEXT("name", f->name),
		 LOG_QUOTED("kind", scope_kind_name(f)),
		 LOG_TEXT("pool", f->pool ? f->pool->conf->name : ""),
		 LOG_MS("waited", f->granted_us - f->asked_us));
}

/* The frame has got its lease or lock. A lock is open then; with a lease, the server is set up. */
static void
frame_granted(struct work *work)
{
	struct session *s = work->session;
	struct scope *f = work->frame;

	waits_end(&s->site->waits, s->id);
	f->granted_us = loop_now_us(s->site->loop);
	if (f->kind != SCOPE_BLOCK)
		log_granted(work, f);
	if (s->rare->slow && f->kind != SCOPE_BLOCK)
		slow_granted(s, f);
	if (!scope_is_begin(f))
		timing_add(scopes_timing(work->session, f), TIMING_WAIT,
			   f->granted_us - f->asked_us);
	enter_wait_stop_timer(work);
	if (f->pool == NULL) {
		f->state = SCOPE_OPEN;
		f->opened_us = f->granted_us;
		scopes_trace(s, f, TRACE_OPEN);
		timing_add(scopes_timing(work->session, f), TIMING_ENTER, 0);
		work->item++;
		if (work->state != WORK_NEXT)
			work_set_state(work, WORK_NEXT);
		return;
	}
	scopes_focus(s, hold_of(f->base ? f->base->lease : f->lease));
	work_set_state(work, WORK_SETUP);
}

static void
on_lock(struct lock_hold *hold)
{
	struct scope *f = LIST_OBJ(hold, struct scope, hold);
	struct session *s = f->owner;

	enter_granted(s->rare->work);
}

const struct lock_ops enter_lock_ops = {on_lock};

static void
want_lock(struct work *work, const struct wanted *w)
{
	static const enum scope_kind kinds[] = {
	    [LOCK_EXCLUSIVE] = SCOPE_LOCK,
	    [LOCK_SHARED] = SCOPE_SHARED_LOCK,
	    [LOCK_SEMAPHORE] = SCOPE_SEMAPHORE,
	};
	enum lock_mode mode = w->item->kind == GRAMMAR_SEMAPHORE ? LOCK_SEMAPHORE
			      : w->item->shared                  ? LOCK_SHARED
								 : LOCK_EXCLUSIVE;
	struct session *s = work->session;
	struct scope *f = push_frame(work, kinds[mode], w->name);
	char text[160];
	struct err e;
	int r;

	f->suppress = w->item->suppress;
	f->named = w->item->as != NULL;
	set_deadline(work, f, w->deadline_us);
	r = lock_enter(&s->site->locks, &f->hold, w->item->key.text, mode, w->limit, s->id,
		       &enter_lock_ops, f);
	if (r == -E_RANGE) {
		snprintf(text, sizeof text, "semaphore \"%.60s\" is open with LIMIT %u, not %u",
			 w->item->key.text, f->hold.limit, w->limit);
		err_make(&e, ERR_SCOPE_VALUE, text);
		frame_fail_enter(work, &e);
	} else if (r == -E_AGAIN) {
		enter_wait_begin(work);
	} else {
		frame_granted(work);
	}
}

/* lease_enter() has returned `r`, and *e if that is an error. */
static void
go_on_with_lease(struct work *work, int r, struct err *e)
{
	if (r == -E_AGAIN) {
		enter_wait_begin(work);
	} else if (r == 0) {
		executor_fresh(work->session, work->frame->lease);
		frame_granted(work);
	} else {
		frame_fail_enter(work, e);
	}
}

static void
want_lease(struct work *work, struct scope *f)
{
	struct session *s = work->session;
	struct err e;
	int r;

	/* In its own pool the session uses its own lease, if no scope does: what pins the session
	 * is on that server. */
	if (f->pool == s->pool && !f->joinable &&
	    stack_of_lease(work->session->rare->stack, &s->own->lease) == NULL) {
		f->lease = &holds_need(s)->lease;
	} else {
		lease_init(&f->own.lease, s->site->ops->lease, s, s->id);
		f->lease = &f->own.lease;
	}
	if (f->lease->state == LEASE_HELD) {
		frame_granted(work);
		return;
	}
	joint_outside_note(s);
	readonly_set(hold_of(f->lease), READONLY_NONE);
	hold_of(f->lease)->apart = f->apart;
	r = lease_enter(f->lease, f->pool, &e);
	if (r == -E_STATE && f->apart && readonly_may_fall_back(s, &e)) {
		err_clear(&e);
		hold_of(f->lease)->apart = f->apart = false;
		f->pool = s->pool;
		want_lease(work, f);
		return;
	}
	f->lease->hasty = r == -E_AGAIN && f->apart && s->pool->conf->read_only_fallback;
	go_on_with_lease(work, r, &e);
}

void
enter_again(struct work *work)
{
	struct session *s = work->session;
	struct scope *f = work->frame;
	struct err e;
	int r;

	s->context.wants_fresh = true;
	lease_close(f->lease, "it refused the parameters of a session");
	r = lease_enter_fresh(f->lease, f->pool, &e);
	if (r != 0 && r != -E_AGAIN)
		s->context.wants_fresh = false;
	go_on_with_lease(work, r, &e);
}

/* Does the session keep a server, for what it has there, outside of all scopes? */
static bool
keeps_server(const struct session *s)
{
	return s->own->lease.state == LEASE_HELD &&
	       stack_of_lease(s->rare->stack, &s->own->lease) == NULL;
}

static void
want_transaction(struct work *work, const struct wanted *w)
{
	const struct grammar_item *item = w->item;
	struct scope *base =
	    item->fresh ? NULL : stack_transaction_on(work->session->rare->stack, w->pool);
	struct scope *f;
	struct err e;

	if (item->joinable && keeps_server(work->session)) {
		/* Its statements would go there, and not into the scope. */
		const char *pin = session_pin_name(work->session);

		err_make(&e, ERR_JOINABLE_PINNED, pin ? pin : "statement");
		frame_fail_enter(work, &e);
		return;
	}
	if (base == NULL) {
		f = push_frame(work, SCOPE_TRANSACTION, w->name);
		f->pool = w->pool;
		f->apart = w->apart;
		f->named = item->name != NULL || item->as != NULL;
		f->suppress = item->suppress || (w->def && w->def->suppress);
		f->joinable = item->joinable;
		set_deadline(work, f, w->deadline_us);
		want_lease(work, f);
		return;
	}
	if (base->lease->srv->progress.status == 'E' || base->failed) {
		err_make(&e, ERR_SCOPE_ABORTED, "ENTER");
	} else if (item->joinable) {
		err_make(&e, ERR_SCOPE_VALUE,
			 "a scope inside a transaction of its pool is a savepoint and cannot be "
			 "joined");
		err_hint(&e, "NEW makes it a second transaction");
	} else if (item->isolation != GRAMMAR_DEFAULT ||
		   (w->def && w->def->isolation != CONF_ISOLATION_DEFAULT)) {
		err_make(
		    &e, ERR_SCOPE_VALUE,
		    "a scope inside a transaction of its pool is a savepoint and cannot have an "
		    "isolation level of its own");
		err_hint(&e, "NEW makes it a second transaction");
	} else {
		f = push_frame(work, SCOPE_SAVEPOINT, w->name);
		f->pool = w->pool;
		f->base = base;
		f->named = item->name != NULL || item->as != NULL;
		f->suppress = item->suppress || (w->def && w->def->suppress);
		/* scope_deadline of the pool is for whole transactions, not for savepoints. */
		if (item->deadline.given || (w->def && w->def->deadline_us > 0))
			set_deadline(work, f, w->deadline_us);
		frame_granted(work);
		return;
	}
	frame_fail_enter(work, &e);
}

/* A BEGIN of the client's inside a scope: a savepoint. */
static void
want_block(struct work *work)
{
	struct scope *base = stack_current(work->session->rare->stack),
		     *f = push_frame(work, SCOPE_BLOCK, "");

	f->pool = base->pool;
	f->base = base;
	f->modes = work->statement->modes ? mem_strdup(work->statement->modes) : NULL;
	work->wait_us = -1;
	frame_granted(work);
}

static void
enter_next_item(struct work *work)
{
	struct session *s = work->session;
	struct wanted w = {.item = enter_item(work)};
	struct err e;

	work->timed_out = work->contended = false;
	if (work->statement->verb != GRAMMAR_ENTER) {
		want_block(work);
		return;
	}
	switch (wanted_find(&w, work, &e)) {
	case ACCESS_YES:
		break;
	case ACCESS_NO:
		frame_fail_enter(work, &e);
		return;
	case ACCESS_ASK:
		if (work->state != WORK_USER) {
			work->user_us = loop_now_us(s->site->loop);
			work_set_state(work, WORK_USER);
		}
		session_begins_to_wait(s);
		return;
	}
	if (work->state == WORK_USER)
		work_set_state(work, WORK_NEXT);
	if (slow_wanted(w.pool ? w.pool : s->pool))
		slow_watch(s);
	if (s->site->conf->log_scopes)
		log_info("session", s->id, "scope enter", LOG_TEXT("name", w.name),
			 LOG_TEXT("pool", w.pool ? w.pool->conf->name : ""));
	if (w.pool)
		want_transaction(work, &w);
	else
		want_lock(work, &w);
}

bool
enter_waits(const struct session *s)
{
	const struct work *work = s->rare->work;

	return s->state == SESSION_SCOPE && work && work->purpose == WORK_ENTER &&
	       (work->state == WORK_WAIT || work->state == WORK_USER);
}

bool
enter_looks_up(const struct session *s)
{
	const struct work *work = s->rare->work;

	return s->state == SESSION_SCOPE && work && work->purpose == WORK_ENTER &&
	       work->state == WORK_USER;
}

void
enter_looked_up(struct session *s)
{
	struct work *work = s->rare->work;

	enter_next_item(work);
	session_wake(s);
}

void
enter_not_looked_up(struct session *s, const struct err *e)
{
	struct work *work = s->rare->work;
	struct err copy;

	err_copy(&copy, e);
	work_set_state(work, WORK_NEXT);
	frame_fail_enter(work, &copy);
	session_wake(s);
}

/* ---- after another process ---- */

static void
adopt_deadline(struct scope *f, int64_t now)
{
	int64_t us = f->deadline_us > now ? f->deadline_us - now : 0;
	struct session *s = f->owner;

	if (f->deadline_us == 0)
		return;
	timer_init(&f->timer, s->site->loop, on_deadline, f);
	if (f->state != SCOPE_EXPIRED && !f->expire_due)
		timer_start(&f->timer, us);
}

void
enter_adopted(struct session *s)
{
	struct work *work = s->rare->work;
	struct list_node *n;

	LIST_EACH (n, &s->rare->stack->frames)
		adopt_deadline(LIST_OBJ(n, struct scope, node), loop_now_us(s->site->loop));
	if (work == NULL)
		return;
	enter_wait_note(work);
	enter_wait_start_timer(work, 0);
}

/* Returns the frame that this ENTER has entered first. */
static struct scope *
first_entered(const struct work *work)
{
	struct scope *f = stack_innermost(work->session->rare->stack);

	for (unsigned i = 1; i < work->entered; i++)
		f = stack_outside(work->session->rare->stack, f);
	return f;
}

/* Exits again what the ENTER has entered. */
static void
exit_entered(struct work *work)
{
	struct session *s = work->session;
	struct list_node *n;

	enter_wait_stop_timer(work);
	while ((n = list_first(&work->run)) != NULL) {
		list_remove(&work->run, n);
		deferred_free(LIST_OBJ(n, struct deferred, node));
	}
	if (work->entered > 0) {
		exit_begin(work, first_entered(work), true);
		exit_go(work);
		return;
	}
	/* No server could be had for the client's own BEGIN, which comes before the first item. */
	if (work->frame && work->frame->kind == SCOPE_IMPLICIT) {
		block_set_state(&s->block, s->id, BLOCK_BEGUN);
		exit_begin(work, work->frame, true);
		exit_go(work);
		return;
	}
	executor_finish(work);
}

void
enter_go(struct work *work)
{
	while (work->purpose == WORK_ENTER) {
		if (inquiry_state(work->session) == INQUIRY_ASKED)
			return;
		if (inquiry_has_ended(work->session))
			opening_go_on(work);
		else if (work->state == WORK_WAIT || work->state == WORK_USER)
			return;
		else if (work->state == WORK_SETUP)
			opening_start(work);
		else if (work->item == work->statement->nitems)
			break;
		else
			enter_next_item(work);
		if (session_ends(work->session))
			return;
	}
	if (work->purpose == WORK_ENTER)
		executor_finish(work);
	else if (work->purpose == WORK_UNDO)
		exit_entered(work);
}

void
enter_begin(struct work *work)
{
	struct session *s = work->session;
	const struct lease *own = &s->own->lease;
	struct scope *f;

	if (s->block.state == BLOCK_BEGUN) {
		/* The client's BEGIN was answered here: it goes to a server first. */
		block_set_state(&s->block, s->id, BLOCK_NONE);
		if (slow_wanted(s->pool))
			slow_watch(s);
		f = push_frame(work, SCOPE_IMPLICIT, "");
		f->pool = s->pool;
		/* It waits as long as any transaction of the pool: WAIT is for the items. */
		work->wait_us = -1;
		want_lease(work, f);
	} else if (own->state == LEASE_HELD && own->srv->progress.status == 'T' &&
		   stack_of_lease(work->session->rare->stack, own) == NULL) {
		scopes_implicit(s);
	}
	enter_go(work);
}

void
enter_chain(struct work *work)
{
	work_turn(work, WORK_ENTER);
	work->item = work->entered = 0;
	work->frame = NULL;
	session_wake(work->session);
}

void
enter_granted(struct work *work)
{
	frame_granted(work);
	session_wake(work->session);
}

/* The pool for what only reads cannot be reached: the item is entered again, in the session's own
 * pool. */
static void
enter_item_again(struct work *work)
{
	struct session *s = work->session;
	struct scope *f = work->frame;

	waits_end(&s->site->waits, s->id);
	enter_wait_stop_timer(work);
	timer_stop(&f->timer);
	work->entered--;
	work->frame = NULL;
	scopes_trace(s, f, TRACE_ENDED);
	stack_pop(s->rare->stack, f);
	loop_defer(s->site->loop, scope_free, f);
	work_set_state(work, WORK_NEXT);
	session_wake(s);
}

void
enter_refused(struct work *work, struct err *e)
{
	if (work->state == WORK_WAIT && work->frame->apart &&
	    readonly_may_fall_back(work->session, e)) {
		err_clear(e);
		enter_item_again(work);
		return;
	}
	if (work->state == WORK_WAIT) {
		enter_wait_end(work, e);
		session_wake(work->session);
	}
}
