/* timing: how long scopes took and how they ended, one row for each pool and scope name. The number
 * of rows is bounded: names that come after that share one more row. */
#ifndef PGWITH_SCOPE_TIMING_H
#define PGWITH_SCOPE_TIMING_H

#include <stdint.h>

#include "base/hash.h"
#include "base/histogram.h"
#include "base/list.h"

#define TIMING_ROWS_MAX 256        /* beside the shared one */
#define TIMING_NAME_MAX 63         /* bytes; names that are alike up to there share a row */
#define TIMING_OTHERS   "(others)" /* the scope name of the shared row; its pool is "" */

enum timing_phase {
	TIMING_WAIT,    /* waiting for a server, lock or semaphore */
	TIMING_ENTER,   /* from the grant until it is open: BEGIN, statements of its definition */
	TIMING_HOLD,    /* open */
	TIMING_CLEANUP, /* from its end until everything is released */
	TIMING_NPHASES
};

enum timing_outcome {
	TIMING_SUCCESS,
	TIMING_ERROR,
	TIMING_CANCELLED,
	TIMING_EXPIRED, /* a time limit passed */
	TIMING_NOUTCOMES
};

/* One pool and scope name. */
struct timing_row {
	struct hash_node hashed;
	struct list_node node; /* in timing->rows */
	char *pool;            /* "" for a lock or semaphore */
	char *scope;
	struct histogram *phases[TIMING_NPHASES]; /* NULL: empty */
	uint64_t outcomes[TIMING_NOUTCOMES];
};

struct timing {
	struct hash table;        /* by pool and scope */
	struct list rows;         /* oldest first; without `others` */
	struct timing_row others; /* the shared row, in no list */
};

void timing_init(struct timing *);
void timing_clear(struct timing *);

/* The row of that pool and scope name, which is made if it does not exist, or the shared one; never
 * NULL. It lives until timing_clear(), so that a frame can keep the pointer. */
struct timing_row *timing_row(struct timing *, const char *pool, const char *scope);

void timing_add(struct timing_row *, enum timing_phase, int64_t us);
void timing_count(struct timing_row *, enum timing_outcome);

/* The histogram of a phase, to be read; an empty one if nothing was added. */
const struct histogram *timing_phase(const struct timing_row *, enum timing_phase);

/* Calls fn() for each row, oldest first, and the shared row last, if it was used. fn() must not
 * make rows. */
void timing_each(const struct timing *, void (*fn)(void *arg, const struct timing_row *),
		 void *arg);

/* success, error, cancelled, expired */
const char *timing_outcome_name(enum timing_outcome);
/* wait, enter, hold, cleanup */
const char *timing_phase_name(enum timing_phase);

#endif
