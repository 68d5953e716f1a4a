/* work: the one thing that is being done about the scopes of a session. A statement, a time
 * limit or the end of the client begins it, and it is there until all of it is done.
 *
 * Its purpose:
 *
 *	none --> ENTER --> UNDO     an item could not be entered: those before it are exited
 *	  |        ^
 *	  |        | COMMIT AND CHAIN
 *	  |        |
 *	  +-----> EXIT              EXIT, COMMIT, ROLLBACK, and what ends all scopes of a client
 *	  +-----> EXPIRE            a time limit, or an administrator, ends scopes
 *	  +-----> LEAVE             the client is gone: all scopes are ended
 *
 * The work may end with each purpose (work_end()). If the client goes away, an ENTER ends at
 * once and LEAVE begins; an EXIT, UNDO or EXPIRE is finished before LEAVE begins.
 *
 * Its state says where the work is with one item or frame:
 *
 *	ENTER
 *	    NEXT -> USER -> NEXT                          the operating system is asked first
 *	    NEXT -> WAIT -> NEXT                          a lock of the daemon's is not free
 *	    NEXT -> [WAIT] -> SETUP -> BEGIN -> NEXT      a transaction or savepoint
 *	    BEGIN -> RUN -> RUN ... -> NEXT               statements of its definition
 *	    SETUP -> [WAIT] -> SETUP                      another server has to be tried
 *	EXIT, UNDO, EXPIRE
 *	    NEXT -> DONE -> NEXT                          the frame holds no server
 *	    NEXT -> MEMBERS -> NEXT                       first, if sessions have joined it
 *	    NEXT -> RUN -> COMMIT -> RUN -> SAVE -> DONE  it ends well, which is of EXIT only
 *	    NEXT -> ROLLBACK -> RUN -> SAVE -> DONE       it does not
 *	    NEXT -> RUN -> SAVE -> DONE                   its transaction has ended already
 *	    COMMIT -> ROLLBACK                            what was to end well did not
 *	    ROLLBACK -> ROLLBACK                          a late cancel has hit it: again
 *	    RUN -> [POINT] -> DEFERRED -> UNPOINT -> RUN  each deferred statement
 *	    [UN]POINT -> ROLLBACK, POINT -> RUN           its savepoint failed; RUN: behind the end
 *	LEAVE
 *	    NEXT -> [CLEAN] -> DONE -> NEXT               with a lease: its cleanup
 *	all but LEAVE
 *	    NEXT -> CANCELS                               and then the work ends
 *
 * Its phase says which deferred statements of a frame that is exited RUN takes:
 *
 *	BEFORE --> AFTER --> CLEANUP      with a ROLLBACK
 *	BEFORE ------------> CLEANUP      with a COMMIT
 *
 * The next frame begins BEFORE again. */
#ifndef PGWITH_EXECUTOR_WORK_H
#define PGWITH_EXECUTOR_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "session/scopes.h"

struct pack;

enum work_purpose {
	WORK_NONE, /* the work has ended */
	WORK_ENTER,
	WORK_UNDO,
	WORK_EXIT,
	WORK_EXPIRE,
	WORK_LEAVE,
	WORK_NPURPOSES
};

enum work_state {
	WORK_NEXT, /* the next item or frame is to be begun */
	/* of ENTER */
	WORK_USER,  /* the operating system is asked whether the user may use the pool */
	WORK_WAIT,  /* the lease or the lock is waited for */
	WORK_SETUP, /* the server gets the session's parameters */
	WORK_BEGIN, /* BEGIN or SAVEPOINT is under way */
	/* of ENTER: a statement of the definition is under way. Of an exit: the next deferred
	 * statement is looked for */
	WORK_RUN,
	/* of an exit */
	WORK_MEMBERS,  /* the members of a joined scope are being ended */
	WORK_POINT,    /* a savepoint for the deferred statement is made */
	WORK_DEFERRED, /* the deferred statement is under way */
	WORK_UNPOINT,  /* its savepoint ends */
	WORK_COMMIT,   /* COMMIT or RELEASE is under way */
	WORK_ROLLBACK,
	WORK_SAVE,    /* the server is asked for the parameters that were set */
	WORK_CLEAN,   /* LEAVE: the cleanup of a lease goes on */
	WORK_CANCELS, /* all is done, but a cancel of ours could still hit what the client sends */
	WORK_DONE,    /* the frame holds nothing any more */
	WORK_NSTATES
};

