/* scopes: the scopes that one session has open, and the one thing that is being done about them.
 *
 *	nothing -> entering -> nothing              ENTER
 *	           entering -> undoing -> nothing   an item failed: those before it are exited
 *	nothing -> exiting -> nothing               EXIT
 *	nothing -> expiring -> nothing              a time limit passed
 *	nothing, entering -> leaving                the client is gone: all are exited
 *
 * What is being exited is exited to the end before the client's going is looked at.
 *
 * While something is done the session is in SESSION_SCOPE (SESSION_LEAVING), and the client is not
 * read from. Otherwise session->lease is the lease that statements go by: that of the current
 * transaction, or the session's own. */
#ifndef PGWITH_EXECUTOR_EXECUTOR_H
#define PGWITH_EXECUTOR_EXECUTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/todo.h"
#include "scope/grammar.h"
#include "scope/stack.h"
#include "scope/timing.h"
#include "session/message.h"
#include "session/session.h"
#include "session/talk.h"

enum scopes_doing {
	SCOPES_NOTHING,
	SCOPES_ENTERING,
	SCOPES_UNDOING,
	SCOPES_EXITING,
	SCOPES_EXPIRING,
	SCOPES_LEAVING,
	SCOPES_NDOING
};

/* Where ENTER and EXIT are with the frame that they work on. */
enum scopes_step {
	STEP_NEXT, /* on to the next item or frame */
	/* entering */
	STEP_USER,      /* the operating system is asked whether the user may use the pool */
	STEP_WAIT,      /* for the lease or the lock */
	STEP_SETUP,     /* the server gets the session's parameters */
	STEP_BEGIN,     /* BEGIN or SAVEPOINT */
	STEP_STATEMENT, /* the statements of its definition */
	/* exiting */
	STEP_RUN,      /* what was deferred; before the end, or after it */
	STEP_POINT,    /* a savepoint for the next of them */
	STEP_DEFERRED, /* one of them */
	STEP_UNPOINT,  /* its savepoint ends */
	STEP_COMMIT,   /* COMMIT or RELEASE */
	STEP_ROLLBACK,
	STEP_SAVE, /* the server is asked for the parameters that were set */
	STEP_GONE, /* it holds nothing any more */
};

/* Of a statement of our own: a late cancel can hit it, or a statement_timeout of the session's. */
#define SCOPES_ATTEMPTS 20

#define SCOPES_COLUMNS 10 /* of SHOW SCOPES */

/* How Bind wants the columns of an answer: none (all text), one for all, or one a column; 0 text, 1
 * binary. */
struct scopes_formats {
	unsigned count;
	uint16_t list[SCOPES_COLUMNS];
};

/* A prepared statement, or a portal, of the extended protocol that is a scope statement. */
struct scope_named {
	struct list_node node;
	char *name;
	struct grammar *statement; /* of a portal: bound */
	uint32_t *types;           /* of the parameters, as Parse said */
	unsigned ntypes;
	struct scopes_formats formats; /* of a portal */
};

struct scopes {
	struct session *session;
	struct stack stack;
	struct scope_flags own_flags; /* of session->own, while messages go by another lease */
	struct talk talk;

	enum scopes_doing doing;
	enum scopes_step step;
	struct grammar *statement;     /* what is being done, or NULL */
	char answer_type;              /* message type that is to be answered: Q or E; 0: none */
	struct scopes_formats formats; /* E: of that */
	bool inside;         /* judge is on the stack: it goes on with the client's bytes */
	struct scope *frame; /* that is worked on */
	const struct conf_scope *def; /* ENTER: of that, as it was when it was asked for; kept; or
					 NULL */
	unsigned item; /* ENTER: which of them; frames are the innermost `entered` ones */
	unsigned entered;
	struct scope *last; /* EXIT: the outermost frame to be exited */
	struct list run;    /* ENTER: struct deferred of the definition, still to be run */
	struct event timer; /* WAIT */
	bool timing;        /* the timer is on */
	int64_t wait_us;
	int64_t user_us; /* STEP_USER: since then */
	bool contended;  /* a lock of PostgreSQL's was not free at once */
	bool timed_out;  /* its wait was too long */
	bool rollback;   /* EXIT: as was asked for, or as an inner frame's failure wants it */
	bool good;       /* the frame that is worked on ends well, so far */
	bool lost;       /* COMMIT: the client's own transaction was rolled back */
	bool chained;    /* COMMIT AND CHAIN: the next one has begun */
	bool swept;      /* EXIT: the client has left them behind */
	bool after;      /* its transaction has ended */
	struct list_node *next;  /* of its deferred statements */
	bool cleaning;           /* those of its definition's cleanup are next, not the others */
	int attempts;            /* of a statement of our own that was cut short */
	struct lease *returning; /* of the frame that ends: its server is to be returned */
	bool discard;            /* and then needs DISCARD ALL */
	struct deferred *point;  /* the one that the savepoint is for */
	char exited[SCOPE_NAME_MAX + 1]; /* name of the frame that ended last */
	int64_t exit_us;                 /* the frame that is worked on: its exit began */
	int64_t began_us;                /* EXIT: the outermost frame was entered */
	struct buf failure;              /* the ErrorResponse that is the answer; empty: success */
	int64_t cancel_us;               /* expiring: a cancel was sent */
	int64_t expire_us;               /* a frame is to expire since then */
	bool forced;          /* for that, a Sync of ours has ended the client's exchange */
	bool own_cancel;      /* we have sent a cancel: a late one must not hit the client */
	bool calming;         /* all is done but for that */
	bool point_sent;      /* a savepoint of the client's is under way: see points.h */
	unsigned points_kept; /* of the frame's: they are there even if it fails */

