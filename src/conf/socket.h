/* socket: the options of the listening socket: its path, and checks of them. */
#ifndef PGWITH_CONF_SOCKET_H
#define PGWITH_CONF_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Bytes of a socket's path at most: sun_path of unix(7), without the NUL. */
#define SOCKET_PATH_MAX 107

/* The path of the socket, LISTEN/.s.PGSQL.PORT as libpq has it. The caller frees. */
char *socket_path(const char *directory, int64_t port);

/* Where metrics_listen says: ADDRESS:PORT, with a loopback address, or the path of a Unix socket.
 * Returns how many bytes of `at` are used; 0: the text is none of them. */
socklen_t socket_metrics_address(const char *text, struct sockaddr_storage *at);
/* Is this the name, without a port, by which a client of that listener reaches this machine and no
 * other: localhost, or a loopback address, of IPv6 in brackets? */
bool socket_is_loopback_host(const char *);
/* Checks the option metrics_listen, which may be empty. Returns as those below. */
char *socket_check_metrics(const char *);

/* Check the options listen, socket_owner, socket_group. Return NULL, or what is wrong, which the
 * caller frees. The last two ask the system whether the name exists, which may take long: they must
 * not be called in a running daemon. An empty name is right. */
char *socket_check_directory(const char *);
char *socket_check_owner(const char *);
char *socket_check_group(const char *);

#endif
