/* times: how long the statements of each pool took in the last seconds: the difference of what SHOW
 * TIMES counts. */
#ifndef PGWITH_CLI_TOP_TIMES_H
#define PGWITH_CLI_TOP_TIMES_H

#include <stdint.h>

#include "base/units.h"
#include "cli/table.h"

#define TIMES_WINDOW_US (10 * UNIT_S)

struct times;

struct times *times_new(void);
void times_free(struct times *);

/* Takes an answer to SHOW TIMES (or NULL), which came at `now_us`. */
void times_note(struct times *, const struct table *, int64_t now_us);
/* Forgets all: what comes next is counted by another process. */
void times_forget(struct times *);

/* The time that `percent` of the pool's statements in the last TIMES_WINDOW_US did not exceed; -1:
 * there were none, or it is not known. */
int64_t times_percentile(const struct times *, const char *pool, double percent);

#endif
