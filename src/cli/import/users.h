/* users: PgBouncer's settings of single users, [users]. */
#ifndef PGWITH_CLI_IMPORT_USERS_H
#define PGWITH_CLI_IMPORT_USERS_H

#include "cli/import/settings.h"

/* A number that [users] sets for the user; `otherwise` if it sets none, or no number. */
long users_number(const struct import *, const char *user, const char *key, long otherwise);

/* Writes what is to be done about each setting of [users]. */
void users_write(const struct import *);

#endif
