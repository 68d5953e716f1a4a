/* pool_stats: sums of a pool for the console: since the start, and of the last period. */
#ifndef PGWITH_POOL_POOL_STATS_H
#define PGWITH_POOL_POOL_STATS_H

#include <stdint.h>

struct pool;

#define POOL_PERIOD_US (60 * INT64_C(1000000)) /* PgBouncer's stats_period */

/* Sums since the start. Bytes are those of clients. */
struct pool_stats {
	/* As in PgBouncer's manual. They count what clients do, not the daemon's own exchanges. */
	uint64_t xacts;   /* transactions; a statement outside of a transaction counts as one */
	uint64_t queries; /* requests that are answered by a ReadyForQuery */
	uint64_t received;
	uint64_t sent;
	/* time with a server, from the first request of a transaction to its end */
	int64_t xact_us;
	int64_t query_us; /* time with a server, from each request to its answer */
	int64_t wait_us;  /* time of waiting for a server */
	uint64_t waits;   /* leases that had to wait */
	/* waits that ended without a server, but not because the client had gone */
	uint64_t wait_fails;
	uint64_t opened; /* servers logged in */
	uint64_t open_fails;
	uint64_t closed;   /* servers closed, for any reason */
	uint64_t broken;   /* servers closed because cleanup failed or the connection was lost */
	uint64_t cleanups; /* cleanups that ended well */
	int64_t cleanup_us;
	uint64_t cancels; /* CancelRequests sent */
	/* Parses of unnamed statements, of which statement_cache decides: whose text had come
	 * before; that no server had to carry out; that a server had to after all, since the
	 * result's columns had changed. */
	uint64_t parses_seen, parses_served, parses_redone;
	uint64_t statements;      /* statements that leases left to be run in cleanup */
	uint64_t statement_fails; /* statements of those that failed or could not be run */
	/* transactions that only read, of the sessions of a pool with read_only: sent to that pool;
	 * kept here */
	uint64_t reads_apart, reads_kept;
	/* clients that have gone without a word in the middle of a query, transaction or scope */
	uint64_t vanished;
};

/* Adds every sum. */
void pool_stats_add(struct pool_stats *to, const struct pool_stats *);

/* Moves the sums of a pool to another one, so that totals do not fall when it goes. */
void pool_stats_move(struct pool *to, struct pool *from);

/* Goes on with the sums and the tally of a pool of that name that was removed, if there was one. */
void pool_stats_go_on(struct pool *);

/* Called by the sweep: if a period has ended, notes in pool->period what it has added. */
void pool_stats_sweep(struct pool *, int64_t now_us);

#endif
