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
limits_heard(struct session *s)
{
	s->activity.answer_us = loop_now_us(s->site->loop);
}

/* A server that a session of the pool has, with what is known about both. */
struct look {
	struct session *s;
	struct lease *lease;
	const struct progress *p;
	const struct conf_pool *conf;
	struct scope *base; /* the transaction that is a frame, or NULL */
	unsigned does;      /* PROGRESS_BEGINS and PROGRESS_ENDS of what runs */
	int64_t now_us;
};

static struct look
look_at(struct lease *l, int64_t now_us)
{
	struct session *s = l->owner;
	struct scope *f = s->stack ? stack_of_lease(s->stack, l) : NULL;

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

/* Is it in a transaction of BEGIN, or in a scope? */
static bool
in_transaction(const struct look *k)
{
	return k->base || k->p->status != 'I' || (k->does & PROGRESS_BEGINS);
}

/* Its COMMIT or ROLLBACK is under way, and is let be. */
static bool
is_ending(const struct look *k)
{
	return k->base == NULL && k->p->status != 'I' && k->does == PROGRESS_ENDS;
}

/* Has the pool got its limits while the transaction was open? */
static bool
is_exempt(const struct look *k)
{
	return k->base == NULL && k->p->status != 'I' && k->s->activity.exempt_us &&
	       k->lease->xact_us == k->s->activity.exempt_us;
}

/* When the transaction that it is in began. What ends one and begins the next has the time of the
 * next. */
static int64_t
begun(const struct look *k)
{
	if (k->base)
		return k->base->asked_us;
	if (!in_transaction(k) || k->lease->xact_us == 0)
		return k->now_us;
	return k->does == (PROGRESS_BEGINS | PROGRESS_ENDS)
		   ? later(k->lease->xact_us, k->lease->asked_us)
		   : k->lease->xact_us;
}

/* Does the server have something to do? Of an exchange that has had all its answers, no. */
static bool
runs(const struct look *k)
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

/* Since when the client says nothing. */
static int64_t
silent_since(struct look *k)
{
	struct session *s = k->s;
	int64_t since = later(later(s->activity.answer_us, s->activity.request_us),
			      later(s->since_us, k->lease->since_us));

	/* In the middle of something nobody notes the time of each message. */
	if (s->activity.heard != s->stream.received) {
		s->activity.heard = s->stream.received;
		s->activity.heard_us = k->now_us;
	}
	return progress_at_rest(k->p) ? since : later(since, s->activity.heard_us);
}

/* What has taken too long, or ERR_NONE. */
static enum err_id
over(struct look *k)
{
	const struct conf_pool *conf = k->conf;
	bool deadline = k->base == NULL || k->base->kind == SCOPE_IMPLICIT; /* others have theirs */
	int64_t silent = conf->idle_in_scope_timeout_us ? silent_since(k) : 0;

	if (is_ending(k) || is_exempt(k))
		return ERR_NONE;
	if (conf->scope_deadline_us && deadline && k->now_us - begun(k) >= conf->scope_deadline_us)
		return ERR_SCOPE_DEADLINE;
	if (conf->query_timeout_us && runs(k) &&
	    k->now_us - later(k->s->activity.request_us, k->s->activity.answer_us) >=
		conf->query_timeout_us)
		return ERR_SCOPE_QUERY;
	if (conf->idle_in_scope_timeout_us && waits_for_client(k) &&
	    (in_transaction(k) || !progress_at_rest(k->p)) &&
	    k->now_us - silent >= conf->idle_in_scope_timeout_us)
		return ERR_SCOPE_IDLE;
	return ERR_NONE;
}

/* ---- the end ---- */

/* The client has begun an exchange, or a message, and does not go on with it. What PostgreSQL holds
 * for it so far is rolled back. */
static void
drop_exchange(const struct look *k)
{
	struct session *s = k->s;
	struct buf out;
	struct err e;

	expiry_error(k->lease->pool, ERR_SCOPE_IDLE, &e);
	/* No error can be put into the middle of anything, and what pins would be lost. */
	if (k->p->to_left > 0 || k->p->from_have > 0 || s->hold->pinned) {
		session_fail(s, &e);
		err_clear(&e);
		return;
	}
	buf_init(&out, 64 * 1024);
	/* It has been told that something failed, and is to send Sync. */
	if (!k->p->skipping) {
		reply_log_error(s, &e);
		msg_err(&out, &e);
		site_count_error(s->site, &e);
	}
	if (s->slow)
		slow_end(s, "expired", e.sqlstate);
	err_clear(&e);
	s->skip_sync = true;
	session_set_state(s, SESSION_IDLE);
	lease_end(k->lease, CLEANUP_TIME_LIMIT);
	reply_send_buf(s, &out);
	buf_clear(&out);
}

/* Does what was to end then still run? */
static bool
runs_alone(const struct session *s)
{
	const struct progress *p =
	    s->hold->lease.state == LEASE_HELD ? &s->hold->lease.srv->progress : NULL;

	return p && p->answers == s->activity.alone_answers && progress_busy(p);
}

void
limits_cancel(struct session *s, enum err_id why)
{
	if (s->activity.alone_us == 0 || !runs_alone(s)) {
		s->activity.alone_us = loop_now_us(s->site->loop);
		s->activity.alone_answers = s->hold->lease.srv->progress.answers;
		s->activity.alone_why = (uint8_t)why;
	}
	if (s->hold->lease.state == LEASE_HELD && progress_busy(&s->hold->lease.srv->progress)) {
		struct err e;

		/* The error that the statement gets says why. */
		expiry_error(s->hold->lease.pool, why, &e);
		progress_tell_instead(&s->hold->lease.srv->progress, &e);
		err_clear(&e);
	}
	cancel_statement(s, 0);
}

/* PostgreSQL does not look for a cancel while it waits for somebody to read what it says, and it is
 * not read from as long as the client does not read. */
static void
force_alone(struct session *s, int64_t now_us)
{
	struct err e;

	if (!runs_alone(s)) {
		s->activity.alone_us = 0;
		return;
	}
	if (now_us - s->activity.alone_us < s->hold->lease.pool->conf->cleanup_timeout_us)
		return;
	expiry_error(s->hold->lease.pool, s->activity.alone_why, &e);
	s->activity.alone_us = 0;
	session_fail(s, &e);
	err_clear(&e);
}

/* Not in a transaction: the statement is cancelled. */
static void
cancel_alone(const struct look *k, enum err_id why)
{
	struct session *s = k->s;
	struct buf out;

	if (k->now_us - s->activity.limited_us < RECANCEL_US)
		return;
	s->activity.limited_us = k->now_us;
	log_info("session", s->id, "statement cancelled", LOG_TEXT("pool", k->conf->name),
		 LOG_TEXT("why", expiry_option(why)));
	if (why == ERR_SCOPE_IDLE && (k->p->to_left > 0 || !copies_in(k))) {
		drop_exchange(k);
		return;
	}
	/* PostgreSQL does not look for a cancel while it waits for data. */
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
end(const struct look *k, enum err_id why)
{
	if (k->base)
		expire_scope(k->s, k->base, why);
	else if (in_transaction(k))
		expire_scope(k->s, scopes_implicit(k->s), why);
	else
		cancel_alone(k, why);
}

/* ---- the sweep ---- */

/* Servers, by their ids, that have to be looked at again: to end something changes the lists. */
struct found {
	uint64_t *ids;
	unsigned count, room;
};

static void
note(struct found *found, uint64_t id)
{
	if (found->count == found->room) {
		found->room = found->room ? 2 * found->room : 16;
		found->ids = mem_realloc(found->ids, found->room * sizeof *found->ids);
	}
	found->ids[found->count++] = id;
}

/* Is the session one whose transaction can be ended now? */
static bool
open_to_it(const struct server *srv)
{
	const struct session *s = srv->lease ? srv->lease->owner : NULL;

	return s && srv->lease->state == LEASE_HELD &&
	       (s->state == SESSION_ACTIVE || s->state == SESSION_IDLE);
}

static void
sweep_pool(const struct pool *pool, struct found *found, int64_t now_us)
{
	struct list_node *n;

	LIST_EACH (n, &pool->servers[SERVER_LEASED]) {
		const struct server *srv = LIST_OBJ(n, struct server, node);
		struct look k;

		if (!open_to_it(srv))
			continue;
		k = look_at(srv->lease, now_us);
		if (over(&k) != ERR_NONE)
			note(found, srv->id);
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

		if (s->activity.alone_us)
			force_alone(s, now_us);
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

		if (srv == NULL || srv->state != SERVER_LEASED || !open_to_it(srv))
			continue;
		k = look_at(srv->lease, now_us);
		if ((why = over(&k)) != ERR_NONE)
			end(&k, why);
	}
	free(found.ids);
}
