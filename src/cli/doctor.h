/* doctor: checks a configuration, its socket, the daemon that runs with it, and the servers of its
 * pools: what is wrong or unwise, and what to do. */
#ifndef PGWITH_CLI_DOCTOR_H
#define PGWITH_CLI_DOCTOR_H

#include "cli/commands.h"

/* Prints what it finds. Returns ASK_TROUBLE if there is a problem. */
enum ask_status doctor_run(const struct commands_entry *, const struct commands_how *, struct ask *,
			   char **args);

#endif
