/* timing: how long scopes took and how they ended, for each pool and name of a scope. The number of
 * names is bounded; those that come when it is reached share one row. */
#ifndef PGWITH_SCOPE_TIMING_H
#define PGWITH_SCOPE_TIMING_H

#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"
#include "scope/histogram.h"

#define TIMING_ROWS_MAX 256        /* beside the one of the others */
#define TIMING_NAME_MAX 63         /* bytes that are kept; longer names that begin alike are one */
#define TIMING_OTHERS   "(others)" /* the scope name of that row; its pool is "" */

enum timing_phase {
	TIMING_WAIT,    /* for a server, lock or semaphore */
	TIMING_ENTER,   /* from the grant until it was open: BEGIN, statements of its definition */
	TIMING_HOLD,    /* open */
	TIMING_CLEANUP, /* from its end until all was released */
	TIMING_NPHASES
};

enum timing_outcome {
	TIMING_SUCCESS,
	TIMING_ERROR,
	TIMING_CANCELLED,
	TIMING_EXPIRED, /* its deadline passed */
	TIMING_NOUTCOMES
};

/* One pool and name. */
struct timing_row {
	struct hash_node hashed;
	struct list_node node; /* in timing->rows */
	char *pool;            /* "" for what has none */
	char *scope;
	struct histogram *phases[TIMING_NPHASES]; /* NULL: nothing was added */
	uint64_t outcomes[TIMING_NOUTCOMES];
};

struct timing {
	struct hash table;        /* by pool and scope */
	struct list rows;         /* oldest first; without the one of the others */
	struct timing_row others; /* in no list */
};

void timing_init(struct timing *);
void timing_clear(struct timing *);

/* The row, made if it is not there; never NULL. It stays where it is until timing_clear(), so that
 * a frame can keep the pointer. */
struct timing_row *timing_row(struct timing *, const char *pool, const char *scope);

void timing_add(struct timing_row *, enum timing_phase, int64_t us);
void timing_count(struct timing_row *, enum timing_outcome);

/* A histogram to be read: an empty one where nothing was added. */
const struct histogram *timing_phase(const struct timing_row *, enum timing_phase);

/* Calls fn() for each row, oldest first; that of the others is the last one, if it was used. fn()
 * must not make rows. */
void timing_each(const struct timing *, void (*fn)(void *arg, const struct timing_row *),
		 void *arg);

/* success, error, cancelled, expired */
const char *timing_outcome_name(enum timing_outcome);
/* wait, enter, hold, cleanup */
const char *timing_phase_name(enum timing_phase);

#endif
