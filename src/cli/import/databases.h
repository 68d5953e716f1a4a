/* databases: makes pools of PgBouncer's [databases]. */
#ifndef PGWITH_CLI_IMPORT_DATABASES_H
#define PGWITH_CLI_IMPORT_DATABASES_H

#include "cli/import/settings.h"

/* Writes a section for each database. Counts the pools. */
void databases_write(struct import *);

#endif
