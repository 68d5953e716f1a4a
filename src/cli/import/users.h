/* users: PgBouncer's settings of single users, [users]. */
#ifndef PGWITH_CLI_IMPORT_USERS_H
#define PGWITH_CLI_IMPORT_USERS_H

#include "cli/import/settings.h"

/* A number that [users] sets for the user; `otherwise` if it sets none, or no number. */
long users_number(const struct import *, const char *user, const char *key, long otherwise);

/* The name of the section [cluster] that keeps the max_user_connections of a user for all pools
 * that log in as that user. The caller frees. */
char *users_cluster(const char *user);

/* Writes the sections that limit roles: [role NAME], [role *] and [cluster NAME]. */
void users_write_limits(const struct import *);

/* Writes what is to be done about each setting of [users]. */
void users_write(const struct import *);

#endif
