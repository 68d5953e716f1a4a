/* savepoint: the client's own savepoints inside a scope that is a savepoint itself. The client may
 * use them, but not roll back to, or release, one from before the scope. */
#ifndef PGWITH_EXECUTOR_SAVEPOINT_H
#define PGWITH_EXECUTOR_SAVEPOINT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "executor/executor.h"

/* A text with SAVEPOINT, RELEASE or ROLLBACK TO is about to be run in the frame: notes what it
 * does. Returns false with the reason in *e if it names a savepoint that is not of this scope. */
bool savepoint_follow(struct session *, struct scope *, const char *sql, size_t bytes,
		      struct err *e);

#endif
