/* pool: a named set of servers with the same conninfo, and the queue of the leases that wait for
 * one. */
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
#include "loop/threads.h"
#include "pool/cluster.h"
#include "pool/known.h"
#include "pool/lease.h"
#include "pool/party.h"
#include "pool/past.h"
#include "pool/pool_stats.h"
#include "pool/pool_tally.h"
#include "pool/resolve.h"
#include "pool/server.h"

/* Bits of pools->timed. */
#define POOLS_TIMED_LISTEN 1 /* metrics_listen is set */
#define POOLS_TIMED_ASKED  2 /* a command of the console has asked; this bit stays */

/* All pools, and what they share. */
struct pools {
	struct loop *loop;
	struct threads *threads; /* threads for cancels and name look-ups */
	struct idmap servers;    /* id -> struct server */
	struct idmap passwords;  /* id -> struct password */
	struct statements statements;
	struct tolds told;
	uint64_t known_versions; /* see known_init() */
	struct buf filtered;     /* the part of one read that is for the client */
	struct list list;        /* of struct pool */
	struct list clusters;    /* of struct cluster */
	struct parties parties;  /* roles and users with limits */
	uint64_t arrivals;       /* leases that have begun to wait */
	void (*serve)(void *);   /* pools_serve() in pool.c */
	bool serve_due;          /* it is called at the end of the turn of the loop */
	struct past past;        /* sums of those that are gone */
	uint64_t changes;        /* how often a pool came, went, or got another `conf` */
	bool closing;            /* shutdown: no server is opened any more */
	bool aged;               /* the last sweep has closed a server for its age */
	unsigned timed;          /* who reads POOL_HOLD and POOL_STATEMENT: POOLS_TIMED_... */
	bool handing;            /* handover.h: no server is opened, and nobody gets a lease */
	/* Handed down: called when the cancel that `requester` asked for has ended. */
	void (*cancelled)(void *arg, uint64_t requester);
	void *cancelled_arg;
};

/* Whom the administrator lets into a pool. */
enum pool_gate {
	POOL_ENABLED,
	POOL_DISABLED, /* nobody new comes in */
	POOL_DRAINED   /* nobody new comes in, and each session is ended when it is at rest */
};

struct keeper;
/* Of the pool of a joined scope: what stands for PostgreSQL behind its one server. */
struct pool_joined {
	/* Cancels what the server runs. When that has been done, server_cancelled() is called, and
	 * pools->cancelled() with `requester`, unless that is 0. */
	void (*cancel)(void *arg, struct server *, uint64_t requester);
	/* The server is idle. */
	void (*idle)(void *arg);
	void *arg;
	const struct lease *lease; /* by which the scope has its server */
};

