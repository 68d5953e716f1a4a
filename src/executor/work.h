/* work: the one thing that is being done about the scopes of a session. It is there from the
 * statement, the time limit or the end of the client that begins it until all of it is done.
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
 * From each of them the work ends (work_end()). An ENTER of a client that goes away ends there and
 * then, and LEAVE begins; what is exited is exited to the end before LEAVE begins.
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
 *	    NEXT -> RUN -> COMMIT -> RUN -> SAVE -> DONE  it ends well, which is of EXIT only
 *	    NEXT -> ROLLBACK -> RUN -> SAVE -> DONE       it does not
 *	    NEXT -> RUN -> SAVE -> DONE                   its transaction has ended already
 *	    COMMIT -> ROLLBACK                            what was to end well did not
 *	    ROLLBACK -> ROLLBACK                          a late cancel has hit it: again
 *	    RUN -> [POINT] -> DEFERRED -> UNPOINT -> RUN  each deferred statement
 *	    POINT -> ROLLBACK, POINT -> RUN               its savepoint failed; RUN: behind the end
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

enum work_purpose {
	WORK_NONE, /* it has ended */
	WORK_ENTER,
	WORK_UNDO,
	WORK_EXIT,
	WORK_EXPIRE,
	WORK_LEAVE,
	WORK_NPURPOSES
};

enum work_state {
	WORK_NEXT, /* on to the next item or frame */
	/* of ENTER */
	WORK_USER,  /* the operating system is asked whether the user may have the pool */
	WORK_WAIT,  /* for the lease or the lock */
	WORK_SETUP, /* the server gets the session's parameters */
	WORK_BEGIN, /* BEGIN or SAVEPOINT is under way */
	/* of ENTER: a statement of the definition is under way. Of an exit: the next deferred
	 * statement is looked for */
	WORK_RUN,
	/* of an exit */
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

	struct grammar *statement; /* that is carried out, or NULL */
	char answer_type;          /* type of the message that is to be answered: Q or E; 0: none */
	struct buf failure;        /* the ErrorResponse that is the answer; empty: success */
	struct scope *frame;       /* that is worked on */

	/* ENTER */
	const struct conf_scope *def; /* definition of the item, kept as it was when it was asked
					 for; or NULL */
	unsigned item;                /* which of them; the innermost `entered` frames are its */
	unsigned entered;
	struct list run;    /* struct deferred of the definition, still to be run */
	struct event timer; /* of WAIT */
	bool timing;        /* the timer is on. Not a state: it runs over several of them */
	int64_t wait_us;
	int64_t user_us; /* USER: since then */
	bool contended;  /* a lock of PostgreSQL's was not free at once. Not a state: see plan() */
	bool timed_out;  /* the wait for that lock was too long; its statement is still to end */

	/* EXIT, UNDO, EXPIRE, LEAVE */
	struct scope *last;      /* the outermost frame to be exited; NULL: it has been */
	struct list_node *next;  /* of the frame's deferred statements */
	struct deferred *point;  /* that the savepoint is for */
	struct lease *returning; /* of the frame that ends: its server is to be returned */
	bool discard;            /* and then needs DISCARD ALL */
	bool rollback;           /* as was asked for, or as an inner frame's failure wants it */
	int64_t exit_us;         /* the exit of the frame that is worked on began */
	int64_t began_us;        /* the outermost frame was entered */
	char exited[SCOPE_NAME_MAX + 1]; /* name of the frame that ended last */

	/* results of EXIT: what is known when the client is answered, and stays known */
	bool good;    /* the frame that is worked on ends well, so far */
	bool lost;    /* COMMIT: the client's own transaction was rolled back */
	bool chained; /* COMMIT AND CHAIN: the next one has begun */
	bool swept;   /* the client has left the scopes behind */
};

/* Begins it, in state NEXT. Nothing else is being done about the session's scopes. */
struct work *work_begin(struct session *, enum work_purpose);

/* The same work has another purpose from here: its state is NEXT. */
void work_turn(struct work *, enum work_purpose);

/* Ends it: its purpose is NONE, and a session may begin the next. It is freed at the end of the
 * loop's turn, so that those who are at work can see that it has ended. */
void work_end(struct work *);

/* The setters: an illegal move ends the program. */
void work_set_state(struct work *, enum work_state);
void work_set_phase(struct work *, enum work_phase);

/* Is it a legal move? */
bool work_may_turn(enum work_purpose from, enum work_purpose to);
bool work_may_move(enum work_purpose, enum work_state from, enum work_state to);
bool work_may_phase(enum work_phase from, enum work_phase to);

/* For the handover. Begins what the process before has begun: an ENTER that waits. */
struct work *work_adopt(struct session *);
/* Frees what it has, but not the work itself. */
void work_clear(struct work *);

/* What is being done about the session's scopes; NONE if nothing is. */
enum work_purpose work_purpose(const struct session *);

const char *work_purpose_name(enum work_purpose);
const char *work_state_name(enum work_state);

#endif
