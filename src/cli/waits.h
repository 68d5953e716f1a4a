/* waits: the command `waits`: asks who waits for whom, and prints that as a tree, a graph or a
 * table. */
#ifndef PGWITH_CLI_WAITS_H
#define PGWITH_CLI_WAITS_H

#include "cli/commands.h"

/* The command. */
enum ask_status waits_run(const struct commands_entry *, const struct commands_how *, struct ask *,
			  char **args);

#endif
