#include "pool/lease.h"

#include "base/log.h"
#include "base/trace.h"
#include "pool/hold.h"
#include "pool/pool.h"

#define TO(state) (1u << (state))

static const struct {
	const char *name;
	unsigned next;
} states[LEASE_NSTATES] = {
    [LEASE_NONE] = {"none", TO(LEASE_WAITING) | TO(LEASE_HELD)},
    [LEASE_WAITING] = {"waiting", TO(LEASE_HELD) | TO(LEASE_NONE)},
    [LEASE_HELD] = {"held", TO(LEASE_CLEANING) | TO(LEASE_NONE)},
    [LEASE_CLEANING] = {"cleaning", TO(LEASE_HELD) | TO(LEASE_NONE)},
};

const char *
lease_state_name(enum lease_state s)
{
	return states[s].name;
}

static bool
has_server(enum lease_state state)
{
	return state == LEASE_HELD || state == LEASE_CLEANING;
}

static bool
may_move(enum lease_state from, enum lease_state to)
{
	return states[from].next & TO(to);
}

/* Logs a move, and ends the program if it is illegal. */
static void __attribute__((noinline, cold)) log_move(const struct lease *l, enum lease_state to)
{
	if (!may_move(l->state, to))
		log_fatal("lease", LOG_ALONE, "illegal move",
			  LOG_MOVE(states[l->state].name, states[to].name),
			  LOG_NUMBER("session", l->session));
	log_debug("session", l->session, "lease", LOG_MOVE(states[l->state].name, states[to].name));
}

static void __attribute__((noinline, cold)) trace_move(const struct lease *l, enum lease_state to)
{
	if (l->state == LEASE_WAITING || to == LEASE_WAITING)
		trace_add(TRACE_WAIT, loop_now_us(l->pool->all->loop), l->session, 0,
			  to == LEASE_WAITING, to == LEASE_WAITING ? l->pool->conf->name : NULL,
			  NULL);
}

static void
lease_set_state(struct lease *l, enum lease_state to)
{
	enum lease_state was = l->state;

	if (!may_move(was, to) || log_writes(LOG_DEBUG))
		log_move(l, to);
	if (trace_on)
		trace_move(l, to);
	l->state = to;
	if (l->pool->all->parties.any && has_server(was) != has_server(to))
		queue_count_server(l->pool->all, &l->turn, has_server(to) - has_server(was));
}

void
lease_init(struct lease *l, const struct lease_ops *ops, void *owner, uint64_t session)
{
	*l = (struct lease){.ops = ops, .owner = owner, .session = session};
}

/* The client was told a number of its own for the server's process id: notifications of its own
 * NOTIFY must have it, too. */
static void
name_backend(const struct lease *l, struct server *srv)
{
	srv->progress.own_pid = (uint32_t)srv->backend_pid;
	srv->progress.given_pid = lease_number(l->session);
}

/* The lease gets this server. */
static void
hold_server(struct lease *l, struct pool *pool, struct server *srv)
{
	l->pool = pool;
	lease_set_state(l, LEASE_HELD);
	l->srv = srv;
	l->since_us = loop_now_us(pool->all->loop);
	l->waited_us = 0;
	srv->lease = l;
	name_backend(l, srv);
	srv->leases++;
	server_set_state(srv, SERVER_LEASED);
}

/* Finds the parties of the lease's owner. Is one of them kept from a server by its limit? */
static bool
is_limited(struct lease *l, struct pool *pool)
{
	if (!pool->all->parties.any || l->ops->parties == NULL)
		return false;
	l->ops->parties(l, l->turn.party);
	return queue_full_party(l) != NULL;
}

/* Waits at the end of the queue, or with `fresh` at its front, for a server that nobody has had. */
static int
wait_for_server(struct lease *l, struct pool *pool, bool fresh, struct err *e)
{
	if (pool_refuses(pool, e))
		return -E_STATE;
	l->pool = pool;
	lease_set_state(l, LEASE_WAITING);
	l->since_us = loop_now_us(pool->all->loop);
	l->paused_us = 0;
	if (fresh) {
		l->fresh = true;
		list_prepend(&pool->waiting, &l->node);
	} else {
		list_append(&pool->waiting, &l->node);
	}
	queue_enter(l);
	pool->stats.waits++;
	pool_fill(pool);
	return -E_AGAIN;
}

int64_t
lease_oldest_wait(const struct pool *pool)
{
	const struct list_node *n;
	int64_t oldest = 0;

	LIST_EACH (n, &pool->waiting) {
		const struct lease *l = LIST_OBJ(n, const struct lease, node);

		if (oldest == 0 || l->since_us < oldest)
			oldest = l->since_us;
		/* From here on, the queue is in the order of time. */
		if (!l->fresh)
			break;
	}
	return oldest;
}

int
lease_enter(struct lease *l, struct pool *pool, struct err *e)
{
	struct server *srv = is_limited(l, pool) ? NULL : pool_take_idle(pool);

	if (srv == NULL)
		return wait_for_server(l, pool, false, e);
	hold_server(l, pool, srv);
	return 0;
}

