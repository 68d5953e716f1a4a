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
#define ERROR_MAX   (64 * 1024) /* bytes of an error for the client */

static struct scope *
first_due_frame(const struct session *s)
{
	struct list_node *n;

	LIST_EACH (n, &s->stack->frames)
		if (LIST_OBJ(n, struct scope, node)->expire_due)
			return LIST_OBJ(n, struct scope, node);
	return NULL;
}

/* Brings the client's exchange, which is in the way, to its end: by failing a COPY, a Sync, and a
 * cancel of what runs. */
static void
end_exchange(struct session *s)
{
	struct progress *p = &s->hold->lease.srv->progress;
	int64_t now = loop_now_us(s->site->loop);
	struct buf out;

	buf_init(&out, 256);
	if (p->copy == COPY_IN && !p->copy_ended && p->to_left == 0) {
		msg_copy_fail(&out, "the scope has been ended");
		progress_sent(p, 'f');
	}
	/* A Sync is sent before all is answered, because without one the server may keep answers
	 * back. It is not sent if a Query of the client's is under way: that ends the exchange. */
	if (((p->extended && p->ready_due == 0) || p->skipping) && p->own_syncs == 0 &&
	    p->to_left == 0 && !progress_copies_in(p)) {
		/* If the exchange has failed, the client sends its Sync, which is skipped. */
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

		scopes_expired_error(first_due_frame(s), &e);
		progress_tell_instead(p, &e);
		err_clear(&e);
		s->expiry->cancel_us = now;
		s->expiry->own_cancel = true;
		lease_cancel(&s->hold->lease, 0);
	}
}

static void
fail_session(struct session *s, const struct scope *f)
{
	struct err e;

	scopes_expired_error(f, &e);
	session_fail(s, &e);
	err_clear(&e);
}

/* The exchange was ended by a Sync of ours: the client gets the error at once, and everything up to
 * its own Sync is skipped. */
static void
tell_expired(struct session *s, const struct scope *f)
{
	struct buf out;
	struct err e;

	s->expiry->forced = false;
	s->extended.skip_sync = true;
	/* It has got an error already: that of its statement, which was cancelled. */
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
expire_go_on(struct session *s)
{
	struct scope *f = first_due_frame(s), *top;
	int64_t now = loop_now_us(s->site->loop);

	if (f == NULL || s->work || session_gone(s))
		return;
	if (s->state != SESSION_IDLE && s->state != SESSION_ACTIVE)
		return;
	if (s->state == SESSION_ACTIVE && !progress_at_rest(&s->hold->lease.srv->progress)) {
		top = stack_of_lease(s->stack, &s->hold->lease);
		/* A statement that runs outside of the frame is not ended by us. */
		if (top && !stack_within(s->stack, top, f))
			return;
		if (now - s->expiry->expire_us > s->hold->lease.pool->conf->cleanup_timeout_us)
			fail_session(s, f);
		else
			end_exchange(s);
		return;
	}
	if (s->expiry->forced)
		tell_expired(s, f);
	if (session_gone(s))
		return;
	exit_begin(frame_begin_work(s, WORK_EXPIRE), f, true);
	session_wake(s);
}

/* Ends what the client has in the frame without a frame of its own: a wait, or a transaction of
 * BEGIN. */
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
		/* The frame that is being entered has no expired_by: that of `f` is the reason. */
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
	expire_go_on(s);
}

/* PostgreSQL does not look for a cancel while nobody reads what it says, and a statement of ours is
 * not read while the client does not read the notices that it raises. So if a time limit, or an
 * administrator, has ended what is entered or committed, the session ends cleanup_timeout later. */
static void
end_unread(struct session *s, int64_t now)
{
	const struct conf_pool *conf = s->hold->lease.pool->conf;
	const struct scope *f = s->work->frame;
	bool expired = f && f->expire_due, enters = s->work->purpose == WORK_ENTER;
	bool unread = s->hold->lease.srv->stream.paused && stream_queued(&s->stream) > 0;
	int64_t limit_us = conf->query_timeout_us;
	struct err e;

	if (session_ends(s) || !(unread || (enters && expired)))
		return;
	if (expired && now - s->expiry->expire_us >= conf->cleanup_timeout_us) {
		fail_session(s, f);
		return;
	}
	if (limit_us == 0 || now - s->inquiry->since_us < limit_us + conf->cleanup_timeout_us)
		return;
	expiry_error(s->hold->lease.pool, ERR_SCOPE_QUERY, &e);
	session_fail(s, &e);
	err_clear(&e);
}

/* A statement of ours at the end of a scope may take cleanup_timeout: then it is cancelled, and
 * after the same time again the server is closed. */
static void
sweep_inquiry(struct session *s, int64_t now)
{
	struct inquiry *q = s->inquiry;
	int64_t limit;

	if (inquiry_state(s) != INQUIRY_ASKED || s->hold->lease.state != LEASE_HELD)
		return;
	limit = s->hold->lease.pool->conf->cleanup_timeout_us;
	/* A COMMIT may have to wait for other machines. */
	if (s->work->purpose == WORK_ENTER || s->work->state == WORK_COMMIT) {
		end_unread(s, now);
		return;
	}
	if (now - q->since_us < limit)
		return;
	if (!q->cancelled) {
		q->cancelled = true;
		expiry_of(s)->own_cancel = true;
		lease_cancel(&s->hold->lease, 0);
	} else if (now - q->since_us > 2 * limit) {
		server_close(s->hold->lease.srv, "time ran out at the end of a scope");
	}
}

/* Returns a session whose ENTER has waited too long for the system to tell who its user is. */
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

	/* Ending one changes the list, so each time the list is looked through anew. */
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
			expire_go_on(s);
	}
}
