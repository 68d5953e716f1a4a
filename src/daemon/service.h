/* service: what the service manager is told of the daemon. loop/sysd.h has the words. */
#ifndef PGWITH_DAEMON_SERVICE_H
#define PGWITH_DAEMON_SERVICE_H

#include <stdbool.h>

struct daemon;

/* Clients may come. */
void service_ready(struct daemon *);

/* Around a reload; whether it was taken over is part of the status until the next one. */
void service_reloading(struct daemon *);
void service_reloaded(struct daemon *, bool taken);

/* daemon->site.phase has changed. That it ends is told when that is a matter of time: before,
 * whoever wants it to end sooner must still be able to ask the manager for it. */
void service_phase(struct daemon *);

/* Status, sign of life, and more time for an end that goes on. */
void service_sweep(struct daemon *);

#endif
