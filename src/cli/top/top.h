/* top: the command `pgwith top`. */
#ifndef PGWITH_CLI_TOP_TOP_H
#define PGWITH_CLI_TOP_TOP_H

#include "cli/commands.h"

/* Shows the daemon live until q or a signal; with how->once, prints one page. */
enum ask_status top_run(const struct commands_entry *, const struct commands_how *, struct ask *,
			char **args);

#endif
