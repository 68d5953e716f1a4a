#include "admin/blame.h"

#include <stdlib.h>
#include <string.h>

#include "pool/gate.h"

/* Waits that are followed: more is a circle, or too long to be read. */
#define STEPS_MAX 32

void
blame_take(struct blame *b, const struct daemon *d)
{
	*b = (struct blame){.now_us = loop_now_us(d->site.loop)};
	b->list = held_list(d, &b->count);
}

void
blame_clear(struct blame *b)
{
	free(b->list);
	*b = (struct blame){0};
}

const char *
blame_kind(const struct doing_wait *t)
{
	if (t->lock)
		return t->lock->lock->semaphore ? "semaphore" : "lock";
	return t->lease ? "server" : "";
}

const char *
blame_name(const struct doing_wait *t)
{
	if (t->lock)
		return t->lock->lock->name;
	return t->lease ? t->lease->pool->conf->name : "";
}

static const struct held *
find_server(const struct blame *b, const struct pool *group, const struct session *self)
{
	for (unsigned i = 0; i < b->count; i++)
		if (b->list[i].pool && b->list[i].pool->group == group &&
		    b->list[i].session != self)
			return &b->list[i];
	return NULL;
}

static const struct held *
find_lock(const struct blame *b, const struct lock *lock, const struct session *self)
{
	enum held_kind kind = lock->semaphore ? HELD_SEMAPHORE : HELD_LOCK;

	for (unsigned i = 0; i < b->count; i++)
		if (b->list[i].kind == kind && strcmp(b->list[i].name, lock->name) == 0 &&
		    b->list[i].session != self)
			return &b->list[i];
	return NULL;
}

const struct held *
blame_pool(const struct blame *b, const struct pool *group)
{
	return find_server(b, group, NULL);
}

const struct held *
blame_lock(const struct blame *b, const struct lock *lock)
{
	return find_lock(b, lock, NULL);
}

const struct held *
blame_holder(const struct blame *b, const struct doing_wait *t, const struct session *self)
{
	if (t->lease)
		return gate_paused(t->lease->pool) ? NULL
						   : find_server(b, t->lease->pool->group, self);
	return t->lock ? find_lock(b, t->lock->lock, self) : NULL;
}

const struct held *
blame_root(const struct blame *b, const struct held *h)
{
	for (int i = 0; h && i < STEPS_MAX; i++) {
		struct doing_wait t = doing_wait(h->session);
		const struct held *next = blame_holder(b, &t, h->session);

		if (next == NULL)
			return h;
		h = next;
	}
	return h;
}
