/* files: what the pools need of the file system, as whoever runs this may use it. */
#ifndef PGWITH_CLI_FILES_H
#define PGWITH_CLI_FILES_H

#include "cli/findings.h"
#include "conf/conf.h"

/* Passfiles, certificates and keys of every pool. `who`: the user's name, for people. */
void files_check(struct findings *, const struct conf *, const char *who);

#endif
