/* held: what sessions hold now that others may wait for: servers, locks, semaphores. SHOW HELD. */
#ifndef PGWITH_ADMIN_HELD_H
#define PGWITH_ADMIN_HELD_H

#include "daemon/daemon.h"

enum held_kind { HELD_TRANSACTION, HELD_SCOPE, HELD_LOCK, HELD_SEMAPHORE, HELD_PINNED };

/* One holding. The pointers are valid until the loop goes on. */
struct held {
	enum held_kind kind;
	const struct session *session;
	const struct pool *pool; /* of the server; NULL for a lock or semaphore */
	const char *name;        /* of the scope, lock or semaphore; otherwise of the pool */
	const char *state;       /* running, idle in transaction, idle, waiting */
	int64_t since_us;
	unsigned waiting; /* how many wait in the queue of the pool, lock or semaphore */
	int backend_pid;  /* 0 for a lock or semaphore */
};

/* Returns all holdings, the longest first, which the caller frees by free(); `*count` is their
 * number. The work is bounded by the number of servers and of holders of locks. */
struct held *held_list(const struct daemon *, unsigned *count);

/* Called by the daemon's sweep: logs, once, what is held for longer than log_held_longer_than of
 * its pool (of a lock or semaphore: of its session's pool), but for pinned sessions, and logs the
 * end of what was logged. What is so old already in the first sweep of a process was handed over by
 * another process, which has logged it. */
void held_sweep(struct daemon *);

const char *held_kind_name(enum held_kind);

#endif
