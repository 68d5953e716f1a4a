/* unitlocal: parameters that a unit has set for its transaction only, by SET LOCAL. The RELEASE of
 * its savepoint would keep them, so they get their values from before ahead of it. Temporary tables
 * ON COMMIT DROP are dropped with them (unittemp.h). Makes the statements for that, and does no
 * I/O. */
#ifndef PGWITH_SCOPE_UNITLOCAL_H
#define PGWITH_SCOPE_UNITLOCAL_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/pack.h"
#include "wire/sqltext.h"

/* The timeouts of a member that could hit statements of ours; statement_timeout is the first. */
#define UNITLOCAL_TIMEOUTS 3
extern const char *const unitlocal_timeouts[UNITLOCAL_TIMEOUTS];

/* Which of them has this name? NULL: none. */
const char *unitlocal_timeout(const char *name);

struct unit_locals {
	struct list list;
	const char *prefix; /* of parameters of ours on the server, in which values are kept */
	struct buf capture; /* the statements of unitlocal_capture(), with a NUL behind each */
};

void unitlocal_init(struct unit_locals *, const char *prefix);
void unitlocal_clear(struct unit_locals *);

/* The statement is about to be executed: what has to be done ahead of it goes to `capture`, as
 * statements with a NUL behind each. Returns true if there is anything. It may be too much:
 * capture.failed. */
bool unitlocal_capture(struct unit_locals *, const struct sqltext_stmt *, unsigned flags);

/* Adds, in the same way, what gives all of them their values from before, if `parameters`, and
 * drops the tables. */
void unitlocal_restore(const struct unit_locals *, bool parameters, struct buf *sql);

/* Are there tables among them? */
bool unitlocal_has_tables(const struct unit_locals *);

/* The unit has ended. */
void unitlocal_forget(struct unit_locals *);

/* For the handover. */
void unitlocal_pack(struct pack *, struct unit_locals *);

#endif
