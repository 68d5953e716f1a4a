#include "executor/enter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "conf/conf.h"
#include "executor/executor.h"
#include "executor/exit.h"
#include "executor/expire.h"
#include "executor/opening.h"
#include "executor/wanted.h"
#include "session/site.h"
#include "session/slow.h"

void
enter_fail(struct scopes *sc, struct err *e)
{
	frame_fail(sc, e);
	err_clear(e);
	sc->doing = SCOPES_UNDOING;
}

const struct grammar_item *
enter_item(const struct scopes *sc)
{
	return &sc->statement->items[sc->item];
}

/* ---- waiting ---- */

static const char *
kind_of_wait(const struct scope *f)
{
	return f->pool ? "pool" : f->kind == SCOPE_SEMAPHORE ? "semaphore" : "lock";
}

static const char *
name_of_wait(const struct scope *f)
{
	return f->pool ? f->pool->conf->name : f->hold.lock ? f->hold.lock->name : f->name;
}

/* Who has the lock that was waited for, as a pool's time-out says who has its servers. */
static void
name_holder(const struct scopes *sc, struct err *e)
{
	const struct lock *lock = sc->frame->hold.lock;
	const struct site *site = sc->session->site;
	unsigned others = 0;
	char who[192] = "", more[48] = "", held[32] = "";
	struct list_node *n;

	if (lock == NULL)
		return;
	LIST_EACH (n, &lock->holders) {
		const struct lock_hold *hold = LIST_OBJ(n, const struct lock_hold, node);
		const struct session *s = idmap_get(&site->sessions, hold->session);

		if (s == NULL || s == sc->session)
			continue;
		if (others++ > 0)
			continue;
		session_describe(s, who, sizeof who);
		units_duration_str((loop_now_us(site->loop) - hold->since_us) / UNIT_MS * UNIT_MS,
				   held, sizeof held);
	}
	if (others > 1)
		snprintf(more, sizeof more, ", and by %u more", others - 1);
	if (others > 0)
		err_detail(e, "held for %s by %s%s", held, who, more);
}

void
enter_too_long(struct scopes *sc, struct err *e)
{
	const struct scope *f = sc->frame;
	char text[32];

	if (f->pool && !sc->timed_out)
		pool_wait_error(f->pool, sc->wait_us, e);
	else
		err_make(e, ERR_SCOPE_LOCK_WAIT, f->pool ? "lock" : kind_of_wait(f),
			 f->pool ? f->name : name_of_wait(f),
			 units_duration_str(sc->wait_us, text, sizeof text));
	if (f->pool == NULL)
		name_holder(sc, e);
}

void
enter_stop_timer(struct scopes *sc)
{
	if (sc->timing)
		evtimer_del(&sc->timer);
	sc->timing = false;
}

/* Gives up waiting for it, because of the error. */
static void
give_up(struct scopes *sc, struct err *e)
{
	struct scope *f = sc->frame;

	waits_end(&sc->session->site->waits, sc->session->id);
	enter_stop_timer(sc);
	if (f->pool)
		lease_leave(f->lease);
	else
		lock_leave(&f->hold);
	enter_fail(sc, e);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct scopes *sc = arg;
	struct err e;

	sc->timing = false;
	if (sc->doing != SCOPES_ENTERING)
		return;
	if (sc->step == STEP_WAIT) {
		enter_too_long(sc, &e);
		give_up(sc, &e);
		enter_go(sc);
		return;
	}
	/* The wait is one of PostgreSQL's own: for a lock. */
	sc->timed_out = true;
	if (sc->step == STEP_STATEMENT && sc->talk.busy) {
		sc->own_cancel = true;
		lease_cancel(sc->session->lease, 0);
	}
}