struct pool {
	struct pools *all;
	struct list_node node;
	/* the pool itself or, with role = client, the pool of which this one serves one role */
	struct pool *group;
	char *role;     /* the role that it serves, or NULL */
	uint64_t place; /* a number for its name, by which prepared.h tells databases apart */
	/* servers of the whole group; counted in the group's own pool */
	unsigned total;
	/* Of the group's own pool: its cluster, or NULL; its servers that are closed, and that
	 * PostgreSQL has not let go yet; and how many servers its min_size keeps for it there. */
	struct cluster *cluster;
	unsigned leaving, reserved;
	/* counted reference; an old one is freed at the end of the turn */
	const struct conf_pool *conf;
	/* It is the pool of a joined scope, which has one server; NULL: an ordinary pool. No name
	 * leads to it, and it opens no servers. */
	struct pool_joined *joined;
	struct pool *of_scope; /* likewise: the pool of the scope's transaction */
	/* likewise: members may have temporary objects or advisory locks in the server; the session
	 * of which that has become known last, 0 once the server has got its statement */
	bool littered;
	uint64_t litterer;
	struct conf_pool *own_conf; /* of such a pool: `conf`, which is no part of a snapshot */
	bool used;                  /* while unused pools are looked for: somebody uses it */
	bool reads;                 /* conf->read_only is set: session/readonly.h */
	/* nobody new comes in, and the pool is freed when the last session has left. Only the
	 * group's own pool has this set */
	bool removed;
	/* the group's own pool has it for the whole group; so for `paused` and `paused_us` */
	enum pool_gate gate;
	bool paused;       /* nobody gets a lease */
	bool sequences;    /* a session has asked for numbers of sequences: session/sequences.h */
	int64_t paused_us; /* since then */
	struct conninfo *conninfo;
	struct password *password; /* of a command; NULL: the configuration names none */
	/* idle ones: most recently used first; leased ones: longest held first */
	struct list servers[SERVER_NSTATES];
	struct list kept[SERVER_NSTATES];  /* servers of its keeper, which are in no other list */
	struct keeper *keeper;             /* keeper.h; NULL: nobody has listened yet */
	void (*end_keeper)(struct pool *); /* with a keeper: called when the pool is freed */
	unsigned count;                    /* servers of this pool, in any state, but for `kept` */
	struct list waiting;               /* leases that wait, in the order in which they came */
	struct list turns; /* those of them that could be served, the next one first: queue.h */
	/* a server has logged in once; in the group's own pool, for the whole group */
	bool worked;
	bool refused; /* at the last attempt PostgreSQL itself refused the login */
	/* when PostgreSQL last ended a connection of the group; in the group's own pool */
	int64_t loss_us;
	int64_t down_us; /* since when there is no server and none can be opened; 0: not so */
	/* The same for the log, which tells when a server has logged in again: another conninfo
	 * does not end it. And when the log last told that; in the group's own pool. */
	int64_t failing_us, told_us;
	/* failed attempts since a server last logged in; several at the same time count once */
	unsigned attempts;
	struct err last_error; /* of the last failed connect */
	int64_t retry_us;      /* no attempt before this time */
	int64_t probe_us;      /* probe.h: when to try; 0: no try is planned */
	/* What its servers last reported of their parameters, as far as no session had set them;
	 * NULL: none has logged in yet. */
	struct told *told;
	int64_t heard_us;   /* when such a report was last up to date: at the end of a statement */
	struct known known; /* values of startup parameters that its servers have taken */
	/* statements.tick when a session had last defined something (once.h); in the group's own
	 * pool, for the whole group */
	uint64_t defined;
	struct pool_stats stats;
	struct pool_stats period_start; /* `stats` when the period began */
	struct pool_stats period;       /* what the last complete period added */
	int64_t period_us;              /* when the period began */
	struct history_pool *history;   /* of admin/history.h; one block of memory, or NULL */
	/* the group's own pool has them for the whole group: pool_time() */
	struct pool_tally tally;
};

/* Counts how long something took in the pool. POOL_HOLD and POOL_STATEMENT, which are for each
 * request, are counted only if pools->timed is set: see is_timed() in lease.c. */
static inline void
pool_time(struct pool *pool, enum pool_time which, int64_t us)
{
	pool_tally_time(&pool->group->tally, which, us);
}

void pools_init(struct pools *, struct loop *, struct threads *);
/* Call it after the last pool has been freed. */
void pools_clear(struct pools *);

/* Makes the pool and opens min_size servers; keeps a reference to `conf`. NULL and a reason in
 * `why` if the conninfo is wrong. */
struct pool *pool_new(struct pools *, const struct conf_pool *conf, char *why, size_t why_size);

/* Makes the pool of a joined scope, whose transaction is on a server of the pool `real`. The caller
 * sets pool->joined, and opens its server by server_open_joined(). */
struct pool *pool_new_joined(struct pools *, const struct pool *real, const char *name);

/* Closes every server and fails every wait; frees the pool at the end of the turn. */
void pool_free(struct pool *);

/* The pool of that name for a client of that role, or NULL. With role = client each role has a pool
 * of its own, made when it is first asked for; together they have at most `size` servers. */
