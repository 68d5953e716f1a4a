/* overdue: the log lines of log_held_longer_than. */
#ifndef PGWITH_ADMIN_OVERDUE_H
#define PGWITH_ADMIN_OVERDUE_H

#include "daemon/daemon.h"

/* Called by the daemon's sweep: logs, once, what is held for longer than log_held_longer_than of
 * its pool (of a lock or semaphore: of its session's pool), but for pinned sessions, and logs the
 * end of what was logged. What is so old already in the first sweep of a process was handed over by
 * another process, which has logged it. */
void overdue_sweep(struct daemon *);

#endif
