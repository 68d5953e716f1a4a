/* trace: pgwith trace: records a timeline (timeline.h) to a file (tracefile.h), and reports on one
 * (tracereport.h). */
#ifndef PGWITH_CLI_TRACE_H
#define PGWITH_CLI_TRACE_H

#include "cli/commands.h"

enum ask_status trace_record(const struct commands_entry *, const struct commands_how *,
			     struct ask *none, char **args);

#endif
