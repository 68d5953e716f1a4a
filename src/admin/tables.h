/* tables: the tables of the status page: who holds, who waits, locks and semaphores, pinned
 * sessions, errors; and in one line what there is nothing to be said of. */
#ifndef PGWITH_ADMIN_TABLES_H
#define PGWITH_ADMIN_TABLES_H

#include "admin/status.h"
#include "base/buf.h"

void tables_write(struct buf *, const struct status *);

/* Adds a session: its program, process, and for how long (`us`; -1: that is left out); below and
 * smaller its id, role and application_name. */
void tables_who(struct buf *, const struct status_who *, int64_t us);

#endif
