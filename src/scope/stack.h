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

enum scope_kind {
	SCOPE_TRANSACTION,
	SCOPE_SAVEPOINT, /* inside the transaction of a frame below */
	SCOPE_LOCK,
	SCOPE_SHARED_LOCK,
	SCOPE_SEMAPHORE,
	SCOPE_IMPLICIT, /* the client's own BEGIN, in which scopes were entered */
	SCOPE_BLOCK,    /* the client's own BEGIN inside of a scope: a savepoint on the server */
};

enum scope_state { SCOPE_ENTERING, SCOPE_OPEN, SCOPE_EXPIRED };

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
/* Copies everything. */
struct deferred *deferred_new(enum deferred_when, const char *sql, const char *const *values,
			      unsigned nvalues, uint64_t used);
void deferred_free(struct deferred *);

/* What is known of the session's state on a server while it works on another: see struct session,
 * where the same names are those of the server that it works on now. */
struct scope_flags {
	unsigned pinned;
	bool discard, changed, undone, unpin;
};

struct scope {
	struct list_node node; /* in the stack, the outermost first */
	char *name;
	enum scope_kind kind;
	enum scope_state state;
	struct pool *pool;   /* of all but locks and semaphores; otherwise NULL */
	struct scope *base;  /* of a savepoint or block: the frame whose transaction it is in */
	struct lease *lease; /* of a transaction: &own, or the session's */
	struct lease own;
	struct scope_flags flags; /* of `own` */
	struct lock_hold hold;
	unsigned serial; /* its savepoint on the server is pgwith_SERIAL */
	bool named;      /* by the client, other than a lock by its text */
	bool begun;      /* BEGIN or SAVEPOINT has been carried out */
	bool suppress;
	bool failed;            /* its transaction cannot commit: `error` says why */
	char error[6];          /* SQLSTATE of the first error in it, "" if there was none */
	enum err_id expired_by; /* EXPIRED: what ended it */
	bool expire_due;        /* expired_by holds, and it must be ended as soon as that is
				   possible. Not a state: it is still open, or entering */
	struct list deferred;   /* first added first */
	struct list points;     /* the client's own savepoints inside a savepoint frame */
	int64_t asked_us;       /* monotonic, as all times here */
	int64_t granted_us;     /* lease or lock was there; 0: not yet */
	int64_t opened_us;
	int64_t deadline_us;        /* 0: none */
	char *deadline_text;        /* for people: 30s */
	char *modes;                /* of a block: as its BEGIN had them, or NULL */
	struct event timer;         /* of the deadline; assigned if deadline_us is not 0 */
	uint64_t statements_before; /* the session had sent when it was asked for; kept by it */
	void *owner;                /* the session */
};

#define SCOPE_NAME_MAX   255  /* bytes, as locks may have long names */
#define SCOPE_POINTS_MAX 1000 /* savepoints of the client in one frame */

struct stack {
	struct list frames;
	struct scope *used; /* named by USE, or NULL: the innermost transaction is */
	unsigned serial;    /* given last */
};

void stack_init(struct stack *);

/* A new innermost frame in state ENTERING; copies the name. */
struct scope *stack_push(struct stack *, enum scope_kind, const char *name, int64_t now_us);
/* Takes a frame, which holds nothing any more, out; it is freed with scope_free(), at the earliest
 * at the end of the loop's turn. */
void stack_pop(struct stack *, struct scope *);
void scope_free(void *frame);

/* NULL if there is none. */
struct scope *stack_innermost(const struct stack *);
struct scope *stack_outermost(const struct stack *);
struct scope *stack_find(const struct stack *, const char *name);
/* The frame around this one, or NULL. */
struct scope *stack_outside(const struct stack *, const struct scope *);
/* The frame inside this one, or NULL. */
struct scope *stack_inside(const struct stack *, const struct scope *);

/* The frame whose transaction it is in: itself, its base, or NULL for a lock. */
struct scope *scope_base(struct scope *);
/* The transaction that statements go to now (a frame with a lease, or one that has expired), or
 * NULL. */
struct scope *stack_current(const struct stack *);
/* The innermost open transaction of that pool, in which a savepoint would be made, or NULL. */
struct scope *stack_transaction_on(const struct stack *, const struct pool *);
/* The innermost frame, savepoint or transaction, of that transaction. */
struct scope *stack_top_of(const struct stack *, const struct scope *base);
/* The innermost frame that has the lease, or NULL. */
struct scope *stack_of_lease(const struct stack *, const struct lease *);
/* Around `f`: the nearest one that has something to roll back; NULL if there is none, or if one
 * with SUPPRESS stands between. */
struct scope *stack_loser(const struct stack *, const struct scope *);
/* The frame whose time limit has ended this one: itself, or one around it. */
const struct scope *stack_reason(const struct stack *, const struct scope *);
/* Is it `f`, or inside `f`? */
bool stack_within(const struct stack *, const struct scope *inner, const struct scope *f);

/* It cannot commit any more. The first reason stays. */
void scope_fail(struct scope *, const char *sqlstate);

/* Copies everything. */
void scope_defer(struct scope *, enum deferred_when, const char *sql, const char *const *values,
		 unsigned nvalues, uint64_t used);

/* They have been run. */
void scope_deferred_forget(struct scope *);

/* The client's own savepoints in a savepoint frame (of frames of other kinds PostgreSQL itself
 * takes care). Returns -E_TOOBIG if there are too many. */
int scope_point_add(struct scope *, const char *name);
bool scope_point_has(const struct scope *, const char *name);
/* RELEASE (`itself` too) or ROLLBACK TO: those made after the last one of that name are gone. */
void scope_point_cut(struct scope *, const char *name, bool itself);
/* The name of one, of scope->points. */
const char *scope_point_name(const struct list_node *);
/* All but the first `n`. */
void scope_points_keep(struct scope *, unsigned n);

const char *scope_kind_name(const struct scope *);
const char *scope_kind_word(enum scope_kind);
const char *scope_state_name(const struct scope *);
bool scope_is_transaction(const struct scope *);
/* Is it a savepoint on the server? */
bool scope_is_savepoint(const struct scope *);
/* Is it a BEGIN of the client's, which its COMMIT or ROLLBACK ends? */
bool scope_is_begin(const struct scope *);
/* The innermost BEGIN of the client's, or NULL. */
struct scope *stack_begin(const struct stack *);
/* The name for people: "BEGIN" for one that is the client's. */
const char *scope_shown(const struct scope *);

#endif
