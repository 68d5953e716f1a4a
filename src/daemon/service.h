/* service: tells the service manager how the daemon is. loop/sysd.h has the words. */
#ifndef PGWITH_DAEMON_SERVICE_H
#define PGWITH_DAEMON_SERVICE_H

#include <stdbool.h>

struct daemon;

/* The daemon has started: clients may come. */
void service_ready(struct daemon *);

/* To be called before and after a reload. The status says until the next one if it was refused. */
void service_reloading(struct daemon *);
void service_reloaded(struct daemon *, bool taken);

/* daemon->site.phase has changed. The manager is told that the daemon stops only if the end has a
 * time limit. Without one (SHUTDOWN AFTER CLIENTS), an operator can still ask the manager to stop
 * the daemon sooner. */
void service_phase(struct daemon *);

/* Called by the daemon's sweep: sends the status, a sign of life, and asks for more time while the
 * daemon ends. */
void service_sweep(struct daemon *);

/* Would a sign of life once a second be too seldom? */
bool service_is_impatient(const struct daemon *);

#endif
