/* act: the commands that change something. */
#ifndef PGWITH_CLI_ACT_H
#define PGWITH_CLI_ACT_H

#include "cli/commands.h"

/* Runs the statement of the entry, with a pool's name if one is given. If the command is cancelled,
 * says in which state the pools are left. */
enum ask_status act_pool(const struct commands_entry *, const struct commands_how *, struct ask *,
			 char **args);
enum ask_status act_kill(const struct commands_entry *, const struct commands_how *, struct ask *,
			 char **args);
enum ask_status act_set(const struct commands_entry *, const struct commands_how *, struct ask *,
			char **args);
enum ask_status act_shutdown(const struct commands_entry *, const struct commands_how *,
			     struct ask *, char **args);

#endif
