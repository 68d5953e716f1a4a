/* stack: the scopes that one session has open, outermost first, and what follows from their order:
 * which scope an ENTER is nested in, to which server statements go, which scope may be exited. Each
 * scope is a frame. Decides, and does no I/O.
 *
 *	entering -> open -> (gone)
 *	    |        |  ^
 *	    |        v  |     A frame that has expired stays until it is exited. It holds
 *	    |     expired     nothing any more; its statements are answered with the reason.
 *	    v        v
 *	  (gone)   (gone)
 */
#ifndef PGWITH_SCOPE_STACK_H
#define PGWITH_SCOPE_STACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "loop/timer.h"
#include "pool/hold.h"
#include "scope/lock.h"

enum scope_kind {
	SCOPE_TRANSACTION,
	SCOPE_SAVEPOINT, /* inside the transaction of a frame below */
	SCOPE_LOCK,
	SCOPE_SHARED_LOCK,
	SCOPE_SEMAPHORE,
	SCOPE_IMPLICIT, /* the client's own BEGIN, in which scopes were entered */
	SCOPE_BLOCK,    /* the client's own BEGIN inside of a scope: a savepoint on the server */
	/* A transaction that other sessions can join, while it is open; before and after that, it
	 * is a SCOPE_TRANSACTION. To its session it is as a lock: statements do not go by it. */
	SCOPE_JOINT,
};

enum scope_state { SCOPE_ENTERING, SCOPE_OPEN, SCOPE_EXPIRED };

/* When a deferred statement is run. */
enum deferred_when {
	DEFERRED_ALWAYS,      /* before the commit, or after the rollback */
	DEFERRED_ON_COMMIT,   /* before the commit */
	DEFERRED_ON_ROLLBACK, /* after the rollback */
	DEFERRED_CLEANUP,     /* after the end in either way */
};

/* A statement that is run when its scope ends: by DEFER, or by the scope's definition. */
struct deferred {
	struct list_node node;
	enum deferred_when when;
	char *sql;
	char **values; /* of $1 ...; a NULL pointer is SQL's NULL */
	unsigned nvalues;
	uint64_t used; /* bit n-1: the statement uses $n */
};
/* Copies the statement and its values. */
struct deferred *deferred_new(enum deferred_when, const char *sql, const char *const *values,
			      unsigned nvalues, uint64_t used);
void deferred_free(struct deferred *);

struct scope {
	struct list_node node; /* in the stack, the outermost first */
	char *name;
	enum scope_kind kind;
	enum scope_state state;
	struct pool *pool;   /* NULL for a lock or semaphore */
	struct scope *base;  /* of a savepoint or block: the frame of its transaction */
	struct lease *lease; /* of a transaction: &own, or the session's lease */
	struct hold own;
	struct lock_hold hold;
	unsigned serial; /* its savepoint on the server is named pgwith_SERIAL */
	bool named;      /* the client gave the name; false for a lock named by its text */
	bool begun;      /* BEGIN or SAVEPOINT has been carried out */
	bool suppress;
	bool joinable;       /* a transaction that is to become a SCOPE_JOINT */
	bool was_joined;     /* it has been a SCOPE_JOINT */
	struct joint *joint; /* of a SCOPE_JOINT: executor/joint.h */
	/* a transaction that only reads, of which the option read_only has chosen the pool */
	bool apart;
	bool failed;            /* its transaction cannot commit: `error` says why */
	char error[6];          /* SQLSTATE of the first error in it, "" if there was none */
	enum err_id expired_by; /* EXPIRED, or expire_due: which limit it is */
	/* A limit has passed, and the frame is still to be ended. Not a state: until the end is
	 * possible, the frame is open or entering. */
	bool expire_due;
	struct list deferred; /* struct deferred, the oldest first */
	struct list points;   /* the client's own savepoints inside a savepoint frame */
	unsigned points_kept; /* the first of them: they stay even if what was sent fails */
	bool points_sent;     /* a text that makes or ends some of them is under way */
	int64_t asked_us;     /* when ENTER asked for it; monotonic, as all times here */
	int64_t granted_us;   /* when it got its lease or lock; 0: not yet */
	int64_t opened_us;
	int64_t deadline_us;        /* 0: none */
	char *deadline_text;        /* for people: 30s */
	char *modes;                /* of a block: the modes in its BEGIN, or NULL */
	struct timer timer;         /* of the deadline */
	uint64_t statements_before; /* statements of the session before this frame; kept by it */
	void *owner;                /* the session */
};

