/* waiting: the page of who waits for whom: the tree of `pgwith waits`, with parties to choose. */
#ifndef PGWITH_CLI_TOP_WAITING_H
#define PGWITH_CLI_TOP_WAITING_H

#include "cli/top/lines.h"
#include "cli/top/model.h"

/* Adds a line for each line of the tree; with a `filter` (or NULL), only for those that contain it,
 * in any case of ASCII letters. Returns false if SHOW WAITS or SHOW CLIENTS is not there. */
bool waiting_lines(const struct model *, const char *filter, unsigned width, struct lines *);

#endif
