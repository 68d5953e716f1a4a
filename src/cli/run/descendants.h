/* descendants: the processes that we have started, and those that they have started, and so on. As
 * long as we are a reaper (prctl(2), PR_SET_CHILD_SUBREAPER), none of them is anybody else's. */
#ifndef PGWITH_CLI_DESCENDANTS_H
#define PGWITH_CLI_DESCENDANTS_H

#include <sys/types.h>

struct descendants {
	pid_t *pids; /* parents before their children */
	unsigned count;
};

/* The direct children of this process. The caller clears the list. */
struct descendants descendants_direct(void);

/* All descendants, but for the children `except` and theirs. A process that is started meanwhile
 * may be missing. None are found if the kernel has no /proc/PID/task/PID/children (proc(5)). The
 * caller clears the list. */
struct descendants descendants_all(const struct descendants *except);

void descendants_clear(struct descendants *);

#endif
