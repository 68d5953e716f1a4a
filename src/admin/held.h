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
	const struct lease *lease; /* the server's; NULL for a lock or semaphore */
	const struct pool *pool;   /* of the server; NULL for a lock or semaphore */
	const char *name;          /* of the scope, lock or semaphore; otherwise of the pool */
	const char *class;  /* doing_class() of the session's last statement there, or NULL */
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

/* How many other sessions are like one that holds something: of the same role, with the same
 * application_name, and in the same state? held_alike_init() takes the one and its state, then
 * those who hold the same are added, and held_alike_count() counts each of them once, however much
 * it holds. */
struct held_alike {
	const struct session *session;
	const char *state;
	uint64_t *ids; /* private: of those that are alike */
	unsigned count, room;
};
void held_alike_init(struct held_alike *, const struct session *, const char *state);
void held_alike_add(struct held_alike *, const struct session *, const char *state);
/* Also frees what was allocated. */
unsigned held_alike_count(struct held_alike *);

#endif
