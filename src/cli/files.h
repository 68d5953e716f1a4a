/* files: checks the files that the pools need, as the user who runs this. */
#ifndef PGWITH_CLI_FILES_H
#define PGWITH_CLI_FILES_H

#include "cli/findings.h"
#include "conf/conf.h"

/* Checks the passfiles, certificates and keys of every pool. `who`: the user's name, for people. */
void files_check(struct findings *, const struct conf *, const char *who);

#endif
