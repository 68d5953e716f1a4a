/* watch: runs a command again and again. */
#ifndef PGWITH_CLI_WATCH_H
#define PGWITH_CLI_WATCH_H

#include "cli/commands.h"

/* Runs the command until a signal comes or the reader of the output has gone; both are success. On
 * a terminal each answer replaces the one before; elsewhere they follow each other, with their
 * time. If pgwithd goes away, tries again. */
enum ask_status watch_run(const struct commands_entry *, const struct commands_how *, char **args);

#endif
