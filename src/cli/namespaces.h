/* namespaces: explains what pgwithd sees of clients, and this command of pgwithd, where containers
 * are between them: process ids and user ids of another namespace. */
#ifndef PGWITH_CLI_NAMESPACES_H
#define PGWITH_CLI_NAMESPACES_H

#include <sys/types.h>

#include "cli/findings.h"
#include "conf/conf.h"

/* Whoever listens at the socket, as the kernel tells us (SO_PEERCRED). */
void namespaces_check_listener(struct findings *, pid_t pid, uid_t uid);

/* The user namespace of pgwithd, from /proc. `pid`: of pgwithd, as it is here. */
void namespaces_check_map(struct findings *, pid_t pid);

/* Its clients: `clients` is SHOW CLIENTS. `conf` may be NULL. */
void namespaces_check_clients(struct findings *, const struct conf *, const struct table *clients);

/* Lists in the configuration that name the user whom all foreign users are. */
void namespaces_check_lists(struct findings *, const struct conf *);

#endif
