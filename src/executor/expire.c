#include "executor/expire.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/units.h"
#include "executor/enter.h"
#include "executor/exit.h"
#include "session/admit.h"
#include "session/begin.h"
#include "session/channels.h"
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

	LIST_EACH (n, &s->rare->stack->frames)
		if (LIST_OBJ(n, struct scope, node)->expire_due)
			return LIST_OBJ(n, struct scope, node);
	return NULL;
}

/* Ends the client's exchange, because the frame cannot end before it: sends CopyFail to a COPY IN,
 * a Sync, and a cancel of the statement that runs. */
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
	/* The Sync does not wait for the answers, because without it the server may keep them back.
	 * No Sync is needed if a Query, FunctionCall or Sync of the client's is under way: that
	 * ends the exchange. */
	if (((p->extended && p->ready_due == 0) || p->skipping) && p->own_syncs == 0 &&
	    p->to_left == 0 && !progress_copies_in(p)) {
		/* If the exchange has failed, the client has its error. Its own Sync comes later,
		 * and everything before that is dropped. */
		if (p->skipping) {
			s->extended.skip_sync = true;
		} else {
			s->rare->expiry->forced = true;
			progress_forget_error(p);
		}
		msg_sync(&out);
		progress_sent_own_sync(p);
	}
	if (out.len > 0)
		server_write(s->hold->lease.srv, buf_data(&out), out.len);
	buf_clear(&out);
	if (s->hold->lease.state == LEASE_HELD && progress_busy(p) &&
	    now - s->rare->expiry->cancel_us >= RECANCEL_US) {
		struct err e;

		scopes_expired_error(first_due_frame(s), &e);
		progress_tell_instead(p, &e);
		err_clear(&e);
		s->rare->expiry->cancel_us = now;
		s->rare->expiry->own_cancel = true;
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

/* The exchange was ended by a Sync of ours: the client gets the error at once, and everything
 * before its own Sync is dropped. */
static void
tell_expired(struct session *s, const struct scope *f)
{
	struct buf out;
	struct err e;

	s->rare->expiry->forced = false;
	s->extended.skip_sync = true;
	/* The client has got an error already: that of its statement, which was cancelled. */
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

	if (f == NULL || s->rare->work || session_gone(s))
		return;
	if (s->state != SESSION_IDLE && s->state != SESSION_ACTIVE)
		return;
	if (s->state == SESSION_ACTIVE && !progress_at_rest(&s->hold->lease.srv->progress)) {
		top = stack_of_lease(s->rare->stack, &s->hold->lease);
		/* The statement that runs is outside of the frame, so it goes on. */
		if (top && !stack_within(s->rare->stack, top, f))
			return;
		if (now - s->rare->expiry->expire_us >
		    s->hold->lease.pool->conf->cleanup_timeout_us)
			fail_session(s, f);
		else
			end_exchange(s);
		return;
	}
	if (s->rare->expiry->forced)
		tell_expired(s, f);
	if (session_gone(s))
		return;
	exit_begin(frame_begin_work(s, WORK_EXPIRE), f, true);
	session_wake(s);
}

/* The client's transaction of BEGIN and its wait for a server have no frames of their own: ends
 * them because the frame around them, `f`, expires. */
static void
expire_plain(struct session *s, const struct scope *f, enum err_id why)
{
	struct err e;

	if (s->block.state == BLOCK_BEGUN)
		block_expire(&s->block, s->id, why);
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
	struct work *work = s->rare->work;
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
	s->rare->expiry->cancel_us = 0;
	/* Its COMMIT may wait for the connection that listens for the session. */
	scopes_expired_error(f, &e);
	channels_give_up(s, &e);
	err_clear(&e);
	if (work && work->purpose == WORK_ENTER && work->frame &&
	    stack_within(s->rare->stack, work->frame, f)) {
		/* work->frame gets no expired_by of its own: `f` has the reason. */
		work->frame->expire_due = true;
		if (inquiry_state(s) == INQUIRY_ASKED) {
			s->rare->expiry->own_cancel = true;
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

/* A statement of ENTER, or COMMIT, is not answered. While the client reads none of the notices that
 * it raises, the server is not read either, and PostgreSQL looks for no cancel while it cannot
 * send: this may last for ever. So the session ends cleanup_timeout after its scope has expired, or
 * cleanup_timeout after the statement has taken query_timeout. An ENTER that has expired ends the
 * session even if the client reads, because its cancel has had no effect. */
static void
end_stuck_session(struct session *s, int64_t now)
{
	const struct conf_pool *conf = s->hold->lease.pool->conf;
	const struct scope *f = s->rare->work->frame;
	bool expired = f && f->expire_due, enters = s->rare->work->purpose == WORK_ENTER;
	bool unread = s->hold->lease.srv->stream.paused && stream_queued(&s->stream) > 0;
	int64_t limit_us = conf->query_timeout_us;
	struct err e;

	if (session_ends(s) || !(unread || (enters && expired)))
		return;
	if (expired && now - s->rare->expiry->expire_us >= conf->cleanup_timeout_us) {
		fail_session(s, f);
		return;
	}
	if (limit_us == 0 || now - s->rare->inquiry->since_us < limit_us + conf->cleanup_timeout_us)
		return;
	expiry_error(s->hold->lease.pool, ERR_SCOPE_QUERY, &e);
	session_fail(s, &e);
	err_clear(&e);
}

/* A statement of ours at the end of a scope may take cleanup_timeout: then it is cancelled, and
 * when it has taken twice as long, its server is closed. */
static void
sweep_inquiry(struct session *s, int64_t now)
{
	struct inquiry *q = s->rare->inquiry;
	int64_t limit;

	if (inquiry_state(s) != INQUIRY_ASKED || s->hold->lease.state != LEASE_HELD)
		return;
	limit = s->hold->lease.pool->conf->cleanup_timeout_us;
	/* cleanup_timeout alone ends no ENTER, and no COMMIT, which may have to wait for other
	 * machines. */
	if (s->rare->work->purpose == WORK_ENTER || s->rare->work->state == WORK_COMMIT) {
		end_stuck_session(s, now);
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

		if (enter_looks_up(s) && now - s->rare->work->user_us >= USERS_WAIT_MAX)
			return s;
	}
	return NULL;
}

static void
sweep_look_ups(struct site *site, int64_t now)
{
	struct session *s;
	struct err e;

	/* Ending an ENTER changes the list, so each search begins at its head. */
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

		if (s->rare->stack)
			expire_go_on(s);
	}
}
