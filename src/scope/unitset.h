/* unitset: which parameters a statement of a member sets, and whether only for its transaction. In
 * a joined scope that transaction is a savepoint, whose RELEASE would keep what SET LOCAL has set.
 * By the words alone: what a function sets is not seen. No I/O. */
#ifndef PGWITH_SCOPE_UNITSET_H
#define PGWITH_SCOPE_UNITSET_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/sqltext.h"

/* Called for each parameter. `name` is NULL for RESET ALL, and in double quotes for a temporary
 * table that is to be dropped at the end of the transaction. `local`: for the transaction. */
typedef void unitset_fn(void *arg, const char *name, bool local);

/* Finds the parameters that one statement sets: SET, RESET, and calls of set_config() with a name
 * in quotes. Other values of is_local than a plain true count as false. `each` may be NULL. Returns
 * how many there are. */
unsigned unitset_each(const struct sqltext_stmt *, unsigned flags, unitset_fn *each, void *arg);

#endif
