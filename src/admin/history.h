/* history: the last hour of each pool in steps of a minute, for the status page, and the errors of
 * that hour. It is kept in memory only, and only while metrics_listen is set. It costs nothing on
 * the way of a request: the daemon's sweep reads the counters that are there anyway.
 *
 * A minute is one of the clock of the loop: minute n lasts from n * 60 s until (n + 1) * 60 s. So
 * it neither begins when a minute of the wall clock does, nor jumps when that is set. */
#ifndef PGWITH_ADMIN_HISTORY_H
#define PGWITH_ADMIN_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/histogram.h"
#include "daemon/daemon.h"

#define HISTORY_MINUTES 60
#define HISTORY_SLOTS   (HISTORY_MINUTES + 1)   /* and the minute that goes on */
#define HISTORY_STEP_US (10 * INT64_C(1000000)) /* between the points of the last minute */
#define HISTORY_POINTS  8

/* One minute of one pool, all its roles together. Counts stay at their maximum instead of
 * wrapping. */
struct history_minute {
	/* How much of the minute pgwithd has looked at. 0: nothing is known, and all is 0. */
	uint32_t covered_ms;
	uint32_t xacts, queries;
	uint32_t leased, waiting; /* the most that a sweep has seen */
	uint32_t oldest_wait_ms;  /* likewise */
	uint32_t waits;           /* requests for a server that had to wait */
	uint32_t wait_mean_us;    /* of the waits that have ended, by a server or an error */
	uint32_t wait_p99_us;
	uint32_t wait_fails, open_fails, broken; /* as in struct pool_stats */
};

/* What a sweep sees of a pool: sums since the start, and how it is now. */
struct history_look {
	struct pool_stats stats;
	const struct histogram *wait, *hold; /* of pool_tally.h, since the start */
	unsigned leased, waiting;
	int64_t oldest_wait_us;
};

/* The buckets of a histogram at some time, modulo 2^32. What came since is the difference. */
struct history_buckets {
	uint32_t list[HISTOGRAM_BUCKETS];
};

/* The sums at some time of the last minute. */
struct history_point {
	int64_t at_us; /* 0: there is no such point */
	uint64_t xacts, queries;
	int64_t xact_us, query_us;
};

struct history_pool {
	struct history_look look; /* while a sweep looks: of all roles */
	int64_t looked_us;        /* when it was looked at last; 0: never */
	int64_t minute;           /* the newest that has a slot: slot minute % HISTORY_SLOTS */
	struct pool_stats before; /* the sums of the last look */
	/* When the newest minute began, and the one before, or at the first look: */
	struct pool_stats minute_began;
	struct history_buckets wait[2], hold[2];
	struct history_minute slots[HISTORY_SLOTS];
	struct history_point points[HISTORY_POINTS]; /* the newest is points[newest] */
	unsigned newest;
};

/* Takes in what a sweep has seen. */
void history_look(struct history_pool *, int64_t now_us, const struct history_look *);

/* The minute that was so many minutes ago (0: the one that goes on). NULL: nothing is known of it:
 * pgwithd was not running, or the pool was not there, or metrics_listen was not set. `h` may be
 * NULL. */
const struct history_minute *history_minute(const struct history_pool *h, int64_t now_us,
					    unsigned ago);

/* What happened between a point that is at least HISTORY_STEP_US old, or else the oldest there is,
 * and now. */
struct history_recent {
	int64_t us; /* how long that was; 0: nothing is known yet, and all is 0 */
	uint64_t xacts, queries;
	int64_t xact_us, query_us;
};
struct history_recent history_recent(const struct history_pool *, int64_t now_us,
				     const struct pool_stats *now);

/* What was added to the histogram in this minute and the one before. Without a history, that is
 * nothing. */
void history_recent_waits(const struct history_pool *, const struct histogram *now,
			  struct histogram *out);
void history_recent_holds(const struct history_pool *, const struct histogram *now,
			  struct histogram *out);

/* ---- errors that clients were told, of the whole daemon ---- */

struct history_errors {
	int64_t looked_us, minute;
	uint64_t before[ERR_N];
	uint32_t slots[HISTORY_SLOTS][ERR_N];
	int64_t points_us[HISTORY_POINTS];
	uint64_t points[HISTORY_POINTS][ERR_N];
	unsigned newest;
};

void history_look_errors(struct history_errors *, int64_t now_us, const struct error_count[ERR_N]);

/* How many errors of one kind there were in the last minute (a little more: the time since the
 * newest point that is a minute old), and in the last hour. `h` may be NULL. */
uint64_t history_errors_minute(const struct history_errors *, int64_t now_us,
			       const struct error_count[ERR_N], int id);
uint64_t history_errors_hour(const struct history_errors *, int64_t now_us,
			     const struct error_count[ERR_N], int id);

/* ---- of the daemon ---- */

/* Called when the daemon starts, when its configuration has changed, and by its sweep. If
 * metrics_listen is empty, frees all that is kept. */
void history_sweep(struct daemon *);

/* Both may be NULL. */
const struct history_pool *history_of(const struct pool *);
const struct history_errors *history_errors_of(const struct daemon *);

/* What it takes: how many pools have a history, and bytes of memory. */
unsigned history_pools(const struct daemon *);
size_t history_bytes(const struct daemon *);

#endif