/* What WAIT leaves from now on, but at least that. */
void
enter_start_timer(struct scopes *sc, int64_t least_us)
{
	int64_t us = sc->frame->asked_us + sc->wait_us - loop_now_us(sc->session->site->loop);
	struct timeval tv;

	if (sc->wait_us < 0)
		return;
	if (us < least_us)
		us = least_us;
	tv = (struct timeval){.tv_sec = us / UNIT_S, .tv_usec = us % UNIT_S};
	evtimer_assign(&sc->timer, loop_base(sc->session->site->loop), on_timer, sc);
	evtimer_add(&sc->timer, &tv);
	sc->timing = true;
}

/* The frame waits now: may it? */
static void
begin_waiting(struct scopes *sc)
{
	struct session *s = sc->session;
	struct waits *waits = &s->site->waits;
	struct scope *f = sc->frame;
	char *circle = NULL;
	struct err e;

	sc->step = STEP_WAIT;
	if (f->pool)
		waits_begin_lease(waits, s->id, f->lease);
	else
		waits_begin_lock(waits, s->id, &f->hold);
	if (waits_closed(waits, s->id, &circle)) {
		err_make(&e, ERR_SCOPE_DEADLOCK, kind_of_wait(f), name_of_wait(f));
		err_detail(&e, "%s", circle);
		free(circle);
		give_up(sc, &e);
	} else if (sc->wait_us == 0) {
		enter_too_long(sc, &e);
		give_up(sc, &e);
	} else {
		enter_start_timer(sc, 0);
		session_begins_to_wait(s);
	}
}

/* ---- one item ---- */

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct scope *f = arg;

	expire_scope(f->owner, f, ERR_SCOPE_DEADLINE);
}

static void
set_deadline(struct scopes *sc, struct scope *f, int64_t us)
{
	struct timeval tv = {.tv_sec = us / UNIT_S, .tv_usec = us % UNIT_S};
	char text[32];

	if (us == 0)
		return;
	f->deadline_us = f->asked_us + us;
	f->deadline_text = mem_strdup(units_duration_str(us, text, sizeof text));
	evtimer_assign(&f->timer, loop_base(sc->session->site->loop), on_deadline, f);
	evtimer_add(&f->timer, &tv);
}

static struct scope *
push(struct scopes *sc, enum scope_kind kind, const char *name)
{
	struct session *s = sc->session;
	struct scope *f = stack_push(&sc->stack, kind, name, loop_now_us(s->site->loop));

	f->owner = s;
	if (s->slow)
		f->statements_before = s->slow->statements;
	sc->frame = f;
	if (kind != SCOPE_IMPLICIT)
		sc->entered++;
	return f;
}

static void
log_granted(const struct scopes *sc, const struct scope *f)
{
	if (!sc->session->site->conf->log_scopes)
		return;
	log_info("session", sc->session->id, "scope granted", LOG_TEXT("name", f->name),
		 LOG_QUOTED("kind", scope_kind_name(f)),
		 LOG_TEXT("pool", f->pool ? f->pool->conf->name : ""),
		 LOG_MS("waited", f->granted_us - f->asked_us));
}

/* The lease or lock is there. */
static void
got_it(struct scopes *sc)
{
	struct session *s = sc->session;
	struct scope *f = sc->frame;

	waits_end(&s->site->waits, s->id);
	f->granted_us = loop_now_us(s->site->loop);
	if (f->kind != SCOPE_BLOCK)
		log_granted(sc, f);
	if (s->slow && f->kind != SCOPE_BLOCK)
		slow_granted(s, f);
	if (!scope_is_begin(f))
		timing_add(scopes_timing(sc, f), TIMING_WAIT, f->granted_us - f->asked_us);
	enter_stop_timer(sc);
	if (f->pool == NULL) {
		f->state = SCOPE_OPEN;
		f->opened_us = f->granted_us;
		timing_add(scopes_timing(sc, f), TIMING_ENTER, 0);
		sc->item++;
		sc->step = STEP_NEXT;
		return;
	}
	scopes_focus(s, f->base ? f->base->lease : f->lease);
	sc->attempts = 0;
	sc->step = STEP_SETUP;
}

