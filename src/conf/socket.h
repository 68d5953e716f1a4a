/* socket: what the configuration may say about the listening socket. */
#ifndef PGWITH_CONF_SOCKET_H
#define PGWITH_CONF_SOCKET_H

#include <stdint.h>

/* Bytes of a socket's path at most: sun_path of unix(7) without the NUL. */
#define SOCKET_PATH_MAX 107

/* The path of the socket, LISTEN/.s.PGSQL.PORT as libpq has it. The caller frees. */
char *socket_path(const char *directory, int64_t port);

/* Checks of option values. Return NULL, or what is wrong, which the caller frees. The last two ask
 * the system for the name, which may take long: not for a running daemon. */
char *socket_check_directory(const char *);
char *socket_check_owner(const char *); /* a user that there is, or "" */
char *socket_check_group(const char *);

#endif
