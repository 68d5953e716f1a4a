/* configure: the commands that change the configuration of the running daemon. */
#ifndef PGWITH_ADMIN_CONFIGURE_H
#define PGWITH_ADMIN_CONFIGURE_H

#include "admin/command.h"

int configure_reload(const struct command_call *, struct err *e);
int configure_set(const struct command_call *, struct err *e);

#endif
