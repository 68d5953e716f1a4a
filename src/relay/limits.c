#include "relay/limits.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "executor/expire.h"
#include "relay/cancel.h"
#include "session/end.h"
#include "session/expiry.h"
#include "session/reply.h"
#include "session/site.h"
#include "session/slow.h"
#include "wire/msg.h"

#define RECANCEL_US UNIT_S /* until a cancel that has had no effect is sent again */

/* ---- since when ---- */

void
limits_note_answer(struct session *s)
{
	activity_limit(&s->activity)->answer_us = loop_now_us(s->site->loop);
}

/* One look at a lease that is held, and at what belongs to it. */
struct look {
	struct session *s;
	struct lease *lease;
	const struct progress *p;
	const struct conf_pool *conf;
	struct scope *base; /* the frame of its transaction, or NULL if it is no frame */
	unsigned does;      /* PROGRESS_BEGINS and PROGRESS_ENDS of the exchange that runs */
	int64_t now_us;
};

static struct look
look_at(struct lease *l, int64_t now_us)
{
	struct session *s = l->owner;
	struct scope *f = s->rare->stack ? stack_of_lease(s->rare->stack, l) : NULL;

	return (struct look){.s = s,
			     .lease = l,
			     .p = &l->srv->progress,
			     .conf = l->pool->conf,
			     .base = f ? scope_base(f) : NULL,
			     .does = progress_exchange(&l->srv->progress),
			     .now_us = now_us};
}

static int64_t
later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* Is a transaction open there, of BEGIN or of ENTER? */
static bool
in_transaction(const struct look *k)
{
	return k->base || k->p->status != 'I' || (k->does & PROGRESS_BEGINS);
}

/* Is the client's COMMIT or ROLLBACK under way? No limit ends that. */
static bool
is_ending(const struct look *k)
{
	return k->base == NULL && k->p->status != 'I' && k->does == PROGRESS_ENDS;
}

/* Did a reload give the pool its limits while this transaction was open? */
static bool
is_exempt(const struct look *k)
{
	int64_t exempt_us = activity_limited(&k->s->activity)->exempt_us;

	return k->base == NULL && k->p->status != 'I' && exempt_us &&
	       k->lease->xact_us == exempt_us;
}

/* When its transaction began. If the exchange that runs ends one and begins the next, it is the
 * next one's time. */
static int64_t
transaction_began(const struct look *k)
{
	if (k->base)
		return k->base->asked_us;
	if (!in_transaction(k) || k->lease->xact_us == 0)
		return k->now_us;
	return k->does == (PROGRESS_BEGINS | PROGRESS_ENDS)
		   ? later(k->lease->xact_us, k->lease->asked_us)
		   : k->lease->xact_us;
}

/* Has the server something to answer? */
static bool
has_something_to_answer(const struct look *k)
{
	return k->lease == &k->s->hold->lease && progress_busy(k->p);
}

static bool
copies_in(const struct look *k)
{
	return k->p->copy == COPY_IN && !k->p->copy_ended;
}

/* Is it the client's turn? */
static bool
waits_for_client(const struct look *k)
{
	if (k->lease != &k->s->hold->lease)
		return true;
	return k->p->to_left > 0 || copies_in(k) || !progress_busy(k->p);
}

/* Since when the client has sent nothing. */
static int64_t
silent_since(struct look *k)
{
	struct session *s = k->s;
	struct limited *l = activity_limit(&s->activity);
	int64_t since = later(later(l->answer_us, s->activity.request_us),
			      later(s->since_us, k->lease->since_us));

	/* No time is kept for each message: if stream.received has grown since the last sweep, the
	 * client was active. */
	if (l->received_seen != s->stream.received) {
		l->received_seen = s->stream.received;
		l->received_us = k->now_us;
	}
	return progress_at_rest(k->p) ? since : later(since, l->received_us);
}

