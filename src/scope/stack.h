/* stack: the scopes that one session has open, outermost first, and what follows from their order:
 * which one an ENTER is nested in, which server statements go to, which one may be exited. Decides;
 * does no I/O.
 *
 *	entering -> open -> (gone)
 *	    |        |  ^
 *	    |        v  |     a frame that has expired stays until it is exited: its statements are
 *	    |     expired     answered with the reason, and it holds nothing any more
 *	    v        v
 *	  (gone)   (gone)
 */
#ifndef PGWITH_SCOPE_STACK_H
#define PGWITH_SCOPE_STACK_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event_struct.h>

#include "base/err.h"
#include "base/list.h"
#include "pool/lease.h"
#include "scope/lock.h"

enum frame_kind {
	FRAME_TRANSACTION,
	FRAME_SAVEPOINT, /* inside the transaction of a frame below */
	FRAME_LOCK,
	FRAME_SHARED_LOCK,
	FRAME_SEMAPHORE,
	FRAME_IMPLICIT, /* the client's own BEGIN, in which scopes were entered */
};

enum frame_state { FRAME_ENTERING, FRAME_OPEN, FRAME_EXPIRED };

/* When a statement that a scope leaves behind is to be run. */
enum deferred_when {
	DEFERRED_ALWAYS,      /* before the commit, or after the rollback */
	DEFERRED_ON_COMMIT,   /* before it */
	DEFERRED_ON_ROLLBACK, /* after it */
	DEFERRED_CLEANUP,     /* after the end, whatever it was */
};

/* A statement that is run when its scope ends. */
struct deferred {
	struct list_node node;
	enum deferred_when when;
	char *sql;
	char **values; /* of $1 ...; a NULL is SQL NULL */
	unsigned nvalues;
	uint64_t used; /* bit n-1: the text has $n */
};
void deferred_free(struct deferred *);

/* What is known of the session's state on a server while it works on another: see struct session,
 * where the same names are those of the server that it works on now. */
struct frame_flags {
	unsigned pinned;
	bool discard, changed, undone, unpin;
};

struct frame {
	struct list_node node; /* in the stack, the outermost first */
	char *name;
	enum frame_kind kind;
	enum frame_state state;
	struct pool *pool;   /* of a transaction, a savepoint, an implicit one; otherwise NULL */
	struct frame *base;  /* of a savepoint: the frame whose transaction it is in */
	struct lease *lease; /* of a transaction: &own, or the session's */
	struct lease own;
	struct frame_flags flags; /* of `own` */
	struct lock_hold hold;
	unsigned serial; /* its savepoint on the server is pgwith_SERIAL */
	bool begun;      /* BEGIN or SAVEPOINT has been carried out */
	bool suppress;
	bool failed;            /* its transaction cannot commit: `error` says why */
	char error[6];          /* SQLSTATE of the first error in it, "" if there was none */
	enum err_id expired_by; /* EXPIRED: what ended it */
	bool expire_due;        /* expired_by holds, and it must be ended as soon as that is
				   possible. Not a state: it is still open, or entering */
	struct list deferred;   /* first added first */
	struct list points;     /* the client's own savepoints inside a savepoint frame */
	int64_t asked_us;   /* monotonic, as all times here */
	int64_t granted_us; /* lease or lock was there; 0: not yet */
	int64_t opened_us;
	int64_t deadline_us; /* 0: none */
	char *deadline_text; /* for people: 30s */
	struct event timer;  /* of the deadline; assigned if deadline_us is not 0 */
	void *owner;         /* the session */
};

#define FRAME_POINTS_MAX 1000 /* savepoints of the client in one frame */

struct stack {
	struct list frames;
	struct frame *used; /* named by USE, or NULL: the innermost transaction is */
	unsigned serial;    /* given last */
};

void stack_init(struct stack *);

/* A new innermost frame in state ENTERING; copies the name. */
struct frame *stack_push(struct stack *, enum frame_kind, const char *name, int64_t now_us);
/* Takes a frame, which holds nothing any more, out; it is freed with frame_free(), at the earliest
 * at the end of the loop's turn. */
void stack_pop(struct stack *, struct frame *);
void frame_free(void *frame);

/* NULL if there is none. */
struct frame *stack_innermost(const struct stack *);
struct frame *stack_outermost(const struct stack *);
struct frame *stack_find(const struct stack *, const char *name);
/* The frame around this one, or NULL. */
struct frame *stack_outside(const struct stack *, const struct frame *);
/* The frame inside this one, or NULL. */
struct frame *stack_inside(const struct stack *, const struct frame *);

/* The frame whose transaction it is in: itself, its base, or NULL for a lock. */
struct frame *frame_base(struct frame *);
/* The transaction that statements go to now (a frame with a lease, or one that has expired), or
 * NULL. */
struct frame *stack_current(const struct stack *);
/* The innermost open transaction of that pool, in which a savepoint would be made, or NULL. */
struct frame *stack_transaction_on(const struct stack *, const struct pool *);
/* The innermost frame, savepoint or transaction, of that transaction. */
struct frame *stack_top_of(const struct stack *, const struct frame *base);
/* The innermost frame that has the lease, or NULL. */
struct frame *stack_of_lease(const struct stack *, const struct lease *);
/* Around `f`: the nearest one that has something to roll back, or NULL. */
struct frame *stack_loser(const struct stack *, const struct frame *);
/* The frame whose time limit has ended this one: itself, or one around it. */
const struct frame *stack_reason(const struct stack *, const struct frame *);
/* Is it `f`, or inside `f`? */
bool stack_within(const struct stack *, const struct frame *inner, const struct frame *f);

/* It cannot commit any more. The first reason stays. */
void frame_fail(struct frame *, const char *sqlstate);

/* Copies everything. */
void frame_defer(struct frame *, enum deferred_when, const char *sql, const char *const *values,
		 unsigned nvalues, uint64_t used);

/* The client's own savepoints in a savepoint frame (of frames of other kinds PostgreSQL itself takes
 * care). Returns -E_TOOBIG if there are too many. */
int frame_point_add(struct frame *, const char *name);
bool frame_point_has(const struct frame *, const char *name);
/* RELEASE (`itself` too) or ROLLBACK TO: those made after the last one of that name are gone. */
void frame_point_cut(struct frame *, const char *name, bool itself);
void frame_points_forget(struct frame *);

const char *frame_kind_name(const struct frame *);
const char *frame_state_name(const struct frame *);
bool frame_is_transaction(const struct frame *);

#endif
