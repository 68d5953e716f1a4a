/* doctor: what is wrong or unwise with a configuration, its socket, the daemon that runs with it
 * and the servers that its pools lead to; and what to do. */
#ifndef PGWITH_CLI_DOCTOR_H
#define PGWITH_CLI_DOCTOR_H

#include "cli/commands.h"

/* ASK_TROUBLE if there is a problem. */
enum ask_status doctor_run(const struct commands_entry *, const struct commands_how *, struct ask *,
			   char **args);

#endif
