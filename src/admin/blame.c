#include "admin/blame.h"

#include <stdlib.h>
#include <string.h>

#include "pool/reason.h"

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

/* `waiting`: the lease that waits for the server. */
static const struct held *
find_server(const struct blame *b, const struct lease *waiting, const struct session *self)
{
	for (unsigned i = 0; i < b->count; i++)
		if (b->list[i].lease && b->list[i].session != self &&
		    reason_is_held(waiting, b->list[i].lease))
			return &b->list[i];
	return NULL;
}

/* The lease of the group that has waited longest, or NULL. */
static const struct lease *
first_waiting(const struct pool *group)
{
	const struct lease *first = NULL;
	const struct list_node *n, *m;

	LIST_EACH (n, &group->all->list) {
		const struct pool *part = LIST_OBJ(n, const struct pool, node);
		const struct lease *l;

		m = part->group == group ? list_first(&part->waiting) : NULL;
		l = m ? LIST_OBJ(m, const struct lease, node) : NULL;
		if (l && (first == NULL || l->since_us < first->since_us))
			first = l;
	}
	return first;
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
	const struct lease *waiting = first_waiting(group);

	if (waiting)
		return find_server(b, waiting, NULL);
	for (unsigned i = 0; i < b->count; i++)
		if (b->list[i].pool && b->list[i].pool->group == group)
			return &b->list[i];
	return NULL;
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
		return find_server(b, t->lease, self);
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

/* Are both holdings servers of one pool, or holds of one lock? */
static bool
same_thing(const struct held *a, const struct held *b)
{
	if (a->pool || b->pool)
		return a->pool && b->pool && a->pool->group == b->pool->group;
	return a->kind == b->kind && strcmp(a->name, b->name) == 0;
}

unsigned
blame_alike(const struct blame *b, const struct held *h)
{
	struct held_alike alike;

	held_alike_init(&alike, h->session, h->state);
	for (unsigned i = 0; i < b->count; i++)
		if (same_thing(&b->list[i], h))
			held_alike_add(&alike, b->list[i].session, b->list[i].state);
	return held_alike_count(&alike);
}