struct pool *pools_find(struct pools *, const char *name, const char *role);

/* What a server of the pool of that name, of any role, last reported of a parameter; NULL: nothing
 * yet. */
const char *pools_told(const struct pools *, const char *name, const char *parameter);

/* How many servers are leased or in cleanup. */
unsigned pool_busy(const struct pool *);
unsigned pools_busy(const struct pools *);

/* Called by servers. */
void pool_server_connected(struct pool *, struct server *); /* it has logged in */
/* it is idle: goes to a lease that waits, stays idle, or is closed */
void pool_server_ready(struct pool *, struct server *);
/* A server could not connect, and is closed. `id`: what clients are told, of the pool and the
 * reason. `sqlstate`: of PostgreSQL's answer, or of what makes the attempt useless; "" if there was
 * no answer. */
void pool_server_failed(struct pool *, enum err_id id, const char *reason, const char *sqlstate);
void pool_fill(struct pool *); /* opens servers as needed, as far as the limits allow */

/* Servers that will soon be free without a lease that ends; and leases of pool->turns for which
 * there is none of these. */
unsigned pool_coming(const struct pool *);
unsigned pool_uncovered(const struct pool *);
/* How many servers the pool could open now, if its cluster had room. */
unsigned pool_may_open(const struct pool *);

/* Lends idle servers to those who wait, and opens servers, in all pools, at the end of this turn of
 * the loop: for changes in the middle of something. */
static inline void
pools_serve_soon(struct pools *all)
{
	if (all->serve_due)
		return;
	all->serve_due = true;
	loop_defer(all->loop, all->serve, all);
}

/* Is the server as old as max_lifetime lets it be? See server_spread_us(). */
bool pool_is_over_lifetime(const struct pool *, const struct server *);

/* How many servers are kept even if nobody wants them. */
int64_t pool_least_servers(const struct pool *);

/* Called by leases: the most recently used idle server, or NULL. */
struct server *pool_take_idle(struct pool *);

/* The same for a server that nobody has had. */
struct server *pool_take_fresh(struct pool *);

/* Is a server idle, or about to be, even if nobody returns one? */
bool pool_is_free_soon(const struct pool *);

/* May a pool of one role be freed, if no session is in it? So it is if it has no server, nobody
 * waits, and no pause between attempts has to be remembered. */
bool pool_is_spent(const struct pool *);

/* Can none of its servers be reached, and is that tried again without a client, or not yet? */
bool pool_is_down(const struct pool *);

/* Is there a reason not even to wait? If so, *e has it, and is the caller's to clear. */
bool pool_refuses(struct pool *, struct err *e);

/* Makes the error of a wait of this lease (NULL: of any) that lasted longer than `limit_us`, with
 * who holds the servers; the caller clears it. */
void pool_wait_error(const struct pool *, const struct lease *, int64_t limit_us, struct err *e);

/* The conninfo for a server of the pool. `role`: NULL, or the role that the server logs in as.
 * Otherwise as conninfo_new(). */
struct conninfo *pool_conninfo(const struct conf_pool *, const char *role, char *why,
			       size_t why_size);
/* From now on the servers are at another place: forgets what is known from those before. */
void pool_forget_place(struct pool *);
/* The server of the group that has been idle longest, except those of `except` (NULL: none is
 * excepted); NULL if no server is idle. */
struct server *pool_oldest_idle(struct pool *group, const struct pool *except);

/* Takes over what the server reports of its parameters, as far as no session has set them: clients
 * are told that from now on. */
void pool_heard(struct pool *, struct server *);

/* May the reports be out of date? A server reports a change (a standby was promoted, the
 * configuration reloaded) only at the end of a statement. */
bool pool_is_stale(const struct pool *);

/* What its servers last reported of a parameter, whose name may be in any case; NULL: nothing. */
const char *pool_param(const struct pool *, const char *name);

#endif
