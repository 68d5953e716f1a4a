#include "pool/handover.h"

#include <stdlib.h>
#include <string.h>

#include "base/fnv.h"
#include "base/log.h"
#include "base/mem.h"
#include "pool/gate.h"
#include "pool/keeper.h"
#include "pool/password.h"

#define MARK       0x706f6f6cu
#define RECORD_MAX (16 * 1024 * 1024) /* bytes of one server's record, at most */
#define CANNOT     "it cannot be handed over"

/* ---- holding ---- */

void
handover_hold_pools(struct pools *all)
{
	struct list_node *n, *l, *after;

	all->handing = true;
	LIST_EACH (n, &all->list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);
		struct list *connecting = &pool->servers[SERVER_CONNECTING];

		while ((l = list_first(connecting)) != NULL)
			server_give_up(LIST_OBJ(l, struct server, node), "handover");
		keeper_hold(pool);
		password_abandon(pool);
		LIST_EACH_SAFE (l, after, &pool->servers[SERVER_IDLE]) {
			struct server *srv = LIST_OBJ(l, struct server, node);

			if (!server_can_move(srv))
				server_close(srv, CANNOT);
		}
	}
}

void
handover_release_pools(struct pools *all)
{
	struct list_node *n, *idle;

	all->handing = false;
	clusters_shrink(all);
	LIST_EACH (n, &all->list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);

		while (pool->turns.count > 0 &&
		       (idle = list_first(&pool->servers[SERVER_IDLE])) != NULL) {
			unsigned waiting = pool->turns.count;

			pool_server_ready(pool, LIST_OBJ(idle, struct server, node));
			if (pool->turns.count == waiting &&
			    idle == list_first(&pool->servers[SERVER_IDLE]))
				break;
		}
		pool_fill(pool);
		keeper_release(pool);
	}
}

static void
for_each_stream(struct pools *all, void (*fn)(struct stream *))
{
	struct list_node *n, *l;

	LIST_EACH (n, &all->list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);

		for (int i = 0; i < SERVER_CLOSED; i++)
			LIST_EACH (l, &pool->servers[i])
				fn(&LIST_OBJ(l, struct server, node)->stream);
		for (int i = 0; i < SERVER_CLOSED; i++)
			LIST_EACH (l, &pool->kept[i])
				fn(&LIST_OBJ(l, struct server, node)->stream);
	}
}

void
handover_stop_reading(struct pools *all)
{
	for_each_stream(all, stream_hold);
}

void
handover_read_again(struct pools *all)
{
	for_each_stream(all, stream_release);
}

static bool
can_move_now(const struct server *srv)
{
	return (srv->state == SERVER_IDLE || srv->state == SERVER_LEASED) && srv->cancels == 0 &&
	       !srv->progress.marked && server_can_move(srv);
}

bool
handover_pools_ready(const struct pools *all)
{
	const struct list_node *n, *l;

	/* The next process would not know of servers that PostgreSQL still counts. */
	if (clusters_leaving(all) > 0)
		return false;
	LIST_EACH (n, &all->list) {
		const struct pool *pool = LIST_OBJ(n, const struct pool, node);

		if (!keeper_can_move_now(pool))
			return false;
		for (int i = 0; i < SERVER_CLOSED; i++)
			LIST_EACH (l, &pool->servers[i])
				if (!can_move_now(LIST_OBJ(l, const struct server, node)))
					return false;
	}
	return true;
}

void
handover_pools_force(struct pools *all, const char *why)
{
	struct list_node *n, *l, *after;

	LIST_EACH (n, &all->list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);

		keeper_force(pool, why);
		for (int i = 0; i < SERVER_CLOSED; i++)
			LIST_EACH_SAFE (l, after, &pool->servers[i]) {
				struct server *srv = LIST_OBJ(l, struct server, node);

				if (!can_move_now(srv))
					server_close(srv, why);
			}
	}
	clusters_forget_leaving(all);
}

/* ---- pools ---- */

