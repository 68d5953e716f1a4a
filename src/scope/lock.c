#include "scope/lock.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/err.h"
#include "base/fnv.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/trace.h"

#define TO(state) (1u << (state))

static const struct {
	const char *name;
	unsigned next;
} states[] = {
    [LOCK_NONE] = {"none", TO(LOCK_WAITING) | TO(LOCK_HELD)},
    [LOCK_WAITING] = {"waiting", TO(LOCK_HELD) | TO(LOCK_NONE)},
    [LOCK_HELD] = {"held", TO(LOCK_NONE)},
};

const char *
lock_mode_name(enum lock_mode mode)
{
	static const char *const names[] = {"exclusive", "shared", "semaphore"};

	return names[mode];
}

void
locks_init(struct locks *all, struct loop *loop)
{
	*all = (struct locks){.loop = loop};
	hash_init(&all->table);
	list_init(&all->list);
	list_init(&all->granted);
	if (getrandom(&all->seed, sizeof all->seed, 0) != sizeof all->seed)
		log_fatal("", LOG_ALONE, "no random numbers");
}

void
locks_clear(struct locks *all)
{
	assert(all->list.count == 0 && all->granted.count == 0);
	hash_clear(&all->table);
}

/* ---- finding a lock ---- */

static struct lock *
find_lock(struct locks *all, const char *name, bool semaphore, uint64_t hash)
{
	struct hash_node *n;

	for (n = hash_first(&all->table, hash); n; n = hash_next(n)) {
		struct lock *lock = HASH_OBJ(n, struct lock, hashed);

		if (lock->semaphore == semaphore && strcmp(lock->name, name) == 0)
			return lock;
	}
	return NULL;
}

static struct lock *
find_or_make(struct locks *all, const char *name, bool semaphore, unsigned limit)
{
	size_t bytes = strlen(name);
	uint64_t hash = fnv_bytes(all->seed + semaphore, name, bytes);
	struct lock *lock = find_lock(all, name, semaphore, hash);

	if (lock)
		return lock;
	lock = mem_calloc(1, sizeof *lock + bytes + 1);
	lock->all = all;
	lock->semaphore = semaphore;
	lock->limit = semaphore ? limit : 0;
	list_init(&lock->holders);
	list_init(&lock->waiting);
	memcpy(lock->name, name, bytes);
	hash_add(&all->table, &lock->hashed, hash);
	list_append(&all->list, &lock->node);
	return lock;
}

static void
free_lock(struct lock *lock)
{
	hash_remove(&lock->all->table, &lock->hashed);
	list_remove(&lock->all->list, &lock->node);
	free(lock);
}

/* ---- may a hold be granted? ---- */

bool
lock_conflicts(const struct lock_hold *h, const struct lock_hold *held)
{
	return h->session != held->session &&
	       (h->mode == LOCK_EXCLUSIVE || held->mode == LOCK_EXCLUSIVE);
}

const struct lock_hold *
lock_ahead(const struct lock_hold *h)
{
	return h->node.prev == &h->lock->waiting.head
		   ? NULL
		   : LIST_OBJ(h->node.prev, const struct lock_hold, node);
}

/* Does the session hold the lock, in any mode? */
static bool
session_holds(const struct lock *lock, uint64_t session)
{
	const struct list_node *n;

	LIST_EACH (n, &lock->holders)
		if (LIST_OBJ(n, const struct lock_hold, node)->session == session)
			return true;
	return false;
}

/* Would `h` be compatible with the holders? Those who wait are not considered. */
static bool
is_free(const struct lock *lock, const struct lock_hold *h)
{
	const struct list_node *n;

	if (h->mode == LOCK_SEMAPHORE)
		return lock->holders.count < lock->limit;
	/* A shortcut: a shared hold conflicts only with exclusive ones. */
	if (h->mode == LOCK_SHARED && lock->exclusive == 0)
		return true;
	LIST_EACH (n, &lock->holders)
		if (lock_conflicts(h, LIST_OBJ(n, const struct lock_hold, node)))
			return false;
	return true;
}

/* May the new hold `h` overtake those who wait? */
static bool
may_pass(const struct lock *lock, const struct lock_hold *h)
{
	return lock->waiting.count == 0 ||
	       (h->mode != LOCK_SEMAPHORE && session_holds(lock, h->session));
}

/* ---- the moves ---- */

/* The node in the queue before which `h` is put: upgrades stand before all others. */
static struct list_node *
queue_place(struct lock *lock, const struct lock_hold *h)
{
	struct list_node *n;

	if (h->upgrade)
		LIST_EACH (n, &lock->waiting)
			if (!LIST_OBJ(n, struct lock_hold, node)->upgrade)
				return n;
	return &lock->waiting.head;
}