/* Returns the limit that has passed, or ERR_NONE. */
static enum err_id
passed_limit(struct look *k)
{
	const struct conf_pool *conf = k->conf;
	/* Scopes of ENTER have their own DEADLINE. */
	bool deadline = k->base == NULL || k->base->kind == SCOPE_IMPLICIT;
	int64_t silent = conf->idle_in_scope_timeout_us ? silent_since(k) : 0;

	if (is_ending(k) || is_exempt(k))
		return ERR_NONE;
	if (conf->scope_deadline_us && deadline &&
	    k->now_us - transaction_began(k) >= conf->scope_deadline_us)
		return ERR_SCOPE_DEADLINE;
	if (conf->query_timeout_us && has_something_to_answer(k) &&
	    k->now_us - later(k->s->activity.request_us,
			      activity_limited(&k->s->activity)->answer_us) >=
		conf->query_timeout_us)
		return ERR_SCOPE_QUERY;
	if (conf->idle_in_scope_timeout_us && waits_for_client(k) &&
	    (in_transaction(k) || !progress_at_rest(k->p)) &&
	    k->now_us - silent >= conf->idle_in_scope_timeout_us)
		return ERR_SCOPE_IDLE;
	return ERR_NONE;
}

/* ---- the end ---- */

/* The client has begun an exchange, or a message, and does not go on with it. It gets an error, and
 * cleanup rolls back what PostgreSQL has done of the exchange. */
static void
drop_exchange(const struct look *k)
{
	struct session *s = k->s;
	struct buf out;
	struct err e;

	expiry_error(k->lease->pool, ERR_SCOPE_IDLE, &e);
	/* The session ends if the server has half a message of the client's, or the client half a
	 * message of the server's; and if cleanup would discard what pins the session. */
	if (k->p->to_left > 0 || k->p->from_have > 0 || s->hold->pinned) {
		session_fail(s, &e);
		err_clear(&e);
		return;
	}
	buf_init(&out, 64 * 1024);
	/* If the server skips up to Sync, the client has got an error already. */
	if (!k->p->skipping) {
		reply_log_error(s, &e);
		msg_err(&out, &e);
		site_count_error(s->site, &e);
	}
	if (s->rare->slow)
		slow_end(s, "expired", e.sqlstate);
	err_clear(&e);
	s->extended.skip_sync = true;
	session_set_state(s, SESSION_IDLE);
	lease_end(k->lease, CLEANUP_TIME_LIMIT);
	reply_send_buf(s, &out);
	buf_clear(&out);
}

/* Does the statement still run that limits_cancel() has cancelled? */
static bool
cancelled_still_runs(const struct session *s)
{
	const struct progress *p =
	    s->hold->lease.state == LEASE_HELD ? &s->hold->lease.srv->progress : NULL;

	return p && p->answers == activity_limited(&s->activity)->alone_answers && progress_busy(p);
}

void
limits_cancel(struct session *s, enum err_id why)
{
	struct limited *l = activity_limit(&s->activity);

	if (l->alone_us == 0 || !cancelled_still_runs(s)) {
		l->alone_us = loop_now_us(s->site->loop);
		l->alone_answers = s->hold->lease.srv->progress.answers;
		l->alone_why = (uint8_t)why;
	}
	if (s->hold->lease.state == LEASE_HELD && progress_busy(&s->hold->lease.srv->progress)) {
		struct err e;

		/* The statement gets an error that says why. */
		expiry_error(s->hold->lease.pool, why, &e);
		progress_tell_instead(&s->hold->lease.srv->progress, &e);
		err_clear(&e);
	}
	cancel_statement(s, 0);
}

/* PostgreSQL does not look for a cancel while its answer is not read, and pgwithd does not read the
 * answer while the client does not. Then the session ends, cleanup_timeout after the cancel. */
static void
end_if_unread(struct session *s, int64_t now_us)
{
	struct limited *l = activity_limit(&s->activity);
	struct err e;

	if (!cancelled_still_runs(s)) {
		l->alone_us = 0;
		return;
	}
	if (now_us - l->alone_us < s->hold->lease.pool->conf->cleanup_timeout_us)
		return;
	expiry_error(s->hold->lease.pool, l->alone_why, &e);
	l->alone_us = 0;
	session_fail(s, &e);
	err_clear(&e);
}

