/* import: a pgwith.conf that does what a pgbouncer.ini does. */
#ifndef PGWITH_CLI_IMPORT_H
#define PGWITH_CLI_IMPORT_H

#include "cli/commands.h"
#include "cli/import/pgbouncer.h"

enum ask_status import_run(const struct commands_entry *, const struct commands_how *, struct ask *,
			   char **args);

/* Writes the configuration; `users` are those of the auth_file, or NULL. Returns how many pools it
 * has, and in *unknown, which it adds to, how much is not known or could not be taken over. */
unsigned import_write(const struct pgbouncer *, const struct pgbouncer_pairs *users,
		      const struct commands_how *, FILE *, unsigned *unknown);

#endif
