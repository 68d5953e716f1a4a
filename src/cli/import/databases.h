/* databases: makes pools of PgBouncer's [databases]. */
#ifndef PGWITH_CLI_IMPORT_DATABASES_H
#define PGWITH_CLI_IMPORT_DATABASES_H

#include <stdbool.h>

#include "cli/import/settings.h"
#include "conf/conf.h"

/* Writes a section for each database. Counts the pools. */
void databases_write(struct import *);

/* Of how many databases with this user= there will be pools; NULL: of those without user=. */
unsigned databases_of_user(const struct import *, const char *user);

/* A pool for PgBouncer's auth_query. */
struct databases_asking {
	char pool[CONF_NAME + 1]; /* a name that no database has */
	char user[CONF_NAME + 1]; /* auth_user */
	char *database;           /* of [databases], whose server is asked */
	char *query;              /* NULL: the default */
};

/* Is auth_query run? If PgBouncer would run it in a way that one pool cannot, false, with *why set
 * (static); otherwise *why is NULL. In each case databases_asking_clear() is due. */
bool databases_asking(const struct import *, struct databases_asking *, const char **why);
void databases_asking_clear(struct databases_asking *);
/* The conninfo of that pool; the caller frees with secret_free(). */
char *databases_asking_conninfo(const struct import *, const struct databases_asking *);

#endif
