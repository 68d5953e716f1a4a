#include "executor/enter_wait.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/units.h"
#include "executor/frame.h"
#include "executor/joint.h"
#include "session/expiry.h"
#include "session/inquiry.h"
#include "session/site.h"

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

/* Adds to the error who holds the lock, as the error of a pool says who holds its servers. */
static void
name_holder(const struct work *work, struct err *e)
{
	const struct lock *lock = work->frame->hold.lock;
	const struct site *site = work->session->site;
	unsigned others = 0;
	char who[192] = "", more[48] = "", held[32] = "";
	struct list_node *n;

	if (lock == NULL)
		return;
	LIST_EACH (n, &lock->holders) {
		const struct lock_hold *hold = LIST_OBJ(n, const struct lock_hold, node);
		const struct session *s = idmap_get(&site->sessions, hold->session);

		if (s == NULL || s == work->session)
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
enter_wait_error(struct work *work, struct err *e)
{
	const struct scope *f = work->frame;
	/* With a pool it is a lock of PostgreSQL. */
	const char *kind = f->pool ? "lock" : kind_of_wait(f);
	const char *name = f->pool ? f->name : name_of_wait(f);
	char text[32];

	if (f->pool && !work->timed_out) {
		pool_wait_error(f->pool, f->lease, work->wait_us, e);
		return;
	}
	if (work->wait_us)
		err_make(e, ERR_SCOPE_LOCK_WAIT, kind, name,
			 units_duration_str(work->wait_us, text, sizeof text));
	else
		err_make(e, ERR_SCOPE_LOCK_HELD, kind, name,
			 f->kind == SCOPE_SEMAPHORE ? "full" : "held");
	if (f->pool == NULL)
		name_holder(work, e);
	else
		err_hint(e, "pg_locks (locktype 'advisory') and pg_stat_activity of PostgreSQL "
			    "tell who has it");
}

void
enter_wait_stop_timer(struct work *work)
{
	timer_stop(&work->timer);
}

void
enter_wait_end(struct work *work, struct err *e)
{
	struct scope *f = work->frame;

	waits_end(&work->session->site->waits, work->session->id);
	enter_wait_stop_timer(work);
	if (f->pool)
		lease_leave(f->lease);
	else
		lock_leave(&f->hold);
	frame_fail_enter(work, e);
}

static void
wait_ended(void *arg)
{
	struct work *work = arg;
	struct err e;

	if (work->purpose != WORK_ENTER)
		return;
	if (work->state == WORK_WAIT) {
		enter_wait_error(work, &e);
		enter_wait_end(work, &e);
		session_wake(work->session);
		return;
	}
	/* A lock of PostgreSQL's is waited for, there: the statement is cancelled. */
	work->timed_out = true;
	if (work->state == WORK_RUN && inquiry_state(work->session) == INQUIRY_ASKED) {
		expiry_of(work->session)->own_cancel = true;
		lease_cancel(&work->session->hold->lease, 0);
	}
}

void
enter_wait_start_timer(struct work *work, int64_t least_us)
{
	int64_t us = work->frame->asked_us + work->wait_us - loop_now_us(work->session->site->loop);

	if (work->wait_us < 0)
		return;
	if (us < least_us)
		us = least_us;
	timer_init(&work->timer, work->session->site->loop, wait_ended, work);
	timer_start(&work->timer, us);
}

void
enter_wait_note(struct work *work)
{
	struct session *s = work->session;
	struct waits *waits = &s->site->waits;
	struct scope *f = work->frame;

	if (f->pool == NULL) {
		waits_begin_lock(waits, s->id, &f->hold);
		return;
	}
	waits_begin_lease(waits, s->id, f->lease);
	waits_within(waits, s->id, joint_of(s->pool) ? s->pool : NULL);
}

void
enter_wait_begin(struct work *work)
{
	struct session *s = work->session;
	struct waits *waits = &s->site->waits;
	struct scope *f = work->frame;
	char *circle = NULL;
	struct err e;

	work_set_state(work, WORK_WAIT);
	enter_wait_note(work);
	if (waits_closed(waits, s->id, &circle)) {
		err_make(&e, ERR_SCOPE_DEADLOCK, kind_of_wait(f), name_of_wait(f));
		err_detail(&e, "%s", circle);
		free(circle);
		enter_wait_end(work, &e);
	} else if (work->wait_us == 0) {
		enter_wait_error(work, &e);
		enter_wait_end(work, &e);
	} else {
		enter_wait_start_timer(work, 0);
		session_begins_to_wait(s);
	}
}
