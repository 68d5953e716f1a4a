/* unittemp: temporary tables of a member that end, or become empty, with its transaction: CREATE
 * TEMP TABLE ... ON COMMIT DROP, and ON COMMIT DELETE ROWS. To PostgreSQL, the end of a unit is
 * none. By the words alone: what a function creates is not seen. No I/O. */
#ifndef PGWITH_SCOPE_UNITTEMP_H
#define PGWITH_SCOPE_UNITTEMP_H

#include <stddef.h>

#include "base/buf.h"
#include "wire/sqltext.h"

#define UNITTEMP_NAME \
	300 /* bytes of a name with its quotes and a NUL: more than NAMEDATALEN takes */

enum unittemp {
	UNITTEMP_NONE,
	UNITTEMP_DROP,
	/* The rows are to be deleted; or the table is to be dropped, and its name is not
	 * understood. */
	UNITTEMP_REFUSED
};

/* Of one statement. UNITTEMP_DROP: its name in double quotes. */
enum unittemp unittemp_read(const struct sqltext_stmt *, unsigned flags, char name[UNITTEMP_NAME]);

/* Add a statement of ours, with a NUL behind it. The one ahead of a CREATE notes in the parameter
 * `prefix`.v`number` which table there is of that name; the one at the end of the unit drops the
 * table if it is another one. */
void unittemp_note(struct buf *sql, const char *prefix, unsigned number, const char *name);
void unittemp_drop(struct buf *sql, const char *prefix, unsigned number, const char *name);

#endif
