/* databases: the pools that PgBouncer's [databases] are. */
#ifndef PGWITH_CLI_IMPORT_DATABASES_H
#define PGWITH_CLI_IMPORT_DATABASES_H

#include "cli/import/settings.h"

/* Writes a section for each, and notes on [users]; counts them. */
void databases_write(struct import *);

#endif
