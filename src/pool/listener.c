#include <stdlib.h>
#include <string.h>

#include "base/fnv.h"
#include "base/mem.h"
#include "pool/keeper_inside.h"
#include "pool/pool.h"

static uint64_t
hash_of(const char *name, size_t bytes)
{
	return fnv_bytes(FNV_SEED, name, bytes);
}

struct channel *
keeper_channel(const struct keeper *k, const char *name, size_t bytes)
{
	for (struct hash_node *n = hash_first(&k->channels, hash_of(name, bytes)); n;
	     n = hash_next(n)) {
		struct channel *c = HASH_OBJ(n, struct channel, node);

		if (c->bytes == bytes && memcmp(c->name, name, bytes) == 0)
			return c;
	}
	return NULL;
}

static struct channel *
need_channel(struct keeper *k, const char *name, size_t bytes)
{
	struct channel *c = keeper_channel(k, name, bytes);

	if (c)
		return c;
	c = mem_calloc(1, sizeof *c);
	list_init(&c->listeners);
	c->bytes = (uint8_t)bytes;
	memcpy(c->name, name, bytes);
	hash_add(&k->channels, &c->node, hash_of(name, bytes));
	return c;
}

void
keeper_add_quoted(struct buf *sql, const char *name)
{
	buf_add_u8(sql, '"');
	for (; *name; name++) {
		if (*name == '"')
			buf_add_u8(sql, '"');
		buf_add_u8(sql, (uint8_t)*name);
	}
	buf_add_u8(sql, '"');
}

static struct subscription *
find_subscription(const struct listener *l, const char *name, size_t bytes)
{
	struct list_node *n;

	LIST_EACH (n, &l->channels) {
		struct subscription *sub = LIST_OBJ(n, struct subscription, in_listener);

		if (sub->channel->bytes == bytes && memcmp(sub->channel->name, name, bytes) == 0)
			return sub;
	}
	return NULL;
}

/* Nobody listens to the channel any more. */
static void
drop_channel(struct keeper *k, struct channel *c)
{
	struct buf sql;

	hash_remove(&k->channels, &c->node);
	if (k->state == KEEPER_READY || k->state == KEEPER_MOVING) {
		buf_init(&sql, 1024);
		buf_add_fmt(&sql, "UNLISTEN ");
		keeper_add_quoted(&sql, c->name);
		buf_add_u8(&sql, 0);
		list_append(&k->waiting,
			    &keeper_request(UNLISTEN, NULL, (char *)buf_data(&sql))->node);
		buf_clear(&sql);
		keeper_send_waiting(k);
	}
	free(c);
}

static void
drop_subscription(struct subscription *sub)
{
	struct listener *l = sub->listener;
	struct keeper *k = l->keeper;

	list_remove(&l->channels, &sub->in_listener);
	list_remove(&sub->channel->listeners, &sub->in_channel);
	l->listens -= sub->has == LISTENER_LISTENS;
	if (sub->channel->listeners.count == 0)
		drop_channel(k, sub->channel);
	free(sub);
}

void
listener_init(struct listener *l, const struct listener_ops *ops, void *owner)
{
	*l = (struct listener){.ops = ops, .owner = owner};
	list_init(&l->channels);
}

void
listener_leave_if_idle(struct listener *l)
{
	if (l->keeper == NULL || l->channels.count > 0 || l->asked || l->converting || l->syncing)
		return;
	l->keeper->used_us = keeper_now_us(l->keeper);
	list_remove(&l->keeper->listeners, &l->node);
	l->keeper = NULL;
}

/* Nobody waits for the request any more: it is not sent, unless it was sent. */
static void
forget(struct keeper *k, struct request **r)
{
	struct request *gone = *r;

	*r = NULL;
	gone->listener = NULL;
	if (gone->sent)
		return;
	list_remove(&k->waiting, &gone->node);
	keeper_free_request(gone);
}

void
listener_give_up(struct listener *l)
{
	struct list_node *n, *after;

	if (l->asked == NULL)
		return;
	forget(l->keeper, &l->asked);
	LIST_EACH_SAFE (n, after, &l->channels) {
		struct subscription *sub = LIST_OBJ(n, struct subscription, in_listener);

		sub->keeps = false;
		if (sub->has == LISTENER_ASKED)
			drop_subscription(sub);
	}
	listener_leave_if_idle(l);
}

void
listener_drop_all(struct listener *l, bool only_tried)
{
	struct list_node *n, *after;

	LIST_EACH_SAFE (n, after, &l->channels) {
		struct subscription *sub = LIST_OBJ(n, struct subscription, in_listener);

		if (sub->has == LISTENER_TRIED || !only_tried)
			drop_subscription(sub);
	}
	listener_leave_if_idle(l);
}

