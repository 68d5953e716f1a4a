/* cleanup: how a server gets from the middle of anything back to a clean idle one. The machine
 *decides; the server does the I/O. No libevent here.
 *
 *	leased -> cancelling -> draining -> rolling_back -> restoring -> done
 *	              ^ |          | |           |              |
 *	              +-|----------+ |           |              |      a pipeline: each query is
 *cancelled
 *	                +------------+-----------+--------------+--> broken: closed and replaced
 *
 * It is driven by cleanup_step(), which looks at where the server is now (struct progress) rather
 *than at what has happened: the caller calls it after every change, and once in a while for the
 *time limits. */
#ifndef PGWITH_POOL_CLEANUP_H
#define PGWITH_POOL_CLEANUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "pool/progress.h"

enum cleanup_state {
	CLEANUP_NONE,       /* no cleanup is under way */
	CLEANUP_CANCELLING, /* a cancel is under way; the server is not reusable until it has ended
			     */
	CLEANUP_DRAINING,   /* reading and dropping up to the last ReadyForQuery */
	CLEANUP_ROLLING_BACK,
	CLEANUP_RESTORING, /* session state is undone */
	CLEANUP_DONE,
	CLEANUP_BROKEN,
	CLEANUP_NSTATES
};

/* Why a lease ends in another way than by ReadyForQuery(I). */
enum cleanup_why {
	CLEANUP_CLIENT_GONE,    /* closed or killed */
	CLEANUP_CLIENT_LEFT,    /* said Terminate */
	CLEANUP_CLIENT_REFUSED, /* sent what is no protocol */
	CLEANUP_SHUTDOWN,
	CLEANUP_CANCEL_PENDING, /* a normal end, but a cancel of its client is still under way */
	CLEANUP_RESTORE, /* a normal end of a session that changed the server's session state */
	CLEANUP_NWHY
};

struct cleanup {
	enum cleanup_state state;
	enum cleanup_why why;
	int64_t started_us;
	int64_t step_us;        /* when the state was entered */
	int64_t cancelled_us;   /* when CANCELLING was left: the last cancel, if any, had ended */
	int64_t limit_us;       /* for all steps together */
	uint64_t readies;       /* progress.readies when the last cancel was asked for */
	uint32_t cancels;       /* that were asked for */
	uint32_t rollbacks;     /* that were sent */
	uint32_t restores;      /* DISCARD ALLs that were sent */
	bool discard;           /* DISCARD ALL is due */
	bool sent;              /* the statement of this state has gone */
	const char *broken_why; /* static; set with CLEANUP_BROKEN */
};

/* What the caller must do now. */
struct cleanup_do {
	bool cancel; /* send a CancelRequest, off the loop */
};

/* A lease ends. `discard`: session state may have been changed. The caller goes on with
 * cleanup_step(). */
void cleanup_start(struct cleanup *, enum cleanup_why, bool discard, int64_t limit_us,
		   int64_t now_us);

/* Goes as far as possible now. `cancels`: CancelRequests for this server that have not ended. Bytes
 * for the server are added to `out`. Look at c->state afterwards: CLEANUP_DONE and CLEANUP_BROKEN
 * are ends. */
struct cleanup_do cleanup_step(struct cleanup *, struct progress *, unsigned cancels,
			       int64_t now_us, struct buf *out);

/* The server's connection is of no use any more. `why` is a static text. */
void cleanup_break(struct cleanup *, const char *why, int64_t now_us);

/* Cleanup is over (DONE or BROKEN): back to CLEANUP_NONE. */
void cleanup_over(struct cleanup *);

const char *cleanup_state_name(enum cleanup_state);
const char *cleanup_why_name(enum cleanup_why);

#endif