static void
lock_set_state(struct lock_hold *h, enum lock_state state)
{
	struct lock *lock = h->lock;

	if (!(states[h->state].next & TO(state)))
		log_fatal("session", h->session, "illegal move of a lock:",
			  LOG_MOVE(states[h->state].name, states[state].name));
	log_debug("session", h->session, "", LOG_WORD(lock_mode_name(h->mode)),
		  LOG_MOVE(states[h->state].name, states[state].name));
	if (trace_on && (h->state == LOCK_WAITING || state == LOCK_WAITING))
		trace_add(TRACE_LOCK, loop_now_us(lock->all->loop), h->session, 0,
			  state == LOCK_WAITING, state == LOCK_WAITING ? lock->name : NULL, NULL);
	if (h->state == LOCK_HELD) {
		list_remove(&lock->holders, &h->node);
		lock->exclusive -= h->mode == LOCK_EXCLUSIVE;
	} else if (h->state == LOCK_WAITING) {
		list_remove(&lock->waiting, &h->node);
	}
	if (state == LOCK_HELD) {
		list_append(&lock->holders, &h->node);
		lock->exclusive += h->mode == LOCK_EXCLUSIVE;
	} else if (state == LOCK_WAITING) {
		list_insert(&lock->waiting, &h->node, queue_place(lock, h));
	}
	h->state = state;
	h->since_us = loop_now_us(lock->all->loop);
}

int
lock_enter(struct locks *all, struct lock_hold *h, const char *name, enum lock_mode mode,
	   unsigned limit, uint64_t session, const struct lock_ops *ops, void *owner)
{
	struct lock *lock;

	assert(h->state == LOCK_NONE);
	assert(mode != LOCK_SEMAPHORE || limit > 0);
	lock = find_or_make(all, name, mode == LOCK_SEMAPHORE, limit);
	*h = (struct lock_hold){
	    .mode = mode,
	    .ops = ops,
	    .owner = owner,
	    .session = session,
	    .limit = lock->limit,
	};
	if (mode == LOCK_SEMAPHORE && limit != lock->limit)
		return -E_RANGE;
	h->lock = lock;
	if (is_free(lock, h) && may_pass(lock, h)) {
		lock_set_state(h, LOCK_HELD);
		return 0;
	}
	h->upgrade = mode == LOCK_EXCLUSIVE && session_holds(lock, session);
	lock_set_state(h, LOCK_WAITING);
	return -E_AGAIN;
}

void
lock_adopt(struct locks *all, struct lock_hold *h, const char *name, enum lock_mode mode,
	   unsigned limit, uint64_t session, const struct lock_ops *ops, void *owner,
	   enum lock_state state, bool upgrade)
{
	int64_t since_us = h->since_us;

	*h = (struct lock_hold){
	    .mode = mode,
	    .ops = ops,
	    .owner = owner,
	    .session = session,
	    .limit = limit,
	    .lock = find_or_make(all, name, mode == LOCK_SEMAPHORE, limit),
	    .upgrade = upgrade,
	};
	lock_set_state(h, state);
	h->since_us = since_us;
}

/* Grants all waiting holds that can be granted now. Their owners are told later, by tell_granted(),
 * when all locks are consistent again. */
static void
grant_waiting(struct lock *lock)
{
	struct list_node *n;

	while ((n = list_first(&lock->waiting)) != NULL) {
		struct lock_hold *h = LIST_OBJ(n, struct lock_hold, node);

		if (!is_free(lock, h))
			return;
		lock_set_state(h, LOCK_HELD);
		list_append(&lock->all->granted, &h->tell);
	}
}

/* Calls granted() for one hold after the other; each call may change the list. A call inside
 * granted() returns at once and leaves the rest to the outermost one: so a long chain of sessions,
 * each of which releases a lock for the next, does not use up the C stack. */
static void
tell_granted(struct locks *all)
{
	struct list_node *n;

	if (all->telling)
		return;
	all->telling = true;
	while ((n = list_first(&all->granted)) != NULL) {
		struct lock_hold *h = LIST_OBJ(n, struct lock_hold, tell);

		list_remove(&all->granted, n);
		h->ops->granted(h);
	}
	all->telling = false;
}

void
lock_leave(struct lock_hold *h)
{
	struct lock *lock = h->lock;
	struct locks *all;

	if (h->state == LOCK_NONE)
		return;
	all = lock->all;
	if (list_linked(&h->tell))
		list_remove(&all->granted, &h->tell);
	lock_set_state(h, LOCK_NONE);
	h->lock = NULL;
	grant_waiting(lock);
	/* Without holders there are no waiters either: the first one would have been granted. */
	if (lock->holders.count == 0)
		free_lock(lock);
	tell_granted(all);
}

/* ---- for people ---- */

void
locks_each(const struct locks *all,
	   void (*fn)(void *arg, const struct lock *, const struct lock_hold *, unsigned position),
	   void *arg)
{
	const struct list_node *l, *n;

	LIST_EACH (l, &all->list) {
		const struct lock *lock = LIST_OBJ(l, const struct lock, node);
		unsigned position = 0;

		LIST_EACH (n, &lock->holders)
			fn(arg, lock, LIST_OBJ(n, const struct lock_hold, node), 0);
		LIST_EACH (n, &lock->waiting)
			fn(arg, lock, LIST_OBJ(n, const struct lock_hold, node), ++position);
	}
}
