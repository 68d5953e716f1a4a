/* entrance: the socket by which clients come in, and how many may be there. */
#ifndef PGWITH_DAEMON_ENTRANCE_H
#define PGWITH_DAEMON_ENTRANCE_H

#include <stddef.h>

struct daemon;

/* Sets site.listen to the first that there is: the socket of the service manager, that of the
 * process before, a new one. If that of the process before is not where the configuration says, a
 * new one is made, and the old one is in listen_before. Returns -E_IO with a reason in `why` if
 * none can be had. */
int entrance_open(struct daemon *, char *why, size_t why_size);

/* Removes the socket of the process before, if it is not the one in use. Clients that have
 * connected to it are accepted. */
void entrance_close_old(struct daemon *);

/* Without the socket, new clients are refused by the kernel. If the service manager has made it, it
 * stays, and they wait for the next daemon. */
void entrance_close(struct daemon *);

#endif
