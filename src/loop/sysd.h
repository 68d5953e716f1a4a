/* sysd: talks with the service manager, systemd. It reads what that handed down in the environment
 * (NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, LISTEN_FDS and LISTEN_FDNAMES), and tells it the
 * state of the service by sd_notify(3). Without a service manager, or without libsystemd in the
 * build, nothing is sent. */
#ifndef PGWITH_LOOP_SYSD_H
#define PGWITH_LOOP_SYSD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SYSD_STATUS_US 1000000 /* at least, between two changes of the status */
/* A time-out of the service manager is extended by so much, four times in that time. */
#define SYSD_EXTEND_US 20000000

struct sysd;

/* Takes what was handed down to this process, except the descriptors of fdstore_take(), and removes
 * it from the environment, except NOTIFY_SOCKET. To be called early: the handed-down descriptors
 * are known by their numbers, from 3 on. */
struct sysd *sysd_new(void);

/* Closes the handed-down descriptors that were not taken, and frees. NULL is allowed. */
void sysd_free(struct sysd *);

/* Socket activation: returns the handed-down socket that listens at `path`; the caller closes it.
 * -E_NOTFOUND: no socket was handed down, so the caller makes its own. -E_STATE, with one line of
 * reason in `why`: something else was handed down, instead of this socket or beside it. */
int sysd_take_listener(struct sysd *, const char *path, char *why, size_t why_size);

/* Tell the state of the service. `status` is a line for people, without a newline. sysd_ready()
 * (READY=1) also ends what sysd_reloading() (RELOADING=1) began. */
void sysd_ready(struct sysd *, const char *status);
void sysd_reloading(struct sysd *);
void sysd_stopping(struct sysd *, const char *status);

/* Tells the status line (STATUS=) if it has changed, once in SYSD_STATUS_US at most. To be called
 * again and again: a change that comes too early is told by a later call. `now_us` is loop_now_us()
 * here and below. */
void sysd_status(struct sysd *, int64_t now_us, const char *status);

/* To be called by every sweep while a start or stop goes on: extends the service manager's time-out
 * for it. */
void sysd_extend(struct sysd *, int64_t now_us);

/* Sends a sign of life (WATCHDOG=1), at half of the time that the service manager waits for one. To
 * be called by the loop's sweep and nowhere else, because the sign says that the loop turns. */
void sysd_sweep(struct sysd *, int64_t now_us);

/* Would a sign of life each LOOP_REST_US be too seldom? */
bool sysd_is_impatient(const struct sysd *);

#endif