	/* the client is gone */
	bool gone;
	bool leaving; /* leave_go() is on the stack */
	enum cleanup_why gone_why;
	const char *gone_text;

	/* the extended protocol, and texts of many statements: see parts.h */
	struct list statements, portals; /* of struct scope_named */
	bool sync_due;                   /* that Sync is to be sent */
	bool bounded;        /* a Sync of ours is under way, ahead of a scope statement */
	bool bounded_failed; /* what it ended has failed */
	struct buf parts;    /* text of the statements that are still to be done */
	size_t part_bytes;   /* of it, what is being judged */
	unsigned chars;      /* characters before it */
	unsigned lexing;     /* how the text is read: flags of sqltext_init() */
	bool in_part;        /* one of them is being judged */
	bool part_sent;      /* one of them is with the server */
	bool part_failed;
};

/* ---- from the other modules of the session ---- */

/* Makes session->scopes if it is not there. */
struct scopes *scopes_of(struct session *);
void scopes_free(struct scopes *);

/* Has it any scope open, or anything to do with them? */
bool scopes_open(const struct session *);

/* Does one statement, which is the caller's. The session is settled: nothing is under way. `type`:
 * of the message that it answers. Returns what judge() returns: DROP, or OVER. */
enum verdict scopes_do(struct session *, struct grammar *, char type);

/* Has the text, a BEGIN, COMMIT or ROLLBACK of the client's, to do with a scope? Then scopes_do()
 * does it; otherwise it is one as any other. */
bool scopes_takes(const struct session *, const struct grammar *);

/* A statement by which a program's own pool takes a connection back ends all that is open, as
 * failed. Returns FORWARD if nothing is open any more; HOLD if that takes time: the message is
 * judged again then. `statement` is its name for people. */
enum verdict scopes_sweep_out(struct session *, const char *statement);

/* What the message is answered by, beside its own effects: an ErrorResponse. Clears the error. */
enum verdict scopes_refuse(struct session *, char type, struct err *);

/* May an ordinary statement of these SQLCLASS_... bits be run now? Then returns true; otherwise
 * *e says why not. */
bool scopes_admit(struct session *, unsigned set, const char *sql, size_t bytes, struct err *e);

/* The transaction status that a ReadyForQuery of ours tells. */
char scopes_status(const struct session *);

/* relay: bytes have come from the server of session->lease, in SESSION_ACTIVE. */
void scopes_heard(struct session *);
/* relay: the same in SESSION_SCOPE and SESSION_LEAVING. */
void scopes_readable(struct session *);
/* relay: of a lease that is not session->lease. */
void scopes_parked_readable(struct session *, struct lease *);
void scopes_granted(struct session *, struct lease *);
void scopes_failed(struct session *, struct lease *, const struct err *);
void scopes_ended(struct session *, struct lease *, struct todo *done, bool broken);

/* A plain statement has to wait for a server of the pool; the session may hold locks. Returns false
 * and *e if that would close a circle. */
bool scopes_may_wait(struct session *, struct err *e);

/* relay: the cancels of a lease have ended. */
void scopes_calm(struct session *);

/* SESSION_SCOPE: does ENTER wait for a server, a lock, or an answer of the system? */
bool scopes_wait(const struct session *);

