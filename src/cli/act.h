/* act: the commands that change something. */
#ifndef PGWITH_CLI_ACT_H
#define PGWITH_CLI_ACT_H

#include "cli/commands.h"

/* The statement of the entry, with a pool's name if one is given. Says what state is left if it is
 * cancelled. */
enum ask_status act_pool(const struct commands_entry *, const struct commands_how *, struct ask *,
			 char **args);
enum ask_status act_kill(const struct commands_entry *, const struct commands_how *, struct ask *,
			 char **args);
enum ask_status act_set(const struct commands_entry *, const struct commands_how *, struct ask *,
			char **args);
enum ask_status act_shutdown(const struct commands_entry *, const struct commands_how *,
			     struct ask *, char **args);

#endif