/* ---- what its client does ---- */

void
lease_trace_ask(const struct lease *l)
{
	trace_add(TRACE_ASK, l->asked_us, l->srv->id, l->session, 'R', NULL, NULL);
}

/* Not inline: without metrics nothing is to be in the way of a request. */
static void __attribute__((noinline))
count_times(const struct lease *l, bool exchange, bool transaction, int64_t now)
{
	if (exchange && l->asked_us)
		pool_time(l->pool, POOL_STATEMENT, now - l->asked_us);
	if (transaction && l->xact_us)
		pool_time(l->pool, POOL_HOLD, now - l->xact_us);
}

static inline bool
is_timed(const struct lease *l)
{
	return __builtin_expect(l->pool->all->timed != 0, false);
}

static void
end_transactions(struct lease *l, uint64_t count, int64_t now)
{
	struct pool_stats *stats = &l->pool->stats;

	if (l->xact_us == 0)
		return;
	stats->xacts += count;
	stats->xact_us += now - l->xact_us;
	l->xact_us = 0;
}

static void __attribute__((noinline)) trace_answer(const struct lease *l, int64_t now)
{
	trace_add(TRACE_ASK, now, l->srv->id, l->session, (unsigned)l->srv->progress.status, NULL,
		  NULL);
}

static inline void
end_exchange(struct lease *l, int64_t now)
{
	if (l->asked_us == 0)
		return;
	l->pool->stats.query_us += now - l->asked_us;
	l->asked_us = 0;
	if (trace_on)
		trace_answer(l, now);
}

void
lease_note_ready(struct lease *l, uint64_t answers, uint64_t rests)
{
	const struct progress *p = &l->srv->progress;
	bool owes = progress_owes(p), over = rests > 0 || (!owes && p->status == 'I');
	int64_t now;

	l->pool->stats.queries += answers;
	/* An exchange of our own ended, ahead of the client's: it is not counted. */
	if (answers == 0 && rests == 0 && owes)
		return;
	now = loop_now_us(l->pool->all->loop);
	if (is_timed(l))
		count_times(l, true, over, now);
	end_exchange(l, now);
	if (over)
		end_transactions(l, rests ? rests : 1, now);
	if (owes)
		lease_asks(l, now);
	else if (over && p->status != 'I')
		l->xact_us = now;
}

void
lease_note_own_ready(struct lease *l, int64_t began_us)
{
	if (l->srv->progress.status == 'I') {
		int64_t now = loop_now_us(l->pool->all->loop);

		if (is_timed(l))
			count_times(l, false, true, now);
		end_transactions(l, 1, now);
	} else if (l->xact_us == 0) {
		l->xact_us = began_us;
	}
}

/* Ends the statistics of an exchange and a transaction that break off. */
static void
end_work(struct lease *l)
{
	int64_t now;

	/* Mostly both have ended with the answer. */
	if (l->asked_us == 0 && l->xact_us == 0)
		return;
	now = loop_now_us(l->pool->all->loop);
	l->pool->stats.queries += l->asked_us != 0;
	if (is_timed(l))
		count_times(l, true, true, now);
	end_exchange(l, now);
	end_transactions(l, 1, now);
}

/* ---- its end ---- */

int
lease_enter_fresh(struct lease *l, struct pool *pool, struct err *e)
{
	struct server *srv;

	/* The pool of a joined scope has one server for good. */
	if (pool->own_conf)
		return lease_enter(l, pool, e);
	srv = is_limited(l, pool) ? NULL : pool_take_fresh(pool);
	if (srv == NULL)
		return wait_for_server(l, pool, true, e);
	hold_server(l, pool, srv);
	return 0;
}

/* Makes it NONE: it has neither a server nor a place in a queue any more. */
static void
set_none(struct lease *l)
{
	lease_set_state(l, LEASE_NONE);
	if (l->pool->all->parties.any)
		queue_leave_parties(l->pool->all, &l->turn);
	l->asked_us = l->xact_us = 0;
	l->srv = NULL;
	l->pool = NULL;
	l->fresh = l->hasty = false;
}

/* Takes it out of the queue. */
static void
stop_waiting(struct lease *l)
{
	struct pool *pool = l->pool;
	int64_t waited_us = loop_now_us(pool->all->loop) - l->since_us;

	list_remove(&pool->waiting, &l->node);
	queue_leave(l);
	pool->stats.wait_us += waited_us;
	pool_time(pool, POOL_WAIT, waited_us);
}

void
lease_leave(struct lease *l)
{
	if (l->state != LEASE_WAITING)
		return;
	stop_waiting(l);
	set_none(l);
}

void
lease_grant(struct lease *l, struct server *srv)
{
	struct pool *pool = l->pool;
	int64_t asked_us = l->since_us;

	stop_waiting(l);
	/* Not by set_none(): it stays one of its parties. */
	lease_set_state(l, LEASE_NONE);
	l->fresh = false;
	hold_server(l, pool, srv);
	l->waited_us = l->since_us - asked_us;
	l->ops->granted(l);
}