/* session: a CancelRequest in SESSION_SCOPE. */
bool scopes_cancel(struct session *, uint64_t requester);

/* session: it is to be closed. Returns true if that has to wait until its scopes have ended:
 * session_close() is called again then. */
bool scopes_leave(struct session *, enum cleanup_why, const char *text);

/* The frame is to end as soon as possible, because of that limit. */
void scopes_expire(struct session *, struct scope *, enum err_id);

/* The transaction of the client's own that is open on its lease becomes a frame. */
struct scope *scopes_implicit(struct session *);

/* Goes on with what has to wait for the server to be at rest. */
void scopes_settle(struct session *);

/* Do statements go to a transaction that a time limit has ended? */
bool scopes_expired(const struct session *);
/* Is session->lease that of an open scope? */
bool scopes_holds(const struct session *);
/* relay: the server of a lease is gone, and the session will be told. */
void scopes_lost(struct session *, struct lease *);
/* What SHOW SCOPES shows of one that is open. */
struct scope_view {
	const char *name, *kind, *state;
	const char *pool; /* or NULL */
	bool current;     /* statements go to it */
	unsigned deferred;
	int64_t elapsed_us, wait_us;
	int64_t deadline_us; /* that are left, at least 0; -1: there is none */
	int backend_pid;     /* of its server; 0: it has none now */
};
void scopes_view(const struct session *, struct scope *, struct scope_view *);
/* The same of a transaction of BEGIN that is no frame: no scope was entered in it. It is the
 * innermost of all, and may be one that no server knows of yet, or that has ended and whose client
 * has not said so. Returns false if there is none. */
bool scopes_view_plain(const struct session *, struct scope_view *);

/* RowDescription of SHOW SCOPES. */
void scopes_describe(struct buf *, const struct scopes_formats *);

/* Time limits. */
void scopes_sweep(struct daemon *);

/* ---- between scopes, enter, leave and parts ---- */

/* Messages go by this lease from now on. */
void scopes_focus(struct session *, struct lease *);
/* By that of the current transaction, or by the session's own. */
void scopes_refocus(struct session *);

/* Goes on with the steps of ENTER; of EXIT, undoing and expiring. */
void enter_begin(struct scopes *);
/* COMMIT AND CHAIN: the next block begins. */
void enter_chain(struct scopes *);
void enter_go(struct scopes *);
void exit_go(struct scopes *);
/* For those of the process before: timers run and waits are known again. */
void enter_adopted(struct scopes *);
/* Of every lock of a frame. */
extern const struct lock_ops enter_lock_ops;
/* Wakes one that waits: it has its lease, or will not get it. */
void enter_granted(struct scopes *);
void enter_refused(struct scopes *, struct err *);
/* admit: in STEP_USER: what was asked for is known now; or it is not, for that reason. */
void enter_looked_up(struct scopes *);
void enter_not_looked_up(struct scopes *, const struct err *);
/* Is it in STEP_USER? */
bool scopes_look_up(const struct session *);
/* Its server has not taken the session's parameters: it is closed, and a new one wanted. */
void enter_again(struct scopes *);
/* What it has entered is exited again. */
void enter_undo(struct scopes *);
/* A lease was just taken for a scope: messages go by it. */
void scopes_fresh(struct session *, struct lease *);

/* Begins them: all frames from the innermost to `last`. */
void exit_begin(struct scopes *, enum scopes_doing, struct scope *last, bool rollback);

/* The session is at work until scopes_finish(). */
void scopes_begin_work(struct session *);
/* Is a transaction of BEGIN open, other than those that scopes are entered in? */
bool scopes_plain(const struct session *);
/* Answers SHOW SCOPES; `type` is that of the message. */
void scopes_show(struct session *, char type);

/* Keeps the first error as the answer. */
void scopes_fail(struct scopes *, const struct err *);
void scopes_fail_raw(struct scopes *, const struct buf *message);

void scopes_notice(struct session *, const char *severity, const struct err *);

/* All has been done: the client is answered. */
void scopes_finish(struct scopes *);

/* The frame, innermost and holding nothing but a lock, is gone. */
void scopes_pop(struct scopes *, struct scope *, enum timing_outcome, const char *word);

/* What expired means for it. */
void scopes_expired_error(const struct scope *, struct err *);

void scopes_log_end(struct scopes *, struct scope *, enum timing_outcome, const char *word);

/* leave: a cleanup has ended. */
void leave_ended(struct scopes *);
void leave_go(struct scopes *);

struct timing_row *scopes_timing(struct scopes *, const struct scope *);

#endif
