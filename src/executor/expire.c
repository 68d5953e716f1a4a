#include "executor/expire.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/units.h"
#include "executor/enter.h"
#include "executor/exit.h"
#include "session/admit.h"
#include "session/begin.h"
#include "session/end.h"
#include "session/expiry.h"
#include "session/inquiry.h"
#include "session/reply.h"
#include "session/site.h"
#include "session/users.h"
#include "session/waiting.h"
#include "wire/msg.h"

#define RECANCEL_US 100000      /* until a cancel that has had no effect is sent again */
#define ERROR_MAX   (64 * 1024) /* bytes of one that the client is told */

static struct scope *
first_due(const struct session *s)
{
	struct list_node *n;

	LIST_EACH (n, &s->stack->frames)
		if (LIST_OBJ(n, struct scope, node)->expire_due)
			return LIST_OBJ(n, struct scope, node);
	return NULL;
}

/* The client's exchange is in the way: brings it to its end. */
static void
nudge(struct session *s)
{
	struct progress *p = &s->hold->lease.srv->progress;
	int64_t now = loop_now_us(s->site->loop);
	struct buf out;

	buf_init(&out, 256);
	if (p->copy == COPY_IN && !p->copy_ended && p->to_left == 0) {
		msg_copy_fail(&out, "the scope has been ended");
		progress_sent(p, 'f');
	}
	/* Not only when all is answered: without a Flush the server may keep its answers. A Query
	 * that is under way ends an exchange before it (ours, the BEGIN) by itself. */
	if (((p->extended && p->ready_due == 0) || p->skipping) && p->own_syncs == 0 &&
	    p->to_left == 0 && !progress_copies_in(p)) {
		/* One that has had an error already skips to its Sync. */
		if (p->skipping) {
			s->extended.skip_sync = true;
		} else {
			s->expiry->forced = true;
			progress_forget_error(p);
		}
		msg_sync(&out);
		progress_sent_own_sync(p);
	}
	if (out.len > 0)
		server_write(s->hold->lease.srv, buf_data(&out), out.len);
	buf_clear(&out);
	if (s->hold->lease.state == LEASE_HELD && progress_busy(p) &&
	    now - s->expiry->cancel_us >= RECANCEL_US) {
		struct err e;

		scopes_expired_error(first_due(s), &e);
		progress_tell_instead(p, &e);
		err_clear(&e);
		s->expiry->cancel_us = now;
		s->expiry->own_cancel = true;
		lease_cancel(&s->hold->lease, 0);
	}
}

static void
give_up(struct session *s, const struct scope *f)
{
	struct err e;

	scopes_expired_error(f, &e);
	session_fail(s, &e);
	err_clear(&e);
}

/* In the middle of the extended protocol, the client is told at once. */
static void
tell(struct session *s, const struct scope *f)
{
	struct buf out;
	struct err e;

	s->expiry->forced = false;
	s->extended.skip_sync = true;
	/* Its statement was cancelled, which it has heard. */
	if (s->hold->lease.state == LEASE_HELD && s->hold->lease.srv->progress.error[0])
		return;
	scopes_expired_error(f, &e);
	reply_log_error(s, &e);
	buf_init(&out, ERROR_MAX);
	msg_err(&out, &e);
	site_count_error(s->site, &e);
	reply_send_buf(s, &out);
	buf_clear(&out);
	err_clear(&e);
}

void
expire_settle(struct session *s)
{
	struct scope *f = first_due(s), *top;
	int64_t now = loop_now_us(s->site->loop);

	if (f == NULL || s->work || session_gone(s))
		return;
	if (s->state != SESSION_IDLE && s->state != SESSION_ACTIVE)
		return;
	if (s->state == SESSION_ACTIVE && !progress_at_rest(&s->hold->lease.srv->progress)) {
		top = stack_of_lease(s->stack, &s->hold->lease);
		/* What runs outside of it has to end by itself. */
		if (top && !stack_within(s->stack, top, f))
			return;
		if (now - s->expiry->expire_us > s->hold->lease.pool->conf->cleanup_timeout_us)
			give_up(s, f);
		else
			nudge(s);
		return;
	}
	if (s->expiry->forced)
		tell(s, f);
	if (session_gone(s))
		return;
	exit_begin(frame_begin_work(s, WORK_EXPIRE), f, true);
	session_wake(s);
}

