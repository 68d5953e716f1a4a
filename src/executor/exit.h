/* exit: ends scopes, innermost first: for EXIT, COMMIT and ROLLBACK, for an ENTER that has failed,
 * and for a time limit. If the client is gone, leave.h does it. */
#ifndef PGWITH_EXECUTOR_EXIT_H
#define PGWITH_EXECUTOR_EXIT_H

#include "executor/executor.h"

/* Begins to end all frames from the innermost to `last`, for the purpose of the work. */
void exit_begin(struct work *, struct scope *last, bool rollback);

/* Goes on as far as that is possible without waiting. */
void exit_go(struct work *);

#endif