/* Packs the parameters of a pool. `pool`: NULL if what is read is of no use. */
static void
params_pack(struct pack *p, struct tolds *all, struct pool *pool)
{
	struct told *told = pool ? pool->told : NULL;

	told_pack(p, all, &told);
	if (!pack_reading(p))
		return;
	if (pool)
		pool->told = told;
	else
		told_drop(all, told);
}

/* A hash of the conninfo: a server that leads to another place is of no use to the next process. A
 * hash, because no password is written down. */
static uint64_t
place_of(const struct pool *pool)
{
	const struct conf_pool *conf = pool->conf;
	uint64_t hash = fnv_bytes(FNV_SEED, conf->conninfo, strlen(conf->conninfo) + 1);

	return conf->password ? fnv_bytes(hash, conf->password, strlen(conf->password)) : hash;
}

/* `pool`: NULL if there is none of that name any more. */
static void
values_pack(struct pack *p, struct past *past, const char *name, struct pool *pool)
{
	struct pool none = {0}, *v = pool ? pool : &none;

	PACK(p, v->gate);
	PACK(p, v->paused);
	PACK(p, v->paused_us);
	PACK(p, v->worked);
	PACK(p, v->sequences);
	PACK(p, v->stats);
	PACK(p, v->period_start);
	PACK(p, v->period);
	PACK(p, v->period_us);
	pool_tally_pack(p, &v->tally);
	/* The pool is not in the configuration any more. */
	if (pack_reading(p) && pool == NULL && name)
		past_keep(past, name, &none.stats, &none.tally);
	pool_tally_clear(&none.tally);
}

static void
pool_pack(struct pack *p, struct handed_pools *h, uint32_t i, bool *moved)
{
	struct pool *pool = pack_reading(p) ? NULL : h->list[i], *real;
	char *name = pool ? (char *)pool->conf->name : NULL, *role = pool ? pool->role : NULL;
	uint64_t place = pool ? place_of(pool) : 0;
	bool joined = pool && pool->own_conf;

	pack_str(p, &name);
	pack_str(p, &role);
	PACK(p, place);
	PACK(p, joined);
	if (joined) {
		/* It was made after the pool of its scope, and stands behind that. */
		real = handover_pack_pool(p, h, pool ? pool->of_scope : NULL);
		if (pack_reading(p) && real && name && !p->failed)
			pool = pool_new_joined(h->all, real, name);
		if (pool)
			pool->of_scope = real;
		h->list[i] = pool;
	} else if (pack_reading(p) && name && !p->failed) {
		pool = role ? pools_find(h->all, name, role) : gate_find(h->all, name);
		/* `role` of its configuration may have changed between fixed and client. */
		if (pool && (pool->role == NULL) != (role == NULL))
			pool = NULL;
		h->list[i] = pool;
		moved[i] = pool && place_of(pool) != place;
	}
	values_pack(p, &h->all->past, name, pool);
	params_pack(p, &h->all->told, pool && !(pack_reading(p) && moved[i]) ? pool : NULL);
	if (pack_reading(p)) {
		free(name);
		free(role);
	}
}

/* A pool that had been removed may be in the configuration again. */
static void
pack_past(struct pack *p, struct pools *all)
{
	struct list_node *n;

	past_pack(p, &all->past);
	if (!pack_reading(p))
		return;
	LIST_EACH (n, &all->list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);

		if (pool->group == pool)
			pool_stats_go_on(pool);
	}
}

static void
number_pools(struct handed_pools *h)
{
	struct list_node *n;
	uint32_t i = 0;

	LIST_EACH (n, &h->all->list)
		h->list[i++] = LIST_OBJ(n, struct pool, node);
}

struct pool *
handover_pack_pool(struct pack *p, struct handed_pools *h, struct pool *pool)
{
	uint32_t number = 0;

	for (; !pack_reading(p) && pool && h->list[number] != pool; number++)
		;
	if (!pack_reading(p) && pool == NULL)
		number = h->count;
	PACK(p, number);
	if (!pack_reading(p))
		return pool;
	return number < h->count ? h->list[number] : NULL;
}

