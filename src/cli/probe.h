/* probe: the commands for health checks. */
#ifndef PGWITH_CLI_PROBE_H
#define PGWITH_CLI_PROBE_H

#include "cli/commands.h"

/* Is the daemon alive? ASK_GOOD if it answers a login, even if it refuses it. */
enum ask_status probe_ping(const struct commands_entry *, const struct commands_how *, struct ask *,
			   char **args);
/* Would a client of the pool (without an argument: of each pool) be served now? If not,
 * ASK_TROUBLE. */
enum ask_status probe_ready(const struct commands_entry *, const struct commands_how *,
			    struct ask *, char **args);

#endif
