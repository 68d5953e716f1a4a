/* pool: a named set of servers made from one conninfo, and the queue of those who wait for one. */
#ifndef PGWITH_POOL_POOL_H
#define PGWITH_POOL_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/idmap.h"
#include "base/list.h"
#include "conf/conf.h"
#include "loop/loop.h"
#include "loop/work.h"
#include "pool/known.h"
#include "pool/lease.h"
#include "pool/resolve.h"
#include "pool/server.h"

/* All pools, and what they share. */
struct pools {
	struct loop *loop;
	struct work *work;    /* cancels and name look-ups */
	struct idmap servers; /* id -> struct server */
	struct statements statements;
	struct tolds told;
	struct buf filtered; /* what of one read is for the client */
	struct list list;    /* of struct pool */
	bool closing;        /* nothing new is opened */
	bool handing;        /* handover.h: nothing new is opened, nobody gets a lease */
	/* Handed down: the cancel that `requester` asked for has ended. */
	void (*cancelled)(void *arg, uint64_t requester);
	void *cancelled_arg;
};

/* Sums since the start. Bytes are those of clients. */
struct pool_stats {
	/* As PgBouncer's manual has them: of what clients do, not of the daemon's own exchanges. */
	uint64_t xacts;   /* transactions; a statement outside of one is one */
	uint64_t queries; /* requests: what is answered by a ReadyForQuery */
	uint64_t received;
	uint64_t sent;
	int64_t xact_us;  /* with a server, from the first request of each to its end */
	int64_t query_us; /* with a server, from each request to its answer */
	int64_t wait_us;  /* for a server */
	uint64_t waits;   /* leases that had to wait */
	uint64_t
	    wait_fails;  /* of those, the ones that ended without a server (client gone excepted) */
	uint64_t opened; /* servers logged in */
	uint64_t open_fails;
	uint64_t closed;   /* servers closed for whatever reason */
	uint64_t broken;   /* of those, the ones that cleanup could not save, or that were lost */
	uint64_t cleanups; /* that ended well */
	int64_t cleanup_us;
	uint64_t cancels;         /* CancelRequests sent */
	uint64_t statements;      /* that leases left to be run in cleanup */
	uint64_t statement_fails; /* of those, the ones that failed or could not be run */
};
/* Adds all of them. */
void pool_stats_add(struct pool_stats *to, const struct pool_stats *);

/* Whom an administrator lets into a pool. */
enum pool_gate {
	POOL_ENABLED,
	POOL_DISABLED, /* nobody new */
	POOL_DRAINED   /* nobody new, and those who are in are told to go when they are at rest */
};

struct pool {
	struct pools *all;
	struct list_node node;
	struct pool
	    *group; /* itself; or the pool whose clients of one role it serves (role = client) */
	char *role; /* that role, or NULL */
	unsigned total;               /* servers of the whole group; kept in the group's own pool */
	const struct conf_pool *conf; /* kept, until the end of the turn in which it has another */
	bool used;                    /* while unused pools are looked for: somebody is in it */
	bool removed; /* nobody new comes in, and it is freed when the last has left; the group's
			 own pool has it for all of them */
	enum pool_gate gate; /* the group's own pool has it for all of them; so the next */
	bool paused;         /* nobody gets a lease */
	bool sequences;      /* somebody has asked for numbers of sequences: session/sequences.h */
	int64_t paused_us;   /* since then */
	struct conninfo *conninfo;
	struct list servers[SERVER_NSTATES]; /* idle: most recently used first; leased: longest held
						first */
	unsigned count;                      /* servers that exist, in whatever state */
	struct list waiting;                 /* leases, first in first out */
	bool worked;     /* a server has logged in; the group's own pool has it for all of them */
	bool refused;    /* at the last attempt PostgreSQL itself has said no */
	int64_t loss_us; /* PostgreSQL has ended a connection of the group's; in its own pool */
	int64_t down_us; /* no server is there, and none can be had since then; 0: not so */
	unsigned
	    attempts; /* that have failed since a server has logged in; those at once are one */
	struct err last_error; /* of the last failed connect */
	int64_t retry_us;      /* not to be tried again before */
	int64_t probe_us;      /* probe.h: to be tried then; 0: not */
	/* What its servers have said last of their parameters, where no session has set them; NULL:
	 * none has logged in yet. */
	struct told *told;
	int64_t heard_us;   /* when one of them was last at the end of a statement */
	struct known known; /* startup parameters that its servers have taken */
	struct pool_stats stats;
	struct pool_stats period_start; /* stats when the period began */
	struct pool_stats period;       /* what the last whole period added */
	int64_t period_us;              /* when the period began */
};
#define POOL_PERIOD_US (60 * INT64_C(1000000)) /* PgBouncer's stats_period */