/* ---- servers ---- */

static void
server_values_pack(struct pack *p, struct server *srv)
{
	PACK(p, srv->retiring);
	PACK(p, srv->spoiled);
	PACK(p, srv->since_us);
	PACK(p, srv->connected_us);
	PACK(p, srv->connected_at);
	PACK(p, srv->idle_us);
	PACK(p, srv->used_us);
	PACK(p, srv->spread);
	PACK(p, srv->leases);
	PACK(p, srv->sequences);
	pack_str(p, &srv->context);
	PACK(p, srv->lingers);
	PACK(p, srv->context_changed);
	told_pack(p, &srv->pool->all->told, &srv->told);
	told_pack(p, &srv->pool->all->told, &srv->told_at_login);
	told_pack(p, &srv->pool->all->told, &srv->own);
	PACK(p, srv->stream.paused);
	PACK(p, srv->stream.received);
	PACK(p, srv->stream.sent);
	stream_pack_unread(p, &srv->stream);
	progress_pack(p, &srv->progress);
}

static void
server_pack(struct pack *p, struct handed_pools *h, struct server *srv)
{
	struct buf queued;

	server_values_pack(p, srv);
	prepared_pack(p, &srv->prepared, &h->texts);
	buf_init(&queued, RECORD_MAX);
	if (!pack_reading(p)) {
		pack_buf(p, stream_queue(&srv->stream) ? stream_queue(&srv->stream) : &queued);
		return;
	}
	pack_buf(p, &queued);
	if (queued.len > 0)
		stream_write(&srv->stream, buf_data(&queued), queued.len);
	buf_clear(&queued);
}

/* The head of a server's record. */
struct server_head {
	uint64_t id;
	int backend_pid;
	uint32_t key;
	struct cancel_place place;
	enum server_state state;
	bool keeps;
};

/* Ends a server that nobody takes over: what it runs is cancelled. */
static void
refuse_server(const struct handed_pools *h, const struct server_head *head, int fd, const char *why)
{
	log_warnx("server", head->id, "not taken over", LOG_NUMBER("backend", head->backend_pid),
		  LOG_QUOTED("why", why));
	if (fd >= 0)
		cancel_abandon(h->all->threads, head->id, fd, &head->place, head->backend_pid,
			       head->key);
}

static void
read_server(struct pack *record, struct handed_pools *h, const struct server_head *head,
	    struct pool *pool, bool moved)
{
	int fd = h->take(h->arg, head->id);
	struct server *srv;

	if (fd < 0 || pool == NULL ||
	    (srv = server_adopt(pool, head->id, fd, head->state, head->keeps)) == NULL) {
		refuse_server(h, head, fd,
			      fd < 0         ? "its descriptor was not kept"
			      : pool == NULL ? "its pool is gone"
					     : "its number is in use");
		return;
	}
	srv->backend_pid = head->backend_pid;
	srv->key.key = head->key;
	srv->place = head->place;
	srv->key.known = true;
	server_pack(record, h, srv);
	if (head->keeps) {
		keeper_adopt(pool, srv);
		keeper_pack(record, pool);
		/* Another connection takes over, soon. */
		srv->retiring |= moved;
		if (record->failed)
			server_close(srv, "its state was not understood");
		return;
	}
	srv->retiring |= moved;
	if (record->failed || (srv->state == SERVER_IDLE && srv->retiring))
		server_close(srv, record->failed ? "its state was not understood"
						 : "the pool was moved");
}

