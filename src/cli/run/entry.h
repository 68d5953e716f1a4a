/* entry: finds a pool by which pgwith run may come in to pgwithd. */
#ifndef PGWITH_CLI_ENTRY_H
#define PGWITH_CLI_ENTRY_H

#include <libpq-fe.h>

#include "cli/run/request.h"

/* Connects to the pool of the request; if it names none, to `preferred` (or NULL), or to the first
 * pool that lets us in. Sets whom->database while it tries. NULL: stderr says why there is none. */
PGconn *entry_find(const struct request *, struct ask_whom *whom, const char *preferred);

#endif
