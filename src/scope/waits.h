/* waits: who waits for whom, over locks, semaphores and pools together. A wait that can never end
 * is found when it begins.
 *
 * A session that waits for nothing can go on, and may release all that it has. One that waits can
 * go on
 *	for a lock: if every other session whose hold conflicts, and every session that waits
 *		before it, can go on;
 *	for a semaphore: if at least one session that holds it can;
 *	for a server: if at least one in the pool (in all pools of its group, if these share their
 *		size) is free, or will be without anybody's doing (connecting, checking, cleaning),
 *		or may still be opened, or is leased for a session that can go on.
 * Who waits before it for a semaphore or for a server makes no difference: they get theirs, and
 * then can go on. What cannot go on by repeating these rules never can (the general AND-OR model:
 * Knapp, Deadlock detection in distributed databases, ACM Computing Surveys 19(4), 1987).
 *
 * Whose a leased server is, lease->session tells: all leases of a session must have its id.
 *
 * If every wait is asked about when it begins and the refused ones are given up, no circle is ever
 * there; for a wait of a session that holds nothing (nobody can wait for it) the question can be
 * left out. A circle that goes on inside PostgreSQL (row locks, advisory locks) is not seen. */
#ifndef PGWITH_SCOPE_WAITS_H
#define PGWITH_SCOPE_WAITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "pool/lease.h"
#include "scope/lock.h"

/* What each session waits for. */
struct waits {
	struct hash table; /* by session id */
};

void waits_init(struct waits *);
/* Sessions that are still registered are forgotten. */
void waits_clear(struct waits *);

/* From now on the session waits for this. Whoever holds a lock, a semaphore or a server must be
 * registered while it waits for another; who holds nothing (a plain client in the queue of a pool)
 * need not be. The hold or lease must stay where it is until waits_end(); one that is not WAITING
 * any more (granted, failed, left) does not count. A session waits for one thing at a time: what
 * it was registered with before is forgotten. */
void waits_begin_lock(struct waits *, uint64_t session, const struct lock_hold *);
void waits_begin_lease(struct waits *, uint64_t session, const struct lease *);
/* Nothing happens if it is not registered. */
void waits_end(struct waits *, uint64_t session);

/* After the wait of `session` was registered: is it one that can never end? Then *circle (the
 * caller frees it; NULL if false is returned; `circle` itself may be NULL) is the reason for
 * people, bounded and clean UTF-8: session 12 waits for lock "a", held by session 13; session 13
 * waits for pool "orders", of which session 12 holds 1 of 1. Nothing is changed. Looks only at what
 * can be reached from this session. */
bool waits_closed(const struct waits *, uint64_t session, char **circle);

#endif