#define SCOPE_NAME_MAX   255  /* bytes: the text of a lock may be a long name */
#define SCOPE_POINTS_MAX 1000 /* savepoints of the client in one frame */

struct stack {
	struct list frames;
	struct scope *used; /* the frame that USE named; NULL: use the innermost transaction */
	unsigned serial;    /* the one that was given last */
};

void stack_init(struct stack *);

/* Adds a new innermost frame in state ENTERING; copies the name. */
struct scope *stack_push(struct stack *, enum scope_kind, const char *name, int64_t now_us);
/* Removes the innermost frame, which must hold nothing any more; another one ends the program. The
 * caller frees it with scope_free(), at the earliest at the end of the loop's turn. */
void stack_pop(struct stack *, struct scope *);
void scope_free(void *frame);

/* The innermost frame, the outermost frame, the frame of that name; NULL if there is none. */
struct scope *stack_innermost(const struct stack *);
struct scope *stack_outermost(const struct stack *);
struct scope *stack_find(const struct stack *, const char *name);
/* The frame around this one, or NULL. */
struct scope *stack_outside(const struct stack *, const struct scope *);
/* The frame inside this one, or NULL. */
struct scope *stack_inside(const struct stack *, const struct scope *);

/* The frame of the transaction that the frame is in: itself, its base, or NULL for a lock. */
struct scope *scope_base(struct scope *);
/* The frame of the transaction that statements go to now (it may have expired), or NULL. */
struct scope *stack_current(const struct stack *);
/* The innermost open transaction on that pool, in which ENTER makes a savepoint, or NULL. */
struct scope *stack_transaction_on(const struct stack *, const struct pool *);
/* The innermost frame in the transaction of the frame `base`: a savepoint, or `base` itself. */
struct scope *stack_top_of(const struct stack *, const struct scope *base);
/* The innermost frame in a transaction that has this lease, or NULL. */
struct scope *stack_of_lease(const struct stack *, const struct lease *);
/* Is a frame among them that others can join? */
bool stack_is_joinable(const struct stack *);
/* The nearest frame around this one that is a transaction or in one: it fails with this one. NULL
 * if there is none, or if a frame with SUPPRESS stands between. */
struct scope *stack_loser(const struct stack *, const struct scope *);
/* The frame whose limit has ended this one: itself, or one around it. */
const struct scope *stack_reason(const struct stack *, const struct scope *);
/* Is `inner` the frame `f`, or inside it? */
bool stack_within(const struct stack *, const struct scope *inner, const struct scope *f);

/* Marks a frame whose transaction cannot commit any more. The first SQLSTATE stays. */
void scope_fail(struct scope *, const char *sqlstate);

/* Adds a deferred statement; copies the statement and its values. */
void scope_defer(struct scope *, enum deferred_when, const char *sql, const char *const *values,
		 unsigned nvalues, uint64_t used);

/* Frees the frame's deferred statements. */
void scope_deferred_forget(struct scope *);

/* Note one of the client's own savepoints in a savepoint frame, and ask for one. (In frames of
 * other kinds, PostgreSQL itself keeps them in order.) Returns -E_TOOBIG if there are too many. */
int scope_point_add(struct scope *, const char *name);
bool scope_point_has(const struct scope *, const char *name);
/* For ROLLBACK TO: removes those made after the last one of that name. For RELEASE (`itself`): that
 * one, too. */
void scope_point_cut(struct scope *, const char *name, bool itself);
/* The name of a savepoint in scope->points. */
const char *scope_point_name(const struct list_node *);
/* Removes all but the first `n`. */
void scope_points_keep(struct scope *, unsigned n);

const char *scope_kind_name(const struct scope *);
const char *scope_kind_word(enum scope_kind);
const char *scope_state_name(const struct scope *);
bool scope_is_transaction(const struct scope *);
/* Is it a savepoint on the server? */
bool scope_is_savepoint(const struct scope *);
/* Was it begun by the client's own BEGIN, so that COMMIT or ROLLBACK ends it? */
bool scope_is_begin(const struct scope *);
/* The innermost frame of that kind, or NULL. */
struct scope *stack_begin(const struct stack *);
/* The name for people: "BEGIN" for one that the client's BEGIN began. */
const char *scope_shown(const struct scope *);

#endif