static void
on_lock(struct lock_hold *hold)
{
	struct scope *f = LIST_OBJ(hold, struct scope, hold);
	struct session *s = f->owner;

	got_it(s->scopes);
	enter_go(s->scopes);
}

const struct lock_ops enter_lock_ops = {on_lock};

static void
want_lock(struct scopes *sc, const struct wanted *w)
{
	static const enum scope_kind kinds[] = {
	    [LOCK_EXCLUSIVE] = SCOPE_LOCK,
	    [LOCK_SHARED] = SCOPE_SHARED_LOCK,
	    [LOCK_SEMAPHORE] = SCOPE_SEMAPHORE,
	};
	enum lock_mode mode = w->item->kind == GRAMMAR_SEMAPHORE ? LOCK_SEMAPHORE
			      : w->item->shared                  ? LOCK_SHARED
								 : LOCK_EXCLUSIVE;
	struct session *s = sc->session;
	struct scope *f = push(sc, kinds[mode], w->name);
	char text[160];
	struct err e;
	int r;

	f->suppress = w->item->suppress;
	f->named = w->item->as != NULL;
	set_deadline(sc, f, w->deadline_us);
	r = lock_enter(&s->site->locks, &f->hold, w->item->key.text, mode, w->limit, s->id,
		       &enter_lock_ops, f);
	if (r == -E_RANGE) {
		snprintf(text, sizeof text, "semaphore \"%.60s\" is open with LIMIT %u, not %u",
			 w->item->key.text, f->hold.limit, w->limit);
		err_make(&e, ERR_SCOPE_VALUE, text);
		enter_fail(sc, &e);
	} else if (r == -E_AGAIN) {
		begin_waiting(sc);
	} else {
		got_it(sc);
	}
}

static void
want_lease(struct scopes *sc, struct scope *f)
{
	struct session *s = sc->session;
	struct err e;
	int r;

	/* Its own lease if that is free, so that what pins the session is there. */
	if (f->pool == s->pool && stack_of_lease(&sc->stack, &s->own) == NULL) {
		f->lease = &s->own;
	} else {
		lease_init(&f->own, s->site->ops->lease, s, s->id);
		f->lease = &f->own;
	}
	if (f->lease->state == LEASE_HELD) {
		got_it(sc);
		return;
	}
	r = lease_enter(f->lease, f->pool, &e);
	if (r == -E_AGAIN) {
		begin_waiting(sc);
	} else if (r == 0) {
		executor_fresh(s, f->lease);
		got_it(sc);
	} else {
		enter_fail(sc, &e);
	}
}

void
enter_again(struct scopes *sc)
{
	struct session *s = sc->session;
	struct scope *f = sc->frame;
	struct err e;
	int r;

	s->context.wants_fresh = true;
	lease_close(f->lease, "it refused the parameters of a session");
	r = lease_enter_fresh(f->lease, f->pool, &e);
	if (r == -E_AGAIN) {
		begin_waiting(sc);
	} else if (r == 0) {
		executor_fresh(s, f->lease);
		got_it(sc);
	} else {
		s->context.wants_fresh = false;
		enter_fail(sc, &e);
	}
}

