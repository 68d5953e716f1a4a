/* tracereport: pgwith trace --report: says where the time went in a recording to SQLite. */
#ifndef PGWITH_CLI_TRACEREPORT_H
#define PGWITH_CLI_TRACEREPORT_H

#include "cli/ask.h"
#include "cli/table.h"

/* Prints the tables of the report. What is wrong is said on stderr. */
enum ask_status tracereport_print(const char *path, const struct table_look *);

#endif
