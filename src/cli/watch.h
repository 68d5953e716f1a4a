/* watch: a command again and again. */
#ifndef PGWITH_CLI_WATCH_H
#define PGWITH_CLI_WATCH_H

#include "cli/commands.h"

/* Until a signal, or until nobody reads any more: that ends well. On a terminal each answer takes
 * the place of the one before; elsewhere they follow each other, with their time. If pgwithd goes
 * away, it is tried again. */
enum ask_status watch_run(const struct commands_entry *, const struct commands_how *, char **args);

#endif