void
lease_fail(struct lease *l, const struct err *e)
{
	l->pool->stats.wait_fails++;
	stop_waiting(l);
	set_none(l);
	l->ops->failed(l, e);
}

static void
stop_holding(struct lease *l)
{
	end_work(l);
	l->srv->idle_us = loop_now_us(l->pool->all->loop);
	/* Reading may have been stopped because the client was slow. */
	stream_resume(&l->srv->stream);
}

/* In a joined scope, what the lease has sent may go on without it. May it have set parameters? */
static void
note_changes(struct lease *l)
{
	const struct hold *h = hold_of(l);

	if (l->pool->own_conf)
		l->srv->context_changed = h->changed || (h->pinned & HOLD_PIN_SETTING);
}

static struct server *
release_server(struct lease *l)
{
	struct server *srv = l->srv;

	stop_holding(l);
	note_changes(l);
	srv->lease = NULL;
	set_none(l);
	return srv;
}

void
lease_return(struct lease *l, bool discard)
{
	struct server *srv = release_server(l);

	discard |= server_must_discard(srv) || prepared_doubtful(&srv->prepared, &srv->progress);
	if (discard)
		server_clean(srv, CLEANUP_RESTORE, NULL, false, true);
	else if (srv->cancels > 0 || srv->progress.unsure)
		server_clean(srv, CLEANUP_CANCEL_PENDING, NULL, false, false);
	else if (srv->progress.half_begun)
		server_clean(srv, CLEANUP_HALF_BEGUN, NULL, false, false);
	else if (stream_queued(&srv->stream) > 0)
		server_clean(srv, CLEANUP_UNREAD, NULL, false, false);
	else
		server_rest(srv);
}

void
lease_end(struct lease *l, enum cleanup_why why)
{
	server_clean(release_server(l), why, NULL, false, true);
}

void
lease_close(struct lease *l, const char *why)
{
	if (l->pool->own_conf) {
		lease_return(l, true);
		return;
	}
	server_close(release_server(l), why);
}

void
lease_clean(struct lease *l, enum cleanup_why why, struct todo *todo, bool keep, bool discard)
{
	struct server *srv = l->srv;

	lease_set_state(l, LEASE_CLEANING);
	stop_holding(l);
	note_changes(l);
	l->since_us = loop_now_us(l->pool->all->loop);
	server_clean(srv, why, todo, keep, discard || srv->prepared.stale);
}

void
lease_forget(struct lease *l)
{
	if (l->state != LEASE_CLEANING)
		return;
	if (l->srv) {
		cleanup_keep_not(&l->srv->cleanup);
		l->srv->lease = NULL;
	}
	set_none(l);
}

void
lease_lost(struct lease *l, struct todo *done, const char *why)
{
	struct server *srv = l->srv;
	bool cleaning = l->state == LEASE_CLEANING;

	end_work(l);
	srv->lease = NULL;
	set_none(l);
	if (cleaning)
		l->ops->ended(l, done, true);
	else
		l->ops->lost(l, srv, why);
}

void
lease_cleaned(struct lease *l, struct todo *done)
{
	/* The owner has left the lease while the server was given to the next one. */
	if (l->state != LEASE_CLEANING)
		return;
	if (l->srv) {
		lease_set_state(l, LEASE_HELD);
		l->since_us = loop_now_us(l->pool->all->loop);
	} else {
		set_none(l);
	}
	l->ops->ended(l, done, false);
}

void
lease_move(struct lease *to, struct lease *from)
{
	if (from->state != LEASE_HELD || to->state != LEASE_NONE)
		log_fatal("lease", LOG_ALONE, "illegal move of what is",
			  LOG_WORD(states[from->state].name), LOG_WORD("to what is"),
			  LOG_WORD(states[to->state].name));
	to->pool = from->pool;
	for (int i = 0; i < PARTY_KINDS; i++)
		to->turn.party[i] = from->turn.party[i];
	lease_set_state(to, LEASE_HELD);
	to->srv = from->srv;
	to->since_us = from->since_us;
	to->waited_us = from->waited_us;
	to->asked_us = from->asked_us;
	to->xact_us = from->xact_us;
	to->srv->lease = to;
	set_none(from);
}

void
lease_adopt_held(struct lease *l, struct server *srv)
{
	l->pool = srv->pool;
	lease_set_state(l, LEASE_HELD);
	l->srv = srv;
	srv->lease = l;
	name_backend(l, srv);
}

void
lease_adopt_waiting(struct lease *l, struct pool *pool)
{
	l->pool = pool;
	lease_set_state(l, LEASE_WAITING);
	list_append(&pool->waiting, &l->node);
	queue_enter(l);
}

void
lease_cancel(struct lease *l, uint64_t requester)
{
	server_cancel(l->srv, requester);
}
