/* lock: named locks and semaphores in the daemon's memory. One exists as long as a session holds it
 * or waits for it. Locks and semaphores have separate name spaces.
 *
 * Requests are granted first in, first out: no request overtakes one that waits, and a shared
 * request behind a waiting exclusive one waits, too. There are two exceptions for locks. A session
 * that holds a lock gets it again at once (in any mode if it holds it exclusively, else only
 * shared). And a session that holds a lock shared and wants it exclusively (an upgrade) gets it
 * when nobody else holds it, before all requests that are no upgrades; two sessions that both
 * upgrade wait for each other (see waits.h). In a semaphore each hold counts, also of the same
 * session. */
#ifndef PGWITH_SCOPE_LOCK_H
#define PGWITH_SCOPE_LOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"
#include "loop/loop.h"

/* All locks and semaphores of the daemon. */
struct locks {
	struct loop *loop;
	struct hash table;   /* struct lock by kind and name */
	struct list list;    /* struct lock, oldest first */
	struct list granted; /* struct lock_hold: HELD, but granted() is still to be called */
	uint64_t seed;       /* of the hashes: random, so that no client can make names collide */
	bool telling;        /* not a state: a caller up the C stack empties `granted` */
};

enum lock_mode { LOCK_EXCLUSIVE, LOCK_SHARED, LOCK_SEMAPHORE };

/*	none -> waiting -> held -> none
 *	  +------------------^
 *	         waiting -> none */
enum lock_state { LOCK_NONE, LOCK_WAITING, LOCK_HELD };

/* One lock or semaphore. It has at least one holder. Other modules may read it. */
struct lock {
	struct locks *all;
	struct hash_node hashed;
	struct list_node node; /* in locks->list */
	bool semaphore;
	unsigned limit;      /* of a semaphore; 0 for a lock */
	unsigned exclusive;  /* exclusive holds; if not 0, all holds are one session's */
	struct list holders; /* struct lock_hold, the oldest first */
	struct list waiting; /* struct lock_hold, the next to be granted first */
	char name[];
};

struct lock_hold;

struct lock_ops {
	/* The hold was waiting and is held now. The callback may do anything: leave this hold and
	 * others, free them, enter new ones. It is called by lock_leave() of another hold, when all
	 * locks are consistent again. It is never called by lock_enter(), and never inside another
	 * granted(): holds that are granted there are told after that one has returned. */
	void (*granted)(struct lock_hold *);
};

/* One request for one lock or semaphore, and the right to it once granted. All zero before its
 * first use. */
struct lock_hold {
	enum lock_state state;
	enum lock_mode mode;
	const struct lock_ops *ops;
	void *owner; /* of the ops */
	uint64_t session;
	struct lock *lock;     /* NULL while NONE */
	struct list_node node; /* in the lock's `holders` or `waiting` */
	struct list_node tell; /* in locks->granted, or in no list */
	unsigned limit;        /* of the semaphore; after -E_RANGE, that of the existing one */
	bool upgrade;          /* not a state: when it began to wait, its session held it shared */
	int64_t since_us;      /* when the state was entered */
};

void locks_init(struct locks *, struct loop *);
/* To be called after the last hold has left. */
void locks_clear(struct locks *);

/* Requests a lock or semaphore for a session. `hold` must be NONE, and must stay in its place in
 * memory until it is NONE again. The name is copied. `limit` (at least 1) is for LOCK_SEMAPHORE
 * only. Returns 0: it is held. -E_AGAIN: it waits, granted() will be called. -E_RANGE: the
 * semaphore exists with another limit, which hold->limit tells; the hold is NONE. */
int lock_enter(struct locks *, struct lock_hold *, const char *name, enum lock_mode, unsigned limit,
	       uint64_t session, const struct lock_ops *, void *owner);

/* Takes over a hold from another process, which is NONE here but for hold->since_us: it becomes
 * HELD or WAITING, behind all that are so already. The caller adopts the holds in their order, and
 * is sure that they are compatible. */
void lock_adopt(struct locks *, struct lock_hold *, const char *name, enum lock_mode,
		unsigned limit, uint64_t session, const struct lock_ops *, void *owner,
		enum lock_state, bool upgrade);

/* Releases a held hold, or ends the wait of a waiting one; one that is NONE is left alone. The hold
 * is NONE at once, and granted() is not called for it any more, even if that was due. It may be
 * called for others before this function returns. */
void lock_leave(struct lock_hold *);

/* Which holds must leave before a waiting hold of a lock (not of a semaphore) is granted? First the
 * one before it in the queue: lock_ahead(). If there is none (NULL), all holders for which
 * lock_conflicts() is true. */
const struct lock_hold *lock_ahead(const struct lock_hold *waiting);
bool lock_conflicts(const struct lock_hold *waiting, const struct lock_hold *held);

/* Calls fn() for each hold of each lock and semaphore: the oldest lock first, holders before
 * waiters. `position` is 0 for a holder, 1 for the first waiter, and so on. fn() must not enter or
 * leave. */
void locks_each(const struct locks *,
		void (*fn)(void *arg, const struct lock *, const struct lock_hold *,
			   unsigned position),
		void *arg);

/* exclusive, shared, semaphore */
const char *lock_mode_name(enum lock_mode);

#endif