static void
want_transaction(struct scopes *sc, const struct wanted *w)
{
	const struct grammar_item *item = w->item;
	struct scope *base = item->fresh ? NULL : stack_transaction_on(&sc->stack, w->pool);
	struct scope *f;
	struct err e;

	if (base == NULL) {
		f = push(sc, SCOPE_TRANSACTION, w->name);
		f->pool = w->pool;
		f->named = item->name != NULL || item->as != NULL;
		f->suppress = item->suppress || (w->def && w->def->suppress);
		set_deadline(sc, f, w->deadline_us);
		want_lease(sc, f);
		return;
	}
	if (base->lease->srv->progress.status == 'E' || base->failed) {
		err_make(&e, ERR_SCOPE_ABORTED, "ENTER");
	} else if (item->isolation != GRAMMAR_DEFAULT ||
		   (w->def && w->def->isolation != CONF_ISOLATION_DEFAULT)) {
		err_make(
		    &e, ERR_SCOPE_VALUE,
		    "a scope inside a transaction of its pool is a savepoint and cannot have an "
		    "isolation level of its own");
		err_hint(&e, "NEW makes it a second transaction");
	} else {
		f = push(sc, SCOPE_SAVEPOINT, w->name);
		f->pool = w->pool;
		f->base = base;
		f->named = item->name != NULL || item->as != NULL;
		f->suppress = item->suppress || (w->def && w->def->suppress);
		/* A deadline of the pool is that of the whole transaction. */
		if (item->deadline.given || (w->def && w->def->deadline_us > 0))
			set_deadline(sc, f, w->deadline_us);
		got_it(sc);
		return;
	}
	enter_fail(sc, &e);
}

/* The client's BEGIN. */
static void
want_block(struct scopes *sc)
{
	struct scope *base = stack_current(&sc->stack), *f = push(sc, SCOPE_BLOCK, "");

	f->pool = base->pool;
	f->base = base;
	f->modes = sc->statement->modes ? mem_strdup(sc->statement->modes) : NULL;
	sc->wait_us = -1;
	got_it(sc);
}

static void
next_item(struct scopes *sc)
{
	struct session *s = sc->session;
	struct wanted w = {.item = enter_item(sc)};
	struct err e;

	sc->timed_out = sc->contended = false;
	if (sc->statement->verb != GRAMMAR_ENTER) {
		want_block(sc);
		return;
	}
	switch (wanted_find(&w, sc, &e)) {
	case ACCESS_YES:
		break;
	case ACCESS_NO:
		enter_fail(sc, &e);
		return;
	case ACCESS_ASK:
		if (sc->step != STEP_USER)
			sc->user_us = loop_now_us(s->site->loop);
		sc->step = STEP_USER;
		session_begins_to_wait(s);
		return;
	}
	sc->step = STEP_NEXT;
	if (slow_wanted(w.pool ? w.pool : s->pool))
		slow_watch(s);
	if (s->site->conf->log_scopes)
		log_info("session", s->id, "scope enter", LOG_TEXT("name", w.name),
			 LOG_TEXT("pool", w.pool ? w.pool->conf->name : ""));
	if (w.pool)
		want_transaction(sc, &w);
	else
		want_lock(sc, &w);
}

bool
enter_waits(const struct session *s)
{
	const struct scopes *sc = s->scopes;

	return s->state == SESSION_SCOPE && sc->doing == SCOPES_ENTERING &&
	       (sc->step == STEP_WAIT || sc->step == STEP_USER);
}

bool
enter_looks_up(const struct session *s)
{
	const struct scopes *sc = s->scopes;

	return s->state == SESSION_SCOPE && sc->doing == SCOPES_ENTERING && sc->step == STEP_USER;
}

void
enter_looked_up(struct scopes *sc)
{
	next_item(sc);
	enter_go(sc);
}

void
enter_not_looked_up(struct scopes *sc, const struct err *e)
{
	struct err copy;

	err_copy(&copy, e);
	sc->step = STEP_NEXT;
	enter_fail(sc, &copy);
	enter_go(sc);
}

/* ---- after another process ---- */

static void
adopt_deadline(struct scope *f, int64_t now)
{
	int64_t us = f->deadline_us > now ? f->deadline_us - now : 0;
	struct timeval tv = {.tv_sec = us / UNIT_S, .tv_usec = us % UNIT_S};
	struct session *s = f->owner;

	if (f->deadline_us == 0)
		return;
	evtimer_assign(&f->timer, loop_base(s->site->loop), on_deadline, f);
	if (f->state != SCOPE_EXPIRED && !f->expire_due)
		evtimer_add(&f->timer, &tv);
}

