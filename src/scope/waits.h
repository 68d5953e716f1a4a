/* waits: who waits for whom, over locks, semaphores and pools together. A wait that can never end
 * is found when it begins.
 *
 * A session that waits for nothing can go on, and may release all that it holds. A session that
 * waits can go on
 *	for a lock: if every other session with a conflicting hold, and every session that waits
 *		for it before this one, can go on;
 *	for a semaphore: if at least one session that holds it can go on;
 *	for a server: if at least one server of the pool (of all pools of its group, if these share
 *		their size) is free, or will be free without a session (connecting, checking,
 *		cleaning), or may still be opened, or is leased by a session that can go on;
 *		and, if the pool has a cluster with a server_limit, the same holds for all groups of
 *		the cluster together, where of another group only what its min_size does not keep
 *		counts; and, if the session's role or uid has max_servers, at least one of its
 *		servers is leased by a session that can go on, or it may have one more.
 * Sessions that wait before it for the same semaphore or pool make no difference: they get theirs
 * first, and can go on then. A session that cannot go on after these rules have been applied until
 * nothing changes can never go on (the general AND-OR model: Knapp, Deadlock detection in
 * distributed databases, ACM Computing Surveys 19(4), 1987).
 *
 * lease->session tells which session a server is leased by: all leases of a session have its id.
 *
 * The caller asks waits_closed() about every wait when it begins, and gives up a wait that can
 * never end. So there never is a circle. A session that holds nothing need not ask: nobody can wait
 * for it. A circle that is closed inside PostgreSQL (row locks, advisory locks) is not seen. */
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
/* Also removes sessions that are still registered. */
void waits_clear(struct waits *);

/* Register what a session waits for. A session that holds a lock, a semaphore or a server must be
 * registered while it waits; one that holds nothing (a plain client in the queue of a pool) need
 * not be. The hold or lease must stay in its place in memory until waits_end(). If it is not
 * WAITING any more (granted, failed, left), it does not count. A session waits for one thing at a
 * time: a second registration replaces the first. */
void waits_begin_lock(struct waits *, uint64_t session, const struct lock_hold *);
void waits_begin_lease(struct waits *, uint64_t session, const struct lease *);
/* Of a wait that has begun: the session is a member of the joined scope whose pool this is, or of
 * none: NULL. */
void waits_within(struct waits *, uint64_t session, const struct pool *within);
/* Removes the registration, if there is one. */
void waits_end(struct waits *, uint64_t session);

/* Can the registered wait of `session` never end? Then *circle is the reason for people, bounded
 * and clean UTF-8: session 12 waits for lock "a", held by session 13; session 13 waits for pool
 * "orders", of which session 12 holds 1 of 1. The caller frees it; it is NULL if false is returned.
 * `circle` may be NULL. Nothing is changed; only what this session can reach is looked at. */
bool waits_closed(const struct waits *, uint64_t session, char **circle);

#endif