/* The limit of a statement outside of transactions has passed: the statement is cancelled. */
static void
cancel_by_limit(const struct look *k, enum err_id why)
{
	struct session *s = k->s;
	struct limited *l = activity_limit(&s->activity);
	struct buf out;

	if (k->now_us - l->limited_us < RECANCEL_US)
		return;
	l->limited_us = k->now_us;
	log_info("session", s->id, "statement cancelled", LOG_TEXT("pool", k->conf->name),
		 LOG_TEXT("why", expiry_option(why)));
	if (why == ERR_SCOPE_IDLE && (k->p->to_left > 0 || !copies_in(k))) {
		drop_exchange(k);
		return;
	}
	/* PostgreSQL does not look for a cancel while it waits for data: the COPY is failed. */
	if (copies_in(k) && k->p->to_left == 0) {
		buf_init(&out, 256);
		msg_copy_fail(&out, "a time limit has passed");
		progress_sent(&k->lease->srv->progress, 'f');
		server_write(k->lease->srv, buf_data(&out), out.len);
		buf_clear(&out);
	}
	if (s->state == SESSION_ACTIVE)
		limits_cancel(s, why);
}

static void
end_by_limit(const struct look *k, enum err_id why)
{
	if (k->base)
		expire_scope(k->s, k->base, why);
	else if (in_transaction(k))
		expire_scope(k->s, scopes_implicit(k->s), why);
	else
		cancel_by_limit(k, why);
}

/* ---- the sweep ---- */

/* Ids of servers on which a limit has passed. Ending something changes the lists, so all are
 * collected first, and looked at again. */
struct found {
	uint64_t *ids;
	unsigned count, room;
};

static void
note_found(struct found *found, uint64_t id)
{
	if (found->count == found->room) {
		found->room = found->room ? 2 * found->room : 16;
		found->ids = mem_realloc(found->ids, found->room * sizeof *found->ids);
	}
	found->ids[found->count++] = id;
}

/* Is the server held by a session whose transaction, or statement, can be ended now? */
static bool
can_be_ended(const struct server *srv)
{
	const struct session *s = srv->lease ? srv->lease->owner : NULL;

	/* That of a joined scope is its members': they have limits of their own. */
	return s && srv->lease->state == LEASE_HELD && srv->lease->ops == s->site->ops->lease &&
	       (s->state == SESSION_ACTIVE || s->state == SESSION_IDLE);
}

static void
sweep_pool(const struct pool *pool, struct found *found, int64_t now_us)
{
	struct list_node *n;

	LIST_EACH (n, &pool->servers[SERVER_LEASED]) {
		const struct server *srv = LIST_OBJ(n, struct server, node);
		struct look k;

		if (!can_be_ended(srv))
			continue;
		k = look_at(srv->lease, now_us);
		if (passed_limit(&k) != ERR_NONE)
			note_found(found, srv->id);
	}
}

void
limits_sweep(struct site *site)
{
	struct found found = {0};
	int64_t now_us = loop_now_us(site->loop);
	struct list_node *n, *after;

	LIST_EACH_SAFE (n, after, &site->in_state[SESSION_ACTIVE]) {
		struct session *s = LIST_OBJ(n, struct session, node);

		if (activity_limited(&s->activity)->alone_us)
			end_if_unread(s, now_us);
	}
	LIST_EACH (n, &site->pools.list) {
		const struct pool *pool = LIST_OBJ(n, struct pool, node);
		const struct conf_pool *conf = pool->conf;

		if (conf->scope_deadline_us || conf->idle_in_scope_timeout_us ||
		    conf->query_timeout_us)
			sweep_pool(pool, &found, now_us);
	}
	for (unsigned i = 0; i < found.count; i++) {
		const struct server *srv = idmap_get(&site->pools.servers, found.ids[i]);
		enum err_id why;
		struct look k;

		if (srv == NULL || srv->state != SERVER_LEASED || !can_be_ended(srv))
			continue;
		k = look_at(srv->lease, now_us);
		if ((why = passed_limit(&k)) != ERR_NONE)
			end_by_limit(&k, why);
	}
	free(found.ids);
}
