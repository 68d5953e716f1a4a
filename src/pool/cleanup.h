/* cleanup: how a server gets from the middle of anything back to a clean idle one. The machine
 * decides; the server does the I/O. No libevent here.
 *
 *	leased -> cancelling -> draining -> rolling_back -> running -> restoring -> done
 *	             ^  ^ |        | |           |   ^        | | ^ |      |
 *	             |  +-|--------+ |           |   +--------+ | +-+      |
 *	             +----|----------|-----------|--------------+          |
 *	                  +----------+-----------+-------------------------+--> broken
 *
 * broken: the connection is closed and replaced. running: each statement in turn; what it leaves
 * open is rolled back; one that takes too long is cancelled, and the next one runs.
 * Of a pipeline each query is cancelled: draining -> cancelling. What is not needed is left out:
 * rolling_back outside a transaction, running without statements.
 *
 * It is driven by cleanup_step(), which looks at where the server is now (struct progress) rather
 * than at what has happened: the caller calls it after every change, and once in a while for the
 * time limits.
 *
 * Limits: no step takes longer than half of `limit_us`, and all of them together no longer than
 * limit_us, which begins anew with each statement. A statement that takes longer than half of it
 * is cancelled and has failed; that, too, is within its limit_us. So n statements and everything
 * else take at most (n + 1) * limit_us. */
#ifndef PGWITH_POOL_CLEANUP_H
#define PGWITH_POOL_CLEANUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "pool/progress.h"
#include "pool/todo.h"

enum cleanup_state {
	CLEANUP_NONE,       /* no cleanup is under way */
	CLEANUP_CANCELLING, /* a cancel is under way; the server is not reusable until it has ended
			     */
	CLEANUP_DRAINING,   /* reading and dropping up to the last ReadyForQuery */
	CLEANUP_ROLLING_BACK,
	CLEANUP_RUNNING,   /* the statements that the lease has left, each on its own */
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
	CLEANUP_KILLED,         /* by an administrator */
	CLEANUP_SHUTDOWN,
	CLEANUP_CANCEL_PENDING, /* a normal end, but a cancel of its client is still under way */
	CLEANUP_RESTORE,    /* a normal end of a session that changed the server's session state */
	CLEANUP_SCOPE_END,  /* a normal end, at rest, that leaves statements to be run */
	CLEANUP_TIME_LIMIT, /* of the pool, in the middle of an exchange */
	CLEANUP_HALF_BEGUN, /* a normal end, but its transaction may be: progress.half_begun */
	CLEANUP_UNREAD,     /* a normal end, but the server has not read all that it was sent */
	CLEANUP_NWHY
};

struct cleanup {
	enum cleanup_state state;
	uint64_t server; /* the id of the server that is cleaned up, for the log */
	enum cleanup_why why;
	int64_t started_us;
	int64_t step_us;        /* when the state was entered */
	int64_t cancelled_us;   /* when CANCELLING was left: the last cancel, if any, had ended */
	int64_t limit_us;       /* for all steps together, and again for each statement */
	int64_t limited_us;     /* when that began */
	uint64_t readies;       /* progress.readies when the last cancel was asked for */
	uint32_t cancels;       /* that were asked for */
	uint32_t rollbacks;     /* that were sent, since ROLLING_BACK was entered */
	uint32_t restores;      /* DISCARD ALLs that were sent, and what was sent between them */
	bool lifting;           /* RESTORING: the last was not DISCARD ALL */
	uint32_t attempts;      /* at the statement that is running */
	struct todo due;        /* statements to be run */
	struct todo done;       /* those that were run, or will not be any more */
	bool discard;           /* DISCARD ALL is due; with keep, some time later */
	bool keep;              /* session state stays as it is: the lease goes on */
	bool sent;              /* the statement of this state has gone */
	bool running;           /* the first of `due` has gone, and its end was not seen */
	bool copy_failed;       /* it has got a CopyFail */
	const char *broken_why; /* static; set with CLEANUP_BROKEN */
};

/* What the caller must do now. */
struct cleanup_do {
	bool cancel; /* send a CancelRequest, off the loop */
};

/* A lease ends, or pauses. `todo`: NULL, or statements to be run after the transaction's end; they
 * are moved out of it. `discard`: session state may have been changed, by the lease or by these
 * statements; it is undone after them. Not with `keep`: the same lease goes on afterwards. The
 * caller goes on with cleanup_step(). */
void cleanup_start(struct cleanup *, enum cleanup_why, struct todo *todo, bool keep, bool discard,
		   int64_t limit_us, int64_t now_us);

/* It goes on, but nobody will want the lease back: session state is undone as well. */
void cleanup_keep_not(struct cleanup *);

/* Goes as far as possible now. `cancels`: CancelRequests for this server that have not ended. Bytes
 * for the server are added to `out`. Look at c->state afterwards: CLEANUP_DONE and CLEANUP_BROKEN
 * are ends. */
struct cleanup_do cleanup_step(struct cleanup *, struct progress *, unsigned cancels,
			       int64_t now_us, struct buf *out);

/* The server's connection is of no use any more. `why` is a static text. */
void cleanup_break(struct cleanup *, const char *why, int64_t now_us);

/* The connection is gone, or given up: what is still in `due` has failed (08006, or 08007 if it was
 * running and nobody knows) because of `why`, and goes to `done`. */
void cleanup_abandon(struct cleanup *, const char *why);

/* Cleanup is over (DONE or BROKEN): back to CLEANUP_NONE. Statements that are still in its lists
 * are freed. */
void cleanup_over(struct cleanup *);

const char *cleanup_state_name(enum cleanup_state);
const char *cleanup_why_name(enum cleanup_why);

#endif
