/* complete: scripts by which shells complete the words of pgwith, made from the table of commands.
 * Names of pools, ids of sessions and the like are asked of pgwithd each time. */
#ifndef PGWITH_CLI_COMPLETE_H
#define PGWITH_CLI_COMPLETE_H

#include "cli/commands.h"

/* Prints the script for "bash" or "zsh" that knows the `count` entries. */
enum ask_status complete_print(const struct commands_entry *entries, unsigned count,
			       const char *shell);

#endif
