/* exit: scopes end, innermost first: EXIT, what an ENTER that failed had entered, and what a time
 * limit ends. For a session whose client is gone see leave.h. */
#ifndef PGWITH_EXECUTOR_EXIT_H
#define PGWITH_EXECUTOR_EXIT_H

#include "executor/executor.h"

/* Begins it, for the purpose of the work: all frames from the innermost to `last`. */
void exit_begin(struct work *, struct scope *last, bool rollback);

/* Goes on with it. */
void exit_go(struct work *);

#endif