void
keeper_convert_no_more(struct listener *l)
{
	if (l->converting == NULL)
		return;
	forget(l->keeper, &l->converting);
	listener_leave_if_idle(l);
}

void
listener_sync_no_more(struct listener *l)
{
	if (l->syncing == NULL)
		return;
	list_remove(l->syncing, &l->sync);
	l->syncing = NULL;
	listener_leave_if_idle(l);
}

void
listener_clear(struct listener *l)
{
	listener_sync_no_more(l);
	keeper_convert_no_more(l);
	listener_give_up(l);
	listener_drop_all(l, false);
}

enum listener_has
listener_has(const struct listener *l, const char *name, size_t bytes)
{
	const struct subscription *sub = find_subscription(l, name, bytes);

	return sub ? sub->has : LISTENER_NO;
}

void
listener_keep(struct listener *l, const char *name, size_t bytes)
{
	struct subscription *sub = find_subscription(l, name, bytes);

	if (sub == NULL || sub->has != LISTENER_TRIED)
		return;
	sub->has = LISTENER_LISTENS;
	l->listens++;
}

void
listener_drop(struct listener *l, const char *name, size_t bytes)
{
	struct subscription *sub = find_subscription(l, name, bytes);

	if (sub)
		drop_subscription(sub);
	listener_leave_if_idle(l);
}

const char *
listener_next(const struct listener *l, struct list_node **at)
{
	*at = *at ? (*at)->next : l->channels.head.next;
	return *at == &l->channels.head
		   ? NULL
		   : LIST_OBJ(*at, struct subscription, in_listener)->channel->name;
}

static void
join(struct keeper *k, struct listener *l)
{
	if (l->keeper)
		return;
	l->keeper = k;
	list_append(&k->listeners, &l->node);
}

static struct subscription *
subscribe(struct keeper *k, struct listener *l, const char *name, size_t bytes,
	  enum listener_has has)
{
	struct subscription *sub = mem_calloc(1, sizeof *sub);

	sub->channel = need_channel(k, name, bytes);
	sub->listener = l;
	sub->has = has;
	l->listens += has == LISTENER_LISTENS;
	list_append(&sub->channel->listeners, &sub->in_channel);
	list_append(&l->channels, &sub->in_listener);
	return sub;
}

void
listener_want(struct keeper *k, struct listener *l, const char *names, size_t names_bytes, bool try)
{
	join(k, l);
	for (const char *at = names; at < names + names_bytes; at += strlen(at) + 1) {
		struct subscription *sub = find_subscription(l, at, strlen(at));

		if (sub && sub->has == LISTENER_TRIED && !try) {
			sub->keeps = true;
		} else if (sub == NULL) {
			subscribe(k, l, at, strlen(at), LISTENER_ASKED)->try = try;
		}
	}
}

void
listener_granted(struct listener *l)
{
	struct list_node *n;

	LIST_EACH (n, &l->channels) {
		struct subscription *sub = LIST_OBJ(n, struct subscription, in_listener);

		if (sub->has == LISTENER_ASKED) {
			sub->has = sub->try ? LISTENER_TRIED : LISTENER_LISTENS;
			l->listens += !sub->try;
		} else if (sub->has == LISTENER_TRIED && sub->keeps) {
			sub->has = LISTENER_LISTENS;
			l->listens++;
		}
		sub->keeps = false;
	}
}

bool
listener_pack(struct pack *p, struct listener *l, struct pool *pool)
{
	uint32_t count = 0;
	struct list_node *n;
	bool good = true;

	if (!pack_reading(p))
		LIST_EACH (n, &l->channels)
			count +=
			    LIST_OBJ(n, struct subscription, in_listener)->has != LISTENER_ASKED;
	PACK(p, count);
	if (!pack_reading(p)) {
		LIST_EACH (n, &l->channels) {
			struct subscription *sub = LIST_OBJ(n, struct subscription, in_listener);
			char *name = sub->channel->name;

			if (sub->has == LISTENER_ASKED)
				continue;
			pack_str(p, &name);
			PACK(p, sub->has);
		}
		return true;
	}
	for (; count > 0 && !p->failed; count--) {
		enum listener_has has = LISTENER_NO;
		char *name = NULL;

		pack_str(p, &name);
		PACK(p, has);
		if (name == NULL || strlen(name) > KEEPER_NAME || pool == NULL ||
		    pool->keeper == NULL || pool->keeper->state != KEEPER_READY ||
		    (has != LISTENER_TRIED && has != LISTENER_LISTENS)) {
			good = false;
		} else {
			join(pool->keeper, l);
			subscribe(pool->keeper, l, name, strlen(name), has);
		}
		free(name);
	}
	return good;
}