void
enter_adopted(struct scopes *sc)
{
	struct session *s = sc->session;
	struct scope *f = sc->frame;
	struct list_node *n;

	LIST_EACH (n, &sc->stack.frames)
		adopt_deadline(LIST_OBJ(n, struct scope, node), loop_now_us(s->site->loop));
	if (sc->doing != SCOPES_ENTERING || f == NULL)
		return;
	if (f->pool)
		waits_begin_lease(&s->site->waits, s->id, f->lease);
	else
		waits_begin_lock(&s->site->waits, s->id, &f->hold);
	enter_start_timer(sc, 0);
}

/* The first is the one that was entered first. */
static struct scope *
first_entered(const struct scopes *sc)
{
	struct scope *f = stack_innermost(&sc->stack);

	for (unsigned i = 1; i < sc->entered; i++)
		f = stack_outside(&sc->stack, f);
	return f;
}

/* What it has entered is exited again. */
static void
undo(struct scopes *sc)
{
	struct session *s = sc->session;
	struct list_node *n;

	enter_stop_timer(sc);
	while ((n = list_first(&sc->run)) != NULL) {
		list_remove(&sc->run, n);
		deferred_free(LIST_OBJ(n, struct deferred, node));
	}
	if (sc->entered > 0) {
		exit_begin(sc, SCOPES_UNDOING, first_entered(sc), true);
		return;
	}
	/* It was the client's own BEGIN that could not be had. */
	if (sc->frame && sc->frame->kind == SCOPE_IMPLICIT) {
		s->block.begun = BEGUN_YES;
		exit_begin(sc, SCOPES_UNDOING, sc->frame, true);
		return;
	}
	executor_finish(sc);
}

void
enter_go(struct scopes *sc)
{
	while (sc->doing == SCOPES_ENTERING) {
		if (sc->talk.busy)
			return;
		if (sc->talk.ended)
			opening_heard(sc);
		else if (sc->step == STEP_WAIT || sc->step == STEP_USER)
			return;
		else if (sc->step == STEP_SETUP)
			opening_start(sc);
		else if (sc->item == sc->statement->nitems)
			break;
		else
			next_item(sc);
		if (sc->session->state == SESSION_CLOSED || sc->gone)
			return;
	}
	if (sc->doing == SCOPES_ENTERING)
		executor_finish(sc);
	else if (sc->doing == SCOPES_UNDOING)
		undo(sc);
}

void
enter_begin(struct scopes *sc)
{
	struct session *s = sc->session;
	const struct lease *own = &s->own;
	struct scope *f;

	sc->doing = SCOPES_ENTERING;
	sc->step = STEP_NEXT;
	sc->item = sc->entered = 0;
	sc->frame = NULL;
	sc->talk.ended = false;
	if (s->block.begun == BEGUN_YES) {
		/* The client's BEGIN, of which no server knows yet. */
		s->block.begun = BEGUN_NOT;
		if (slow_wanted(s->pool))
			slow_watch(s);
		f = push(sc, SCOPE_IMPLICIT, "");
		f->pool = s->pool;
		/* As long as the pool lets any transaction wait. WAIT is for what is entered. */
		sc->wait_us = -1;
		want_lease(sc, f);
	} else if (own->state == LEASE_HELD && own->srv->progress.status == 'T' &&
		   stack_of_lease(&sc->stack, own) == NULL) {
		scopes_implicit(s);
	}
	enter_go(sc);
}

void
enter_chain(struct scopes *sc)
{
	sc->doing = SCOPES_ENTERING;
	sc->step = STEP_NEXT;
	sc->item = sc->entered = 0;
	sc->frame = NULL;
	sc->talk.ended = false;
	enter_go(sc);
}

void
enter_granted(struct scopes *sc)
{
	got_it(sc);
	enter_go(sc);
}

void
enter_refused(struct scopes *sc, struct err *e)
{
	if (sc->step == STEP_WAIT) {
		give_up(sc, e);
		enter_go(sc);
	}
}
