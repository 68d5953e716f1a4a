/* unitown: the sequences of our own statements that begin and end units, as messages for the
 * server. Each statement has a name that no member knows, and its Close ahead of it, since one that
 * has failed leaves it. No I/O.
 *
 * While no unit is open, the server is in savepoint `name`, which is empty and waits for the next
 * unit, inside of the guard `name`_g`depth`, which is empty, too:
 *
 *	scope's transaction > guard 1 (units of before) > ... > guard n (empty) > name (empty)
 *
 * The end of a unit releases `name`, so what the unit has done is in guard n, and makes guard n + 1
 * and `name` anew inside of it. An error at any moment, by a cancel or by a timeout, undoes the
 * innermost guard: that is the unit which has not been answered yet, and never one that has. What a
 * unit has done is undone by a rollback to `name` first, and to the guard only if that has failed:
 * a cancel in the middle of a ROLLBACK TO can end the savepoint itself, and then undoes the one
 * around it. Guards are released when there are many, as PostgreSQL looks at all of them for each
 * row. That moment has no guard: it is as short as it can be. */
#ifndef PGWITH_SCOPE_UNITOWN_H
#define PGWITH_SCOPE_UNITOWN_H

#include "base/buf.h"
#include "scope/unitlocal.h"

/* What a sequence of our own is for. */
enum unit_own {
	UNIT_OWN_NONE,
	UNIT_OWN_START,   /* forgets statements that others have prepared; makes the savepoints */
	UNIT_OWN_RESTART, /* forgets parameters, too */
	UNIT_OWN_OPEN,    /* gives the member its timeouts, and its READ ONLY by default */
	UNIT_OWN_EXPOSE,  /* in a BEGIN: sets the other timeouts, too */
	UNIT_OWN_KEEP,    /* in a BEGIN: puts them aside again */
	UNIT_OWN_LOOK,    /* ahead of COMMIT: may deferrable constraints have to be checked? */
	UNIT_OWN_CHOOSE,  /* behind it, if so: how? */
	UNIT_OWN_COMMIT,
	UNIT_OWN_UNDO,
	UNIT_OWN_MODES,   /* SET TRANSACTION of the modes of a BEGIN */
	UNIT_OWN_UNMODES, /* that was refused: rolls back to before it */
	UNIT_OWN_DISCARD, /* what there can be of a DISCARD ALL */
	UNIT_OWN_CAPTURE, /* keeps values of parameters ahead of a SET LOCAL */
	UNIT_OWN_TIDY,    /* drops what members have left that are gone */
	UNIT_OWN_FORGET,  /* closes the unnamed statement and portal */
	UNIT_OWN_PROBE,   /* does nothing, but the server answers it */
	UNIT_OWN_FAIL,    /* makes the member's transaction fail */
};

/* What LOOK and CHOOSE have found about deferrable constraints. */
enum unit_constraints {
	UNIT_CONSTRAINTS_NONE,  /* the database has none */
	UNIT_CONSTRAINTS_QUIET, /* the unit has not written what they are about */
	UNIT_CONSTRAINTS_CHECK, /* check what the unit has deferred */
	/* The same, but what is deferred initially cannot be told by name from what is not: do the
	 * checks and undo them, so the constraints stay deferred. */
	UNIT_CONSTRAINTS_TRY
};

/* What the sequences depend on. */
struct unitown {
	const char *name;  /* of the unit's savepoint */
	unsigned depth;    /* the number of the innermost guard */
	bool flat;         /* of a sequence that ends a unit: it releases all guards */
	const char *modes; /* of MODES and UNMODES */
	unsigned flags;    /* of sqltext_init(), for the modes */
	const struct unit_locals *locals;
	/* Members may have set timeouts that must not hit our statements, nor the scope's
	 * transaction: they are put aside on the server, in parameters of ours. OPEN sets
	 * statement_timeout, and what ends the unit puts it aside again. With the other two
	 * PostgreSQL would end the scope, so pgwith keeps them itself: they are `exposed` only
	 * while something runs that may look at them. */
	bool timed, exposed;
	bool again;      /* of UNDO: the unit's savepoint may be gone */
	bool aborted;    /* of FORGET: the transaction has failed, so its portals stay */
	bool large;      /* of COMMIT: the unit may have opened large objects */
	bool reads_only; /* of OPEN: the unit is READ ONLY if that is the member's default */
	/* Of LOOK: what the row of the last COMMIT had; NULL: it is not known, or the unit may have
	 * deferred what was written before it. */
	const char *written;
	enum unit_constraints constraints; /* of COMMIT */
	const char *deferred; /* of COMMIT: names of those that are deferred initially; or NULL */
	bool resets; /* of OPEN: the unit begins by setting statement_timeout, so it need not */
	/* Of COMMIT: a SELECT that gives the server the parameters of the member's session. What
	 * the unit has set for its transaction in a way that no text says (by a function, a
	 * trigger) must not reach the next unit, so all is reset and set again. NULL: the unit may
	 * have set parameters of the session, so it is not known what these are. */
	const char *parameters;
};

/* Adds the sequence, with a Sync behind it. Returns the number of its statements: each is answered
 * by a CommandComplete. */
unsigned unitown_add(struct buf *out, enum unit_own, const struct unitown *);

/* Adds, behind the expressions of a SELECT, what keeps the member's timeouts and sets them to 0. */
void unitown_keep_timeouts(struct buf *sql, const char *name, bool exposed);

/* Do the modes, as of a BEGIN, say READ ONLY? Do they say whether it is READ ONLY? */
bool unitown_only_reads(const char *modes, unsigned flags);
bool unitown_names_access(const char *modes, unsigned flags);

/* Does the sequence make the next guard, if it succeeds? Behind that there are
 * unitown_behind_guard() statements, of which the last one makes the unit's savepoint. */
bool unitown_ends_unit(enum unit_own);
unsigned unitown_behind_guard(enum unit_own, enum unit_constraints, bool flat);

/* The row of LOOK: UNIT_CONSTRAINTS_NONE, _QUIET, or _CHECK for the others; NULL; whether the
 * transaction is READ ONLY; NULL. That of CHOOSE: the same, with enum unit_constraints and
 * `deferred`. That of COMMIT, if it is counted again: `written`; of START: may functions open
 * large objects? Each of the latter two with a NULL behind it. */
#define UNITOWN_LOOK_COLUMNS    4
#define UNITOWN_WRITTEN_COLUMNS 2

#endif
