#include "pool/keeper.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "pool/gate.h"
#include "pool/keeper_inside.h"
#include "pool/pool.h"
#include "pool/server.h"
#include "wire/msg.h"

#define SENT_MAX 64 /* requests under way */

/* From the first failed attempt to the next one; the pause doubles each time, up to retry_delay. */
#define RETRY_FIRST_US (100 * UNIT_MS)
#define DOUBLED_MAX    20

#define UNUSED_US (60 * UNIT_S)
#define MOVE_US   (10 * UNIT_S)
#define PAUSED    "the pool is paused"

#define TO(state) (1u << (state))

static const struct {
	const char *name;
	unsigned next;
} states[KEEPER_NSTATES] = {
    [KEEPER_CLOSED] = {"closed", TO(KEEPER_OPENING) | TO(KEEPER_READY)},
    [KEEPER_OPENING] = {"opening", TO(KEEPER_READY) | TO(KEEPER_CLOSED)},
    [KEEPER_READY] = {"ready", TO(KEEPER_MOVING) | TO(KEEPER_CLOSED)},
    [KEEPER_MOVING] = {"moving", TO(KEEPER_READY) | TO(KEEPER_CLOSED)},
};

int64_t
keeper_now_us(const struct keeper *k)
{
	return loop_now_us(k->pool->all->loop);
}

const char *
keeper_state_name(const struct pool *pool)
{
	return states[pool->keeper ? pool->keeper->state : KEEPER_CLOSED].name;
}

void
keeper_set_state(struct keeper *k, enum keeper_state to)
{
	if (!(states[k->state].next & TO(to)))
		log_fatal("pool", k->pool->conf->name, "illegal move of a keeper",
			  LOG_MOVE(states[k->state].name, states[to].name));
	log_debug("pool", k->pool->conf->name, "keeper",
		  LOG_MOVE(states[k->state].name, states[to].name));
	k->state = to;
	k->since_us = keeper_now_us(k);
}

/* ---- requests ---- */

struct request *
keeper_request(int what, struct listener *l, const char *sql)
{
	struct request *r = mem_calloc(1, sizeof *r);

	r->what = what;
	r->listener = l;
	r->sql = mem_strdup(sql);
	return r;
}

void
keeper_free_request(struct request *r)
{
	if (r->listener && r->listener->asked == r)
		r->listener->asked = NULL;
	if (r->listener && r->listener->converting == r)
		r->listener->converting = NULL;
	free(r->sql);
	free(r->row);
	free(r->error);
	free(r);
}

void
keeper_send(struct keeper *k, struct keeper_line *line, struct request *r)
{
	struct buf out;

	if (line->requests.count == 0)
		line->asked_us = keeper_now_us(k);
	list_append(&line->requests, &r->node);
	r->sent = true;
	buf_init(&out, SERVER_KEEPER_QUEUE_MAX);
	msg_query(&out, r->sql);
	progress_forget_error(&line->srv->progress);
	progress_sent(&line->srv->progress, 'Q');
	/* Nothing behind half a message. */
	line->broken =
	    line->broken || out.failed || !server_keeper_write(line->srv, buf_data(&out), out.len);
	buf_clear(&out);
}

/* May requests be sent? Not while the lines are marked: what waits goes to the next one, when that
 * is in use. */
static bool
may_send(const struct keeper *k)
{
	return k->state == KEEPER_READY || (k->state == KEEPER_MOVING && !k->line[1].ready);
}

void
keeper_send_waiting(struct keeper *k)
{
	struct list_node *n;

	while (may_send(k) && k->line[0].requests.count < SENT_MAX && !k->pool->all->handing &&
	       (n = list_first(&k->waiting)) != NULL) {
		list_remove(&k->waiting, n);
		keeper_send(k, &k->line[0], LIST_OBJ(n, struct request, node));
	}
}

/* ---- asking ---- */

static void line_lost(struct server *, const char *why);
static void line_failed(struct server *, const struct err *);
static void end_keeper(struct pool *);

static const struct server_keeps keeps = {keeper_logged_in, keeper_readable, line_lost,
					  line_failed};

static struct keeper *
need_keeper(struct pool *pool)
{
	struct keeper *k = pool->keeper;

	if (k)
		return k;
	k = pool->keeper = mem_calloc(1, sizeof *k);
	pool->end_keeper = end_keeper;
	k->pool = pool;
	hash_init(&k->channels);
	list_init(&k->listeners);
	list_init(&k->waiting);
	list_init(&k->sync_next);
	list_init(&k->sync_now);
	buf_init(&k->later, KEEPER_LATER_MAX);
	buf_init(&k->behind, KEEPER_LATER_MAX);
	for (int i = 0; i < 2; i++) {
		list_init(&k->line[i].requests);
		buf_init(&k->line[i].in, KEEPER_IN_MAX);
	}
	return k;
}

