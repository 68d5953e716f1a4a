/* held: what sessions hold now that others may wait for: servers, locks, semaphores. SHOW HELD. */
#ifndef PGWITH_ADMIN_HELD_H
#define PGWITH_ADMIN_HELD_H

#include "daemon/daemon.h"

enum held_kind { HELD_TRANSACTION, HELD_SCOPE, HELD_LOCK, HELD_SEMAPHORE, HELD_PINNED };

/* One holding. The pointers are valid until the loop goes on. */
struct held {
	enum held_kind kind;
	uint64_t key; /* no other holding has it while this one lasts */
	const struct session *session;
	const struct pool *pool; /* of the server; NULL for a lock or semaphore */
	const char *name;        /* of the scope, lock or semaphore; otherwise of the pool */
	const char *class;       /* doing_class() of the session's last statement there, or NULL */
	const char *pinned; /* why the session keeps this server, as in SHOW CLIENTS; or NULL */
	const char *state;  /* running, idle in transaction, idle, waiting */
	int64_t since_us;
	/* how many wait in the queue of the pool (with role = client: of all roles), lock or
	 * semaphore */
	unsigned waiting;
	int backend_pid; /* 0 for a lock or semaphore */
};

/* Returns all holdings, the longest first, which the caller frees by free(); `*count` is their
 * number. The work is bounded by the number of servers and of holders of locks. */
struct held *held_list(const struct daemon *, unsigned *count);
/* The same in any order. */
struct held *held_all(const struct daemon *, unsigned *count);

const char *held_kind_name(enum held_kind);

#endif
