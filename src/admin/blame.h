/* blame: who holds what others wait for? The holdings of held.h, looked up by what is waited
 * for. */
#ifndef PGWITH_ADMIN_BLAME_H
#define PGWITH_ADMIN_BLAME_H

#include "admin/held.h"
#include "session/doing.h"

/* All holdings at one time. The pointers are valid until the loop goes on. */
struct blame {
	struct held *list; /* the longest first */
	unsigned count;
	int64_t now_us;
};

void blame_take(struct blame *, const struct daemon *);
void blame_clear(struct blame *);

/* Of what a session waits for: server, lock, semaphore; and the name of the pool, lock or
 * semaphore. "" if it waits for nothing. */
const char *blame_kind(const struct doing_wait *);
const char *blame_name(const struct doing_wait *);

/* The longest holding of what is waited for; NULL: nobody holds it (the pool is paused, or opens
 * servers). One's own holdings, those of `self`, are left out. */
const struct held *blame_holder(const struct blame *, const struct doing_wait *,
				const struct session *self);
/* The same of the lock; and of the servers of a pool, with which the first in its queue would get
 * on. */
const struct held *blame_pool(const struct blame *, const struct pool *group);
const struct held *blame_lock(const struct blame *, const struct lock *);

/* How many other sessions are like the one of this holding, and hold the same: see held.h. */
unsigned blame_alike(const struct blame *, const struct held *);

/* Follows the waits: if the session of this holding (which may be NULL) waits itself, goes on to
 * who holds what it waits for, and so on. The last one found waits for nothing, or for what nobody
 * holds, or closes a circle. */
const struct held *blame_root(const struct blame *, const struct held *);

#endif
