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
	CLEANUP_NONE, /* no cleanup is under way */
	/* a cancel is under way; until that has ended the server cannot be used again */
	CLEANUP_CANCELLING,
	CLEANUP_DRAINING, /* answers are read and dropped, up to the last ReadyForQuery */
	CLEANUP_ROLLING_BACK,
	CLEANUP_RUNNING,   /* the statements that the lease has left are run, one by one */
	CLEANUP_RESTORING, /* DISCARD ALL, if the session's state may be there */
	CLEANUP_DONE,
	CLEANUP_BROKEN,
	CLEANUP_NSTATES
};

/* Why a lease ends by cleanup, and not simply by ReadyForQuery(I). */
enum cleanup_why {
	CLEANUP_CLIENT_GONE,    /* closed its connection, or was killed */
	CLEANUP_CLIENT_LEFT,    /* sent Terminate */
	CLEANUP_CLIENT_REFUSED, /* sent something that is not the protocol */
	CLEANUP_KILLED,         /* by an administrator */
	CLEANUP_SHUTDOWN,
	CLEANUP_CANCEL_PENDING, /* a normal end, but a cancel of its client is still under way */
	CLEANUP_RESTORE,    /* a normal end of a session that changed the server's session state */
	CLEANUP_SCOPE_END,  /* a normal end, at rest, that leaves statements to be run */
	CLEANUP_TIME_LIMIT, /* a time limit of the pool passed in the middle of an exchange */
	/* a normal end, but a transaction may be half begun: progress.half_begun */
	CLEANUP_HALF_BEGUN,
	CLEANUP_UNREAD, /* a normal end, but not all bytes to the server have been sent */
	CLEANUP_NWHY
};

struct cleanup {
	enum cleanup_state state;
	uint64_t server; /* id of the server that is cleaned up, for the log */
	enum cleanup_why why;
	int64_t started_us;
	int64_t step_us;      /* when this state was entered */
	int64_t cancelled_us; /* when CANCELLING was left, because the last cancel had ended */
	int64_t limit_us;     /* for all steps together, and again for each statement */
	int64_t limited_us;   /* when `limit_us` last began */
	uint64_t readies;     /* progress.readies when the last cancel was asked for */
	uint32_t cancels;     /* CancelRequests that were asked for */
	uint32_t rollbacks;   /* ROLLBACKs sent since ROLLING_BACK was entered */
	uint32_t restores;    /* statements sent in RESTORING */
	/* RESTORING: the last statement was SET statement_timeout, not DISCARD ALL */
	bool lifting;
	uint32_t attempts; /* tries of the statement that is running */
	struct todo due;   /* statements to be run */
	struct todo done;  /* statements that were run, or will not be run any more */
	bool discard;      /* DISCARD ALL is due; with `keep`, at a later end */
	bool keep;         /* the same lease goes on afterwards, with its session state */
	bool sent;         /* this state's statement has been sent */
	/* the first statement of `due` has been sent, and its end was not seen */
	bool running;
	bool copy_failed;       /* that statement opened a COPY IN, which was made to fail */
	const char *broken_why; /* static; set with CLEANUP_BROKEN */
};

/* What the caller must do now. */
struct cleanup_do {
	bool cancel; /* send a CancelRequest, in a worker thread */
};

/* Starts cleanup, because a lease ends, or with `keep` pauses. `todo`: NULL, or statements to be
 * run after the transaction's end; they are moved out of it. `discard`: the lease, or these
 * statements, may have changed session state, which DISCARD ALL undoes after them; ignored with
 * `keep`. The caller goes on with cleanup_step(). */
void cleanup_start(struct cleanup *, enum cleanup_why, struct todo *todo, bool keep, bool discard,
		   int64_t limit_us, int64_t now_us);

/* The owner of the lease goes away during a cleanup with `keep`: session state is undone as
 * well. */
void cleanup_keep_not(struct cleanup *);

/* Goes as far as possible now. `cancels`: how many CancelRequests for this server are under way.
 * Bytes for the server are added to `out`. Look at c->state afterwards: CLEANUP_DONE and
 * CLEANUP_BROKEN are ends. */
struct cleanup_do cleanup_step(struct cleanup *, struct progress *, unsigned cancels,
			       int64_t now_us, struct buf *out);

/* Gives the server's connection up: CLEANUP_BROKEN. `why` is a static text. */
void cleanup_break(struct cleanup *, const char *why, int64_t now_us);

/* The connection is lost or given up: the statements that are still in `due` have failed because of
 * `why`, with 08006, or 08007 for one that was running and of which nobody knows the end. They go
 * to `done`. */
void cleanup_abandon(struct cleanup *, const char *why);

/* Ends cleanup (from DONE or BROKEN): back to CLEANUP_NONE. Frees statements that are still in its
 * lists. */
void cleanup_over(struct cleanup *);

const char *cleanup_state_name(enum cleanup_state);
const char *cleanup_why_name(enum cleanup_why);

#endif
