/* import: writes a pgwith.conf that does what a pgbouncer.ini does. */
#ifndef PGWITH_CLI_IMPORT_H
#define PGWITH_CLI_IMPORT_H

#include "cli/commands.h"
#include "cli/import/pgbouncer.h"

enum ask_status import_run(const struct commands_entry *, const struct commands_how *, struct ask *,
			   char **args);

/* Writes the configuration. `users`: those of the auth_file, or NULL. Returns the number of pools.
 * Adds to *unknown the number of settings that are not known or could not be taken over. */
unsigned import_write(const struct pgbouncer *, const struct pgbouncer_pairs *users,
		      const struct commands_how *, FILE *, unsigned *unknown);

#endif