void pools_init(struct pools *, struct loop *, struct work *);
/* After the last pool has been freed. */
void pools_clear(struct pools *);

/* Makes the pool and opens its min_size; keeps `conf`. Returns NULL and a reason in `why` if the
 * conninfo cannot be parsed. */
struct pool *pool_new(struct pools *, const struct conf_pool *conf, char *why, size_t why_size);

/* Closes every server and fails every waiter; frees at the end of the turn. */
void pool_free(struct pool *);

/* The pool of that name for a client of that role, or NULL: with role = client each role has one of
 * its own, made when it is first asked for; all of them together have `size` servers. */
struct pool *pools_find(struct pools *, const char *name, const char *role);

/* What the servers of the pool of that name, of whatever role, have said last of a parameter; NULL:
 * nothing yet. */
const char *pools_told(const struct pools *, const char *name, const char *parameter);

/* Time limits of everything in all pools. */
void pools_sweep(struct pools *);

/* Servers in use: leased, or in cleanup. */
unsigned pool_busy(const struct pool *);
unsigned pools_busy(const struct pools *);

/* From the servers. */
void pool_server_connected(struct pool *, struct server *); /* logged in */
void pool_server_ready(struct pool *, struct server *);     /* idle again: grant it or keep it */
/* A connect failed, whose server is closed. `sqlstate`: of PostgreSQL's answer, or of what makes
 * the attempt useless; "": it has not given one. */
void pool_server_failed(struct pool *, const char *reason, const char *sqlstate);
void pool_fill(struct pool *); /* opens what is needed, as far as the limits allow */

/* From the leases: the most recently used idle server, or NULL. */
struct server *pool_take_idle(struct pool *);

/* The same of one that nobody has had. */
struct server *pool_take_fresh(struct pool *);

/* Is a server idle, or about to be, without anybody having to give one back? */
bool pool_is_free_soon(const struct pool *);

/* Moves the sums of a pool to another: they must not get less when it goes. */
void pool_stats_move(struct pool *to, struct pool *from);

/* Is it one of a role that has no server, and none that is to be waited for or not to be tried yet?
 * Then it can go if no session is in it. */
bool pool_is_spent(const struct pool *);

/* Is there a reason not even to wait? Then *e says it, and is the caller's to clear. */
bool pool_refuses(struct pool *, struct err *e);

/* The error of a wait that lasted longer than `limit_us`, with who holds what; the caller's to
 * clear. */
void pool_wait_error(const struct pool *, int64_t limit_us, struct err *e);

/* A conninfo for a server of the pool; otherwise as conninfo_new(). `role`: NULL, or the one that
 * it is to log in as. */
struct conninfo *pool_conninfo(const struct conf_pool *, const char *role, char *why,
			       size_t why_size);
/* The servers that come now are at another place: what is known from those of before is forgotten.
 */
void pool_forget_place(struct pool *);
/* The idle server of the group that has been idle for longest, but for those of `except` (NULL: of
 * any); NULL if there is none. */
struct server *pool_oldest_idle(struct pool *group, const struct pool *except);

/* What a server says of its parameters, as far as no session has set them, is what a client is told
 * from now on. */
void pool_heard(struct pool *, struct server *);

/* May what they have told be out of date? A server says what has changed (a standby was promoted,
 * its configuration reloaded) only at the end of a statement. */
bool pool_is_stale(const struct pool *);

/* What its servers have said last of a parameter, whose name may be in any case; NULL: nothing. */
const char *pool_param(const struct pool *, const char *name);

#endif