/* What the client does inside, by itself: waits, or has a transaction of BEGIN. */
static void
expire_plain(struct session *s, const struct scope *f, enum err_id why)
{
	struct err e;

	if (s->block.state == BLOCK_BEGUN)
		block_expire(&s->block, why);
	if (scopes_plain(s) && s->block.state == BLOCK_NONE)
		scopes_implicit(s);
	if (s->state != SESSION_WAITING)
		return;
	scopes_expired_error(f, &e);
	waiting_give_up(s, &e);
	err_clear(&e);
}

void
expire_scope(struct session *s, struct scope *f, enum err_id why)
{
	struct work *work = s->work;
	struct err e;

	if (f->expire_due || f->state == SCOPE_EXPIRED || s->state == SESSION_LEAVING)
		return;
	if (f->kind == SCOPE_IMPLICIT)
		log_info("session", s->id, "transaction expired",
			 LOG_TEXT("pool", f->pool->conf->name),
			 LOG_TEXT("why", expiry_option(why)));
	else
		log_info("session", s->id, "scope expired", LOG_TEXT("name", f->name),
			 LOG_TEXT("why", err_kind(why)->name));
	f->expired_by = why;
	f->expire_due = true;
	expiry_of(s)->expire_us = loop_now_us(s->site->loop);
	s->expiry->cancel_us = 0;
	if (work && work->purpose == WORK_ENTER && work->frame &&
	    stack_within(s->stack, work->frame, f)) {
		/* Its own expired_by stays empty: the reason is that of the one around it. */
		work->frame->expire_due = true;
		if (inquiry_state(s) == INQUIRY_ASKED) {
			s->expiry->own_cancel = true;
			lease_cancel(&s->hold->lease, 0);
		} else {
			scopes_expired_error(f, &e);
			enter_refused(work, &e);
		}
		return;
	}
	if (f->kind != SCOPE_IMPLICIT && work == NULL)
		expire_plain(s, f, why);
	expire_settle(s);
}

/* Statements at the end of a scope have the time of a cleanup. */
static void
sweep_inquiry(struct session *s, int64_t now)
{
	struct inquiry *q = s->inquiry;
	int64_t limit;

	if (s->work->purpose == WORK_ENTER || inquiry_state(s) != INQUIRY_ASKED ||
	    s->hold->lease.state != LEASE_HELD)
		return;
	limit = s->hold->lease.pool->conf->cleanup_timeout_us;
	/* A COMMIT may have to wait for other machines. */
	if (s->work->state == WORK_COMMIT || now - q->since_us < limit)
		return;
	if (!q->cancelled) {
		q->cancelled = true;
		expiry_of(s)->own_cancel = true;
		lease_cancel(&s->hold->lease, 0);
	} else if (now - q->since_us > 2 * limit) {
		server_close(s->hold->lease.srv, "time ran out at the end of a scope");
	}
}

/* An ENTER that has waited too long for the operating system to tell who its user is. */
static struct session *
waits_too_long_for_user(const struct site *site, int64_t now)
{
	struct list_node *n;

	LIST_EACH (n, &site->in_state[SESSION_SCOPE]) {
		struct session *s = LIST_OBJ(n, struct session, node);

		if (enter_looks_up(s) && now - s->work->user_us >= USERS_WAIT_MAX)
			return s;
	}
	return NULL;
}

static void
sweep_look_ups(struct site *site, int64_t now)
{
	struct session *s;
	struct err e;

	/* Each one that ends may change the list. */
	while ((s = waits_too_long_for_user(site, now)) != NULL) {
		admit_too_late(s, USERS_WAIT_MAX, &e);
		enter_not_looked_up(s, &e);
		err_clear(&e);
	}
}

void
expire_sweep(struct site *site)
{
	int64_t now = loop_now_us(site->loop);
	struct list_node *n, *after;

	sweep_look_ups(site, now);
	LIST_EACH_SAFE (n, after, &site->in_state[SESSION_SCOPE])
		sweep_inquiry(LIST_OBJ(n, struct session, node), now);
	LIST_EACH_SAFE (n, after, &site->in_state[SESSION_ACTIVE]) {
		struct session *s = LIST_OBJ(n, struct session, node);

		if (s->stack)
			expire_settle(s);
	}
}
