/* savepoint: the client's own savepoints inside a savepoint scope. They work, but must not reach
 * over the scope's own savepoint on the server. */
#ifndef PGWITH_EXECUTOR_SAVEPOINT_H
#define PGWITH_EXECUTOR_SAVEPOINT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "executor/executor.h"

/* A text with SAVEPOINT, RELEASE or ROLLBACK TO is about to be run in the frame. Takes note of what
 * it does. Returns false, with the reason in *e, if it would reach outside. */
bool savepoint_follow(struct session *, struct scope *, const char *sql, size_t bytes,
		      struct err *e);

#endif
