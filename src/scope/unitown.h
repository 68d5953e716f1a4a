/* unitown: the sequences of our own statements that begin and end units, as messages for the
 * server. Each statement has a name that no member knows, and its Close ahead of it, since one that
 * has failed leaves it. No I/O. */
#ifndef PGWITH_SCOPE_UNITOWN_H
#define PGWITH_SCOPE_UNITOWN_H

#include "base/buf.h"
#include "scope/unitlocal.h"

/* What a sequence of our own is for. */
enum unit_own {
	UNIT_OWN_NONE,
	UNIT_OWN_START,   /* forgets statements that others have prepared */
	UNIT_OWN_RESTART, /* and parameters */
	UNIT_OWN_OPEN,
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

/* Adds the sequence, with a Sync behind it. `name` is that of the unit's savepoint; `modes` those
 * of MODES and UNMODES; `flags` of sqltext_init() for them. `timed`: members may have set timeouts
 * that must not hit the scope's transaction between units: OPEN sets them, and COMMIT keeps them
 * on the server and sets them to 0. */
void unitown_add(struct buf *out, enum unit_own, const char *name, const char *modes,
		 unsigned flags, const struct unit_locals *, bool timed);

#endif