/* Of a frame that is exited. */
enum work_phase {
	WORK_BEFORE,  /* its transaction goes on */
	WORK_AFTER,   /* its transaction has ended */
	WORK_CLEANUP, /* the same, and the cleanup statements of its definition run */
	WORK_NPHASES
};

struct work {
	struct session *session;
	enum work_purpose purpose;
	enum work_state state;
	enum work_phase phase;

	struct grammar *statement; /* the one that is carried out, or NULL */
	char answer_type;          /* the message to be answered: 'Q' or 'E'; 0: none */
	struct buf failure;        /* the ErrorResponse that is the answer; empty: success */
	struct scope *frame;       /* the one that is worked on */

	/* ENTER */
	/* The definition of the item, as it was when the item began; or NULL. */
	const struct conf_scope *def;
	unsigned item;      /* index of the item that is being entered */
	unsigned entered;   /* how many frames this ENTER has made: the innermost ones */
	struct list run;    /* struct deferred: statements of the item that are still to be run */
	struct timer timer; /* of WAIT. It runs over several states */
	int64_t wait_us;
	int64_t user_us; /* USER: when that began */
	/* A lock of PostgreSQL's was not free at once, so it is waited for. Not a state: see
	 * plan_lock() in opening.c. */
	bool contended;
	bool timed_out; /* the wait for that lock was too long; its statement must still end */

	/* EXIT, UNDO, EXPIRE, LEAVE */
	struct scope *last;     /* the outermost frame to be exited; NULL: it has been exited */
	struct list_node *next; /* the frame's next deferred statement */
	struct deferred *point; /* POINT: the statement that the savepoint is for */
	bool undone;            /* UNPOINT: the statement has failed, or has been undone */
	/* The transaction around a savepoint that was exited has failed: not even SUPPRESS keeps
	 * that from the client. */
	bool failed_around;
	struct lease *returning; /* the lease that is returned when the frame has ended, or NULL */
	bool discard;            /* its server needs DISCARD ALL */
	bool rollback;           /* the client wants a rollback, or an inner frame has failed */
	int64_t exit_us;         /* when the exit of the frame began */
	int64_t began_us;        /* when the outermost frame was asked for */
	char exited[SCOPE_NAME_MAX + 1]; /* name of the frame that ended last */

	/* What the answer of EXIT, COMMIT and ROLLBACK depends on: */
	bool good;    /* the frame ends well, so far */
	bool lost;    /* COMMIT: the client's own transaction was rolled back */
	bool chained; /* COMMIT AND CHAIN: the next transaction has begun */
	bool swept;   /* the client has left scopes open, which the statement ends too */
};

/* Begins a work, in state NEXT. The session must have none. */
struct work *work_begin(struct session *, enum work_purpose);

/* Changes the purpose of a work, which is in state NEXT then. */
void work_turn(struct work *, enum work_purpose);

/* Ends the work: its purpose is NONE, and the session may begin the next one. It is freed at the
 * end of the loop's turn, so that functions on the stack can see that it has ended. */
void work_end(struct work *);

/* The setters: an illegal move ends the program. */
void work_set_state(struct work *, enum work_state);
void work_set_phase(struct work *, enum work_phase);

/* Is the move legal? */
bool work_may_turn(enum work_purpose from, enum work_purpose to);
bool work_may_move(enum work_purpose, enum work_state from, enum work_state to);
bool work_may_phase(enum work_phase from, enum work_phase to);

/* For the handover: the only work that is handed over is an ENTER that waits. Returns false if it
 * waits for a scope ([scope NAME]) that the configuration does not define any more. */
bool work_pack(struct pack *, struct session *);
/* Frees what the work has, but not the work itself. */
void work_clear(struct work *);

/* The purpose of the session's work; NONE if it has no work. */
enum work_purpose work_purpose(const struct session *);

const char *work_purpose_name(enum work_purpose);
const char *work_state_name(enum work_state);

#endif
