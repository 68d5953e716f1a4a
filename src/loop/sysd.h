/* sysd: the service manager (systemd): what it has handed down in the environment (NOTIFY_SOCKET,
 * WATCHDOG_USEC and WATCHDOG_PID, LISTEN_FDS and LISTEN_FDNAMES), and what it is told by
 * sd_notify(3). Started by nobody of that kind, or built without libsystemd, nothing is sent. */
#ifndef PGWITH_LOOP_SYSD_H
#define PGWITH_LOOP_SYSD_H

#include <stddef.h>
#include <stdint.h>

#define SYSD_STATUS_US 1000000 /* between two changes of the status */
/* By how much a time-out is extended; a quarter of it: how often. */
#define SYSD_EXTEND_US 20000000

struct sysd;

/* Takes what was handed down to this process, and removes it from the environment, but for
 * NOTIFY_SOCKET. Before other descriptors are opened by number. */
struct sysd *sysd_new(void);

/* Closes the descriptors that nobody has taken. NULL is allowed. */
void sysd_free(struct sysd *);

/* Socket activation: the listening socket at `path`, for the caller to close. -E_NOTFOUND: nothing
 * was handed down, the caller makes its own. -E_STATE, with one line of reason in `why`: something
 * was, and it is not this socket alone. */
int sysd_take_listener(struct sysd *, const char *path, char *why, size_t why_size);

/* The state of the service. `status` is a line for people, without a newline.
 * ready: READY=1, also after reloading. reloading: RELOADING=1, ends by ready. */
void sysd_ready(struct sysd *, const char *status);
void sysd_reloading(struct sysd *);
void sysd_stopping(struct sysd *, const char *status);

/* STATUS=, if it differs from the last one; not more often than every SYSD_STATUS_US, so that a
 * change may need a later call to be said. `now_us` is loop_now_us() here and below. */
void sysd_status(struct sysd *, int64_t now_us, const char *status);

/* Starting or stopping takes its time, and goes on: to be called by every sweep of it. */
void sysd_extend(struct sysd *, int64_t now_us);

/* The sign of life: WATCHDOG=1, at half of the time that the manager waits for one. To be called by
 * the loop's sweep and nowhere else: it says that the loop turns. */
void sysd_sweep(struct sysd *, int64_t now_us);

#endif