void
keeper_open_line(struct keeper *k, int which)
{
	k->line[which].srv = server_open_keeper(k->pool, k, &keeps);
	k->line[which].ready = k->line[which].marked = k->line[which].broken = false;
}

void
keeper_open(struct keeper *k)
{
	if (k->state != KEEPER_CLOSED || k->waiting.count == 0 || gate_paused(k->pool) ||
	    k->pool->all->handing || keeper_now_us(k) < k->retry_us)
		return;
	keeper_set_state(k, KEEPER_OPENING);
	keeper_open_line(k, 0);
}

void
keeper_shelve(struct keeper *k, const char *why)
{
	if (k->state != KEEPER_OPENING)
		return;
	keeper_close_line(k, 0, why);
	keeper_set_state(k, KEEPER_CLOSED);
}

void
keeper_pause(struct pool *pool)
{
	struct keeper *k = pool->keeper;

	if (k == NULL)
		return;
	keeper_shelve(k, PAUSED);
	if (k->state == KEEPER_MOVING)
		keeper_move_no_more(k, PAUSED);
	if (k->state == KEEPER_READY && k->listeners.count == 0)
		keeper_lose(k, PAUSED);
}

void
keeper_resume(struct pool *pool)
{
	struct keeper *k = pool->keeper;
	struct list_node *n;

	if (k == NULL)
		return;
	/* wait_timeout leaves the pause out. */
	LIST_EACH (n, &k->waiting)
		LIST_OBJ(n, struct request, node)->since_us = keeper_now_us(k);
	k->repeat_us = 0;
	keeper_open(k);
}

int64_t
keeper_pause_us(struct keeper *k, int64_t first_us, int64_t most_us)
{
	int64_t us = first_us << k->attempts;

	if (k->attempts < DOUBLED_MAX)
		k->attempts++;
	return us < most_us ? us : most_us;
}

/* The next attempt is later. */
static void
count_failure(struct keeper *k)
{
	k->retry_us =
	    keeper_now_us(k) + keeper_pause_us(k, RETRY_FIRST_US, k->pool->conf->retry_delay_us);
}

void
keeper_ask(struct pool *pool, struct listener *l, const char *sql, const char *names,
	   size_t names_bytes, bool try)
{
	struct keeper *k = need_keeper(pool);

	listener_want(k, l, names, names_bytes, try);
	l->asked = keeper_request(ASK, l, sql);
	l->asked->since_us = keeper_now_us(k);
	list_append(&k->waiting, &l->asked->node);
	keeper_open(k);
	keeper_send_waiting(k);
}

void
keeper_send_sync(struct keeper *k)
{
	struct list_node *n;

	if (k->sync_now.count > 0 || k->sync_next.count == 0 || !may_send(k))
		return;
	while ((n = list_first(&k->sync_next)) != NULL) {
		list_remove(&k->sync_next, n);
		list_append(&k->sync_now, n);
		LIST_OBJ(n, struct listener, sync)->syncing = &k->sync_now;
	}
	list_append(&k->waiting, &keeper_request(SYNC, NULL, "")->node);
	keeper_send_waiting(k);
}

void
keeper_sync(struct listener *l)
{
	l->syncing = &l->keeper->sync_next;
	list_append(l->syncing, &l->sync);
	keeper_send_sync(l->keeper);
}

void
keeper_convert(struct listener *l, const char *sql)
{
	l->converting = keeper_request(CONVERT, l, sql);
	list_append(&l->keeper->waiting, &l->converting->node);
	keeper_send_waiting(l->keeper);
}

/* ---- the end of a connection ---- */

void
keeper_drop_requests(struct list *requests)
{
	struct list_node *n;

	while ((n = list_first(requests)) != NULL) {
		list_remove(requests, n);
		keeper_free_request(LIST_OBJ(n, struct request, node));
	}
}

void
keeper_clear_line(struct keeper_line *line)
{
	keeper_drop_requests(&line->requests);
	buf_clear(&line->in);
	line->srv = NULL;
	line->ready = line->marked = line->broken = false;
}

void
keeper_close_line(struct keeper *k, int which, const char *why)
{
	struct server *srv = k->line[which].srv;

	keeper_clear_line(&k->line[which]);
	if (srv == NULL)
		return;
	srv->keeper = NULL;
	server_end_keeper(srv, why);
}

/* The connection is lost, or was never had. Those who only ask get the error; those who listen are
 * told that it was lost. */
