/* console: the protocol of a session on the database `pgwith`: simple queries, several statements
 * in one, and the extended protocol, without parameters (PostgreSQL 15 documentation, 55.2 Message
 * Flow). command.h has the commands. */
#ifndef PGWITH_ADMIN_CONSOLE_H
#define PGWITH_ADMIN_CONSOLE_H

#include "daemon/daemon.h"

extern const struct console_ops console_ops;

#endif
