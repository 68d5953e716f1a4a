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
#ifndef PGWITH_SESSION_SCOPES_H
#define PGWITH_SESSION_SCOPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/todo.h"
#include "scope/grammar.h"
#include "scope/stack.h"
#include "scope/timing.h"
#include "session/message.h"
#include "session/named.h"
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
	bool point_sent;      /* a savepoint of the client's is under way: see savepoint.h */
	unsigned points_kept; /* of the frame's: they are there even if it fails */

	/* the client is gone */
	bool gone;
	bool leaving; /* leave_go() is on the stack */
	enum cleanup_why gone_why;
	const char *gone_text;

	/* the extended protocol, and texts of many statements: see split.h */
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

/* Makes session->scopes if it is not there. */
struct scopes *scopes_of(struct session *);
void scopes_free(struct scopes *);

/* Has it any scope open, or anything to do with them? */
bool scopes_open(const struct session *);

/* Is a transaction of BEGIN open, other than those that scopes are entered in? */
bool scopes_plain(const struct session *);

/* Is session->lease that of an open scope? */
bool scopes_holds(const struct session *);

/* Do statements go to a transaction that a time limit has ended? */
bool scopes_expired(const struct session *);

/* Why statements of a frame that has expired are refused. */
void scopes_expired_error(const struct scope *, struct err *);

/* The transaction status that a ReadyForQuery of ours tells. */
char scopes_status(const struct session *);

/* Messages go by this lease from now on. */
void scopes_focus(struct session *, struct lease *);

/* By that of the current transaction, or by the session's own. */
void scopes_refocus(struct session *);

/* The transaction of the client's own that is open on its lease becomes a frame. */
struct scope *scopes_implicit(struct session *);

/* The row of its pool and name in the times of scopes. */
struct timing_row *scopes_timing(struct scopes *, const struct scope *);

#endif
