/* activity: when a session was last at work, and with what: for the time limits of its pool
 * (relay/limits.h) and for the console. Times are those of the loop, in microseconds, 0 if there
 * was none yet. It owns nothing. */
#ifndef PGWITH_SESSION_ACTIVITY_H
#define PGWITH_SESSION_ACTIVITY_H

#include <stdint.h>

struct activity {
	int64_t request_us; /* when the client has last asked for something */
	uint64_t queries;   /* that a server was given, or that were answered here */
	/* limits: */
	int64_t answer_us;      /* when a server last ended the answer to a statement */
	int64_t limited_us;     /* when a statement was last cancelled */
	int64_t exempt_us;      /* lease->xact_us of a transaction that is older than the limits */
	int64_t alone_us;       /* the statement that runs outside of a transaction was first to end
				 * then; 0: it may go on */
	uint64_t alone_answers; /* progress.answers at that time */
	uint8_t alone_why;      /* enum err_id: the limit that it has reached */
	int64_t heard_us;       /* when `heard` was seen to grow */
	uint64_t heard;         /* stream.received at the last look, bytes */
};

#endif