static void
end_all(struct keeper *k, const struct err *e, const char *why)
{
	struct list_node *n;

	/* First of all: channels that are dropped now are no reason to send an UNLISTEN. */
	buf_clear(&k->later);
	buf_clear(&k->behind);
	k->mark[0] = 0;
	if (k->state != KEEPER_CLOSED)
		keeper_set_state(k, KEEPER_CLOSED);
	while ((n = list_first(&k->listeners)) != NULL) {
		struct listener *l = LIST_OBJ(n, struct listener, node);
		bool asked = l->asked != NULL;

		if (l->syncing) {
			listener_sync_no_more(l);
			l->ops->synced(l);
		}
		keeper_convert_no_more(l);
		if (l->keeper == NULL)
			continue;
		listener_give_up(l);
		if (l->keeper) {
			listener_drop_all(l, false);
			l->ops->lost(l, why);
		} else if (asked) {
			l->ops->answered(l, e, false);
		}
	}
	keeper_close_line(k, 0, why);
	keeper_close_line(k, 1, why);
	keeper_drop_requests(&k->waiting);
}

void
keeper_lose(struct keeper *k, const char *why)
{
	struct err e;

	if (k->state == KEEPER_OPENING)
		count_failure(k);
	if (k->listeners.count > 0)
		log_warnx("pool", k->pool->conf->name, "the connection that listens was lost",
			  LOG_NUMBER("sessions", k->listeners.count), LOG_QUOTED("why", why));
	err_make(&e, ERR_LISTEN_FAILED, k->pool->conf->name, why);
	end_all(k, &e, why);
	err_clear(&e);
}

static void
line_failed(struct server *srv, const struct err *e)
{
	struct keeper *k = srv->keeper;

	if (srv == k->line[1].srv) {
		k->line[1].srv = NULL;
		keeper_move_no_more(k, e->message);
		return;
	}
	k->line[0].srv = NULL;
	count_failure(k);
	log_warnx("pool", k->pool->conf->name, "cannot open the connection that listens",
		  LOG_QUOTED("why", e->message));
	end_all(k, e, e->message);
}

static void
line_lost(struct server *srv, const char *why)
{
	struct keeper *k = srv->keeper;

	if (srv == k->line[1].srv) {
		k->line[1].srv = NULL;
		keeper_move_no_more(k, why);
		return;
	}
	k->line[0].srv = NULL;
	keeper_lose(k, why);
}

static void
end_keeper(struct pool *pool)
{
	struct keeper *k = pool->keeper;

	if (k == NULL)
		return;
	keeper_lose(k, "the pool is closed");
	hash_clear(&k->channels);
	for (int i = 0; i < 2; i++)
		buf_clear(&k->line[i].in);
	free(k);
	pool->keeper = NULL;
	pool->end_keeper = NULL;
}

/* ---- time ---- */

/* Does the line not answer? */
static bool
is_silent(const struct keeper *k, const struct keeper_line *line, int64_t now)
{
	return line->srv && line->requests.count > 0 &&
	       now - line->asked_us >= k->pool->conf->connect_timeout_us;
}

/* CLOSED, OPENING: those who have waited for wait_timeout are told. */
static void
fail_overdue(struct keeper *k, int64_t now)
{
	int64_t limit = k->pool->conf->wait_timeout_us;
	struct list_node *n;
	struct err e;

	if (limit == 0 || gate_paused(k->pool) || k->pool->all->handing)
		return;
	while ((n = list_first(&k->waiting)) != NULL) {
		struct request *r = LIST_OBJ(n, struct request, node);
		struct listener *l = r->listener;

		if (l == NULL || now - r->since_us < limit)
			return;
		err_make(&e, ERR_LISTEN_FAILED, k->pool->conf->name,
			 k->state == KEEPER_OPENING
			     ? "it could not be opened within wait_timeout"
			     : "the last attempt has failed, and wait_timeout ends before the "
			       "next one");
		listener_give_up(l);
		l->ops->answered(l, &e, false);
		err_clear(&e);
	}
}

