#include "pool/lease.h"

#include "base/log.h"
#include "pool/pool.h"

void
lease_init(struct lease *l, const struct lease_ops *ops, void *owner, uint64_t session)
{
	*l = (struct lease){.ops = ops, .owner = owner, .session = session};
}

static void
hold(struct lease *l, struct pool *pool, struct server *srv)
{
	l->state = LEASE_HELD;
	l->pool = pool;
	l->srv = srv;
	l->since_us = loop_now_us(pool->all->loop);
	srv->lease = l;
	srv->leases++;
	progress_forget_error(&srv->progress);
	server_set_state(srv, SERVER_LEASED);
}

int
lease_enter(struct lease *l, struct pool *pool, struct err *e)
{
	struct server *srv = pool_take_idle(pool);

	if (srv) {
		hold(l, pool, srv);
		return 0;
	}
	if (pool_refuses(pool, e))
		return -E_STATE;
	l->state = LEASE_WAITING;
	l->pool = pool;
	l->since_us = loop_now_us(pool->all->loop);
	list_append(&pool->waiting, &l->node);
	pool->stats.waits++;
	pool_fill(pool);
	return -E_AGAIN;
}

/* It is in no queue any more. */
static void
stop_waiting(struct lease *l)
{
	struct pool *pool = l->pool;

	list_remove(&pool->waiting, &l->node);
	pool->stats.wait_us += loop_now_us(pool->all->loop) - l->since_us;
	l->state = LEASE_NONE;
	l->pool = NULL;
}

void
lease_leave(struct lease *l)
{
	if (l->state == LEASE_WAITING)
		stop_waiting(l);
}

void
lease_grant(struct lease *l, struct server *srv)
{
	struct pool *pool = l->pool;

	stop_waiting(l);
	hold(l, pool, srv);
	l->ops->granted(l);
}

void
lease_fail(struct lease *l, const struct err *e)
{
	l->pool->stats.wait_fails++;
	stop_waiting(l);
	l->ops->failed(l, e);
}

static struct server *
let_go(struct lease *l)
{
	struct server *srv = l->srv;
	struct pool_stats *stats = &l->pool->stats;

	stats->xacts++;
	stats->xact_us += loop_now_us(l->pool->all->loop) - l->since_us;
	srv->lease = NULL;
	srv->idle_us = loop_now_us(l->pool->all->loop);
	/* A slow client may have stopped the reading. */
	stream_resume(&srv->stream);
	l->srv = NULL;
	l->pool = NULL;
	l->state = LEASE_NONE;
	return srv;
}

void
lease_return(struct lease *l, bool discard)
{
	struct server *srv = let_go(l);

	if (discard || srv->cancels > 0 || srv->progress.unsure) {
		server_clean(srv, discard ? CLEANUP_RESTORE : CLEANUP_CANCEL_PENDING, discard);
		return;
	}
	server_set_state(srv, SERVER_IDLE);
	pool_server_ready(srv->pool, srv);
}

void
lease_end(struct lease *l, enum cleanup_why why)
{
	server_clean(let_go(l), why, true);
}

void
lease_cancel(struct lease *l, uint64_t requester)
{
	server_cancel(l->srv, requester);
}
