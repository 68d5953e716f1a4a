/* lock: named locks and semaphores in the daemon's memory. They are there as long as somebody holds
 * or wants them. Locks and semaphores are two name spaces.
 *
 * First in, first out: one that waits is overtaken by nobody, and a shared request behind a waiting
 * exclusive one waits. There are two exceptions. A session that has a lock gets it again at once
 * (shared or exclusive if it has it exclusively, shared if it has it shared). And a session that
 * has it shared and wants it exclusively (an upgrade) gets it when nobody else has it, before all
 * that are no upgrades; two sessions that both upgrade wait for each other (see waits.h). In a
 * semaphore each hold counts, and no session is special. */
#ifndef PGWITH_SCOPE_LOCK_H
#define PGWITH_SCOPE_LOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"
#include "loop/loop.h"

/* All of the daemon. */
struct locks {
	struct loop *loop;
	struct hash table;   /* struct lock by kind and name */
	struct list list;    /* struct lock, oldest first */
	struct list granted; /* struct lock_hold: HELD, and their owners are still to be told */
	uint64_t seed;       /* of the hashes: nobody outside knows which names collide */
	bool telling;        /* not a state: somebody up the stack empties `granted` */
};

enum lock_mode { LOCK_EXCLUSIVE, LOCK_SHARED, LOCK_SEMAPHORE };

/*	none -> waiting -> held -> none
 *	  +------------------^
 *	         waiting -> none */
enum lock_state { LOCK_NONE, LOCK_WAITING, LOCK_HELD };

/* One lock or semaphore; it has at least one holder. Others read it. */
struct lock {
	struct locks *all;
	struct hash_node hashed;
	struct list_node node; /* in locks->list */
	bool semaphore;
	unsigned limit;     /* of a semaphore, otherwise 0 */
	unsigned exclusive; /* exclusive ones among the holders: then they are all of one session */
	struct list holders; /* struct lock_hold, longest first */
	struct list waiting; /* struct lock_hold, next one first */
	char name[];
};

struct lock_hold;

struct lock_ops {
	/* It was waiting and is held now. Anything may be done in it: leaving this and other holds
	 * and freeing them, entering others. Called from lock_leave() of another hold, when all
	 * locks are consistent again; never from within lock_enter(), and never from within
	 * another granted(): what is left there is told when that has returned. */
	void (*granted)(struct lock_hold *);
};

/* One entering of one lock or semaphore; all zero before its first use. */
struct lock_hold {
	enum lock_state state;
	enum lock_mode mode;
	const struct lock_ops *ops;
	void *owner; /* of the ops */
	uint64_t session;
	struct lock *lock;     /* NULL while NONE */
	struct list_node node; /* in the lock's holders or waiting */
	struct list_node tell; /* in locks->granted, or in none */
	unsigned limit;        /* of the semaphore; after -E_RANGE, the one that it exists with */
	bool upgrade;          /* not a state: when it began to wait, its session had it shared */
	int64_t since_us;      /* when the state was entered */
};

void locks_init(struct locks *, struct loop *);
/* After the last hold has left. */
void locks_clear(struct locks *);

/* Wants it for that session. `hold` must be NONE and stays where it is until it is NONE again. The
 * name is copied. `limit` (at least 1) is for LOCK_SEMAPHORE only. Returns 0: held. -E_AGAIN:
 * waiting, granted() will be called. -E_RANGE: the semaphore is there with another limit, which
 * hold->limit tells; the hold is NONE. */
int lock_enter(struct locks *, struct lock_hold *, const char *name, enum lock_mode, unsigned limit,
	       uint64_t session, const struct lock_ops *, void *owner);

/* From another process: held, or waiting, behind all others that are, since hold->since_us. `hold`
 * is NONE otherwise. The caller keeps the order, and knows that they go together. */
void lock_adopt(struct locks *, struct lock_hold *, const char *name, enum lock_mode,
		unsigned limit, uint64_t session, const struct lock_ops *, void *owner,
		enum lock_state, bool upgrade);

/* A waiting hold gives up its place, a held one is released; nothing happens to one that is NONE.
 * It is NONE at once and is not told anything any more, not even that it had been granted.
 * Afterwards others may be told by granted(). */
void lock_leave(struct lock_hold *);

/* Who must be gone before a waiting hold of a lock (not a semaphore) can be held? First in, first
 * out: it is enough to know the one before it in the queue, or, if there is none (NULL), those
 * holders that lock_conflicts() is true of. */
const struct lock_hold *lock_ahead(const struct lock_hold *waiting);
bool lock_conflicts(const struct lock_hold *waiting, const struct lock_hold *held);

/* Calls fn() for each hold of each lock: oldest lock first, holders before waiters. `position` is 0
 * for one that is held, 1 for the one that is next. fn() must not enter or leave. */
void locks_each(const struct locks *,
		void (*fn)(void *arg, const struct lock *, const struct lock_hold *,
			   unsigned position),
		void *arg);

/* exclusive, shared, semaphore */
const char *lock_mode_name(enum lock_mode);

#endif