void
keepers_sweep(struct pool *pool, int64_t now)
{
	const struct conf_pool *conf = pool->conf;
	struct keeper *k = pool->keeper;

	if (k == NULL)
		return;
	keeper_open(k);
	if (k->state == KEEPER_CLOSED || k->state == KEEPER_OPENING)
		fail_overdue(k, now);
	if (k->state == KEEPER_CLOSED)
		return;
	for (int i = 0; i < 2; i++) {
		struct server *srv = k->line[i].srv;

		if (srv == NULL || srv->state != SERVER_CONNECTING || srv->asking ||
		    now - srv->since_us < conf->connect_timeout_us)
			continue;
		server_connect_late(srv);
		return;
	}
	for (int i = 0; i < 2; i++) {
		const char *why = k->line[i].broken                ? "it does not read"
				  : is_silent(k, &k->line[i], now) ? "it does not answer"
								   : NULL;

		if (why == NULL)
			continue;
		server_close(k->line[i].srv, why);
		return;
	}
	if (k->state == KEEPER_MOVING) {
		if (k->told && now - k->since_us >= MOVE_US)
			keeper_lose(k, "another connection was to listen, and is not of the same "
				       "database: notifications may be missing between the two");
		return;
	}
	if (k->state != KEEPER_READY)
		return;
	if (k->listeners.count == 0) {
		if (now - k->used_us >= UNUSED_US && k->waiting.count == 0)
			keeper_lose(k, "nobody listens");
		return;
	}
	k->used_us = now;
	if (k->line[0].requests.count == 0 && conf->check_interval_us > 0 &&
	    now - k->line[0].srv->used_us >= conf->check_interval_us && !pool->all->handing)
		keeper_send(k, &k->line[0], keeper_request(ALIVE, NULL, ""));
	if ((k->line[0].srv->retiring || pool_is_over_lifetime(pool, k->line[0].srv)) &&
	    now >= k->repeat_us && !pool->all->handing && !gate_paused(pool))
		keeper_move(pool);
}

bool
keeper_is_busy(const struct pool *pool)
{
	const struct keeper *k = pool->keeper;

	if (k == NULL)
		return false;
	if (k->state == KEEPER_CLOSED)
		return k->waiting.count > 0 && !gate_paused(pool);
	return k->state != KEEPER_READY || k->listeners.count == 0 || k->waiting.count > 0 ||
	       k->line[0].requests.count > 0 || k->line[0].srv->retiring;
}

/* ---- the handover ---- */

bool
keeper_can_move_now(const struct pool *pool)
{
	const struct keeper *k = pool->keeper;

	return k == NULL || k->state == KEEPER_CLOSED ||
	       (k->state == KEEPER_READY && k->line[0].requests.count == 0 &&
		server_can_move(k->line[0].srv));
}

void
keeper_force(struct pool *pool, const char *why)
{
	struct keeper *k = pool->keeper;

	if (k && k->state == KEEPER_MOVING)
		keeper_move_no_more(k, why);
	if (!keeper_can_move_now(pool))
		keeper_lose(k, why);
}

void
keeper_hold(struct pool *pool)
{
	struct keeper *k = pool->keeper;

	if (k == NULL)
		return;
	/* The next process opens another one, as its sessions ask again. */
	keeper_shelve(k, "handover");
	/* A connection by TLS. */
	if (k->state != KEEPER_CLOSED && !server_can_move(k->line[0].srv))
		keeper_lose(k, "it cannot be handed over");
}

void
keeper_release(struct pool *pool)
{
	if (pool->keeper == NULL)
		return;
	keeper_open(pool->keeper);
	keeper_send_waiting(pool->keeper);
}

void
keeper_pack(struct pack *p, struct pool *pool)
{
	struct keeper none = {0}, *k = pool && pool->keeper ? pool->keeper : &none;
	uint32_t count = 0;
	struct list_node *n;
	struct buf in;

	buf_init(&in, KEEPER_IN_MAX);
	PACK(p, k->used_us);
	/* Channels that nobody listens to any more. Sessions ask again for what they asked. */
	if (!pack_reading(p) && k != &none)
		LIST_EACH (n, &k->waiting)
			count += LIST_OBJ(n, struct request, node)->what == UNLISTEN;
	PACK(p, count);
	if (pack_reading(p)) {
		for (; count > 0 && !p->failed; count--) {
			char *sql = NULL;

			pack_str(p, &sql);
			if (sql && k != &none)
				list_append(&k->waiting,
					    &keeper_request(UNLISTEN, NULL, sql)->node);
			free(sql);
		}
		pack_buf(p, k != &none ? &k->line[0].in : &in);
	} else {
		if (count > 0)
			LIST_EACH (n, &k->waiting)
				if (LIST_OBJ(n, struct request, node)->what == UNLISTEN)
					pack_str(p, &LIST_OBJ(n, struct request, node)->sql);
		pack_buf(p, k != &none ? &k->line[0].in : &in);
	}
	buf_clear(&in);
}

void
keeper_adopt(struct pool *pool, struct server *srv)
{
	struct keeper *k = need_keeper(pool);

	srv->keeper = k;
	srv->keep = &keeps;
	k->line[0].srv = srv;
	k->line[0].ready = true;
	keeper_set_state(k, KEEPER_READY);
}
