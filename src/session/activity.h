/* activity: when a session was last at work, for the time limits of its pool (relay/limits.h) and
 * for the console. Times are those of the loop, in microseconds; 0: never yet. */
#ifndef PGWITH_SESSION_ACTIVITY_H
#define PGWITH_SESSION_ACTIVITY_H

#include <stdint.h>

struct pack;

struct activity {
	int64_t request_us;      /* when the client last asked for something */
	uint64_t queries;        /* how many a server was given, or were answered here */
	struct limited *limited; /* for limits; NULL: all of it is 0 */
};

/* What only sessions of pools with time limits, or with read_only, need. */
struct limited {
	int64_t answer_us;  /* when a server last ended the answer to a statement */
	int64_t limited_us; /* when a statement was last cancelled by a limit */
	int64_t exempt_us;  /* lease->xact_us of a transaction that is older than the limits */
	/* When a statement outside of transactions was first cancelled; 0: none was. The other two
	 * say which: progress.answers at that time, and which limit (enum err_id). */
	int64_t alone_us;
	uint64_t alone_answers;
	uint8_t alone_why;
	int64_t received_us;    /* when `received_seen` was last seen to grow */
	uint64_t received_seen; /* stream.received at the last look, bytes */
	int64_t wrote_us;       /* readonly.h: when it may have written last; 0: never */
};

/* What is noted for limits, to be read. */
const struct limited *activity_limited(const struct activity *);
/* The same, to be changed: made if there is none. */
struct limited *activity_limit(struct activity *);

/* Frees what is noted for limits. */
void activity_clear(struct activity *);

/* For the handover. */
void activity_pack(struct pack *, struct activity *);

#endif