static void
one_server_pack(struct pack *p, struct handed_pools *h, struct server *srv, const bool *moved)
{
	struct server_head head = {0};
	struct pack record;
	struct pool *pool;
	struct buf out;
	uint8_t *data = NULL;
	size_t bytes = 0;
	uint32_t i = 0;

	if (srv) {
		head.id = srv->id;
		head.backend_pid = srv->backend_pid;
		head.key = srv->key.key;
		head.place = srv->place;
		head.state = srv->state;
		head.keeps = srv->keeps;
	}
	buf_init(&out, RECORD_MAX);
	PACK(p, head);
	pool = handover_pack_pool(p, h, srv ? srv->pool : NULL);
	if (srv) {
		pack_writer(&record, &out);
		server_pack(&record, h, srv);
		if (srv->keeps)
			keeper_pack(&record, srv->pool);
		p->out->failed |= out.failed;
		data = buf_data(&out);
		bytes = out.len;
	}
	pack_blob(p, &data, &bytes);
	buf_clear(&out);
	if (!pack_reading(p))
		return;
	for (; pool && h->list[i] != pool; i++)
		;
	pack_reader(&record, data, bytes);
	if (!p->failed && (head.state == SERVER_IDLE || head.state == SERVER_LEASED))
		read_server(&record, h, &head, pool, pool && moved[i]);
	free(data);
}

static void
servers_pack(struct pack *p, struct handed_pools *h, const bool *moved)
{
	uint32_t count = 0;
	struct list_node *n;

	for (uint32_t i = 0; !pack_reading(p) && i < h->count; i++)
		count += h->list[i]->count + h->list[i]->kept[SERVER_CONNECTING].count +
			 h->list[i]->kept[SERVER_IDLE].count;
	PACK(p, count);
	for (uint32_t i = 0; pack_reading(p) && i < count && !p->failed; i++)
		one_server_pack(p, h, NULL, moved);
	for (uint32_t i = 0; !pack_reading(p) && i < h->count; i++) {
		for (int state = 0; state < SERVER_CLOSED; state++)
			LIST_EACH (n, &h->list[i]->servers[state])
				one_server_pack(p, h, LIST_OBJ(n, struct server, node), moved);
		for (int state = 0; state < SERVER_CLOSED; state++)
			LIST_EACH (n, &h->list[i]->kept[state])
				one_server_pack(p, h, LIST_OBJ(n, struct server, node), moved);
	}
}

void
handover_pack_pools(struct pack *p, struct handed_pools *h)
{
	bool *moved;

	h->count = pack_reading(p) ? 0 : h->all->list.count;
	PACK(p, h->count);
	if (pack_reading(p) && h->count > p->left) {
		p->failed = true;
		h->count = 0;
	}
	h->list = mem_calloc(h->count + 1, sizeof(struct pool *));
	moved = mem_calloc(h->count + 1, sizeof *moved);
	if (!pack_reading(p))
		number_pools(h);
	PACK(p, h->all->servers.last);
	for (uint32_t i = 0; i < h->count && !p->failed; i++)
		pool_pack(p, h, i, moved);
	pack_past(p, h->all);
	pack_mark(p, MARK);
	texts_pack(p, &h->all->statements, &h->texts);
	servers_pack(p, h, moved);
	pack_mark(p, MARK);
	free(moved);
}

void
handover_pools_clear(struct handed_pools *h, bool reading)
{
	texts_clear(&h->texts, reading);
	free(h->list);
	h->list = NULL;
	h->count = 0;
}

/* ---- leases ---- */

bool
handover_pack_lease(struct pack *p, struct handed_pools *h, struct lease *l)
{
	enum lease_state state = l->state;
	uint64_t server = l->srv ? l->srv->id : 0;
	struct server *srv;

	PACK(p, state);
	PACK(p, server);
	PACK(p, l->since_us);
	PACK(p, l->waited_us);
	PACK(p, l->paused_us);
	PACK(p, l->hasty);
	PACK(p, l->asked_us);
	PACK(p, l->xact_us);
	if (!pack_reading(p) || state != LEASE_HELD)
		return true;
	srv = idmap_get(&h->all->servers, server);
	if (srv == NULL || srv->state != SERVER_LEASED || srv->lease)
		return false;
	lease_adopt_held(l, srv);
	return true;
}
