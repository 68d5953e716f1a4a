/* signin: who may come in: carries auth_type, auth_file, auth_query, auth_user and auth_dbname. */
#ifndef PGWITH_CLI_IMPORT_SIGNIN_H
#define PGWITH_CLI_IMPORT_SIGNIN_H

#include "cli/import/settings.h"

/* How clients show who they are. */
struct signin;

/* Reads the settings and the auth_file. The caller frees with signin_free(). */
struct signin *signin_plan(const struct import *);
void signin_free(struct signin *);

/* The path of the file that becomes the option auth_file; NULL: none does. */
const char *signin_file(const struct import *);

/* Writes auth, auth_file, auth_pool, auth_query, allow and users into [pgwith], with comments. */
void signin_write(const struct import *);
/* Writes the pool on which auth_query is run, if there is one. */
void signin_write_pool(const struct import *);

#endif
