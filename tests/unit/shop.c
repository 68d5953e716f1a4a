#include "shop.h"

#include <stdio.h>
#include <string.h>

#include "loops.h"

static void
describe(const struct lease *l, char *out, size_t out_size)
{
	snprintf(out, out_size, "session %u", (unsigned)l->session);
}

static const struct lease_ops ops = {.describe = describe};

void
shop_pool(struct shop *shop, struct pool *pool, struct pool *group, struct conf_pool *conf)
{
	*pool = (struct pool){.all = &shop->d.site.pools, .group = group, .conf = conf};
	/* A server has logged in once. Nothing looks into it. */
	pool->told = (struct told *)shop;
	for (int i = 0; i < SERVER_NSTATES; i++) {
		list_init(&pool->servers[i]);
		list_init(&pool->kept[i]);
	}
	list_init(&pool->waiting);
	list_init(&pool->turns);
	list_append(&shop->d.site.pools.list, &pool->node);
}

void
shop_open(struct shop *shop)
{
	struct site *site = &shop->d.site;

	memset(shop, 0, sizeof *shop);
	site->loop = site->pools.loop = loops_new();
	site->phase = SITE_RUNNING;
	shop->whole.max_clients = 100;
	site->conf = &shop->whole;
	list_init(&site->pools.list);
	list_init(&site->pools.clusters);
	parties_init(&site->pools.parties);
	past_init(&site->pools.past);
	list_init(&site->in_state[SESSION_IDLE]);
	idmap_init(&site->sessions);
	idmap_init(&site->pools.servers);
	locks_init(&site->locks, site->loop);
	timing_init(&site->timing);
	shop->conf = (struct conf_pool){
	    .name = "orders", .size = 2, .max_waiting = 2, .wait_timeout_us = 5000000};
	shop_pool(shop, &shop->pool, &shop->pool, &shop->conf);
	for (unsigned i = 0; i < SHOP_SESSIONS; i++) {
		struct session *s = &shop->buyers[i].session;

		session_set_none(s);
		s->site = site;
		s->pool = &shop->pool;
		s->state = SESSION_IDLE;
		s->peer.role = "app";
		s->peer.pid = 42424242; /* no process has it: the kernel goes up to 4194304 */
		s->id = idmap_add(&site->sessions, s);
	}
}

void
shop_close(struct shop *shop)
{
	struct site *site = &shop->d.site;

	for (unsigned i = 0; i < SHOP_SESSIONS; i++)
		progress_clear(&shop->buyers[i].server.progress);
	past_clear(&site->pools.past);
	timing_clear(&site->timing);
	locks_clear(&site->locks);
	idmap_clear(&site->sessions);
	idmap_clear(&site->pools.servers);
	loop_free(site->loop);
}

void
shop_server(struct shop *shop, struct pool *pool, unsigned i, enum server_state state)
{
	struct server *srv = &shop->buyers[i].server;

	srv->pool = pool;
	srv->state = state;
	srv->id = idmap_add(&shop->d.site.pools.servers, srv);
	srv->backend_pid = 1000 + (int)i;
	progress_init(&srv->progress);
	list_append(&pool->servers[state], &srv->node);
	pool->count++;
	pool->group->total++;
}

static struct lease *
lease_of(struct shop *shop, struct pool *pool, unsigned i, int64_t age_us)
{
	struct buyer *b = &shop->buyers[i];
	struct lease *l = &b->hold.lease;

	b->session.own = b->session.hold = &b->hold;
	lease_init(l, &ops, &b->session, b->session.id);
	l->pool = pool;
	l->since_us = loop_now_us(shop->d.site.loop) - age_us;
	return l;
}

struct buyer *
shop_lend(struct shop *shop, struct pool *pool, unsigned i, int64_t age_us, char status)
{
	struct lease *l = lease_of(shop, pool, i, age_us);

	shop_server(shop, pool, i, SERVER_LEASED);
	l->state = LEASE_HELD;
	l->srv = &shop->buyers[i].server;
	l->srv->lease = l;
	l->srv->progress.status = status;
	return &shop->buyers[i];
}

struct buyer *
shop_wait(struct shop *shop, struct pool *pool, unsigned i, int64_t age_us)
{
	struct lease *l = lease_of(shop, pool, i, age_us);

	l->state = LEASE_WAITING;
	list_append(&pool->waiting, &l->node);
	list_append(&pool->turns, &l->turn.node);
	return &shop->buyers[i];
}
