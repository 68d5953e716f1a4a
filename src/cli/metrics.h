/* metrics: pgwith metrics. */
#ifndef PGWITH_CLI_METRICS_H
#define PGWITH_CLI_METRICS_H

#include "cli/commands.h"

/* Prints the answer of SHOW METRICS, or with -o writes it to a file, which has always a whole
 * answer: a new file is written beside it, and given its name. */
enum ask_status metrics_run(const struct commands_entry *, const struct commands_how *,
			    struct ask *, char **args);

#endif
