/* interrupt: SIGINT and SIGTERM as a descriptor, for commands that wait. */
#ifndef PGWITH_CLI_INTERRUPT_H
#define PGWITH_CLI_INTERRUPT_H

#include <stdint.h>

/* What ended a wait. */
enum came { CAME_ANSWER, CAME_TIME, CAME_SIGNAL };

/* Waits for the socket `fd` until `deadline` of clock_us() (0: without limit), or until the
 * descriptor `signals` (-1: there is none) is readable. */
enum came interrupt_wait(int fd, short events, int64_t deadline, int signals);

/* From now on the signals do not end the process, but make the descriptor readable. Returns the
 * same descriptor each time; -1 if there can be none: then the signals end the process as
 * before. */
int interrupt_fd(void);

/* The same descriptor if interrupt_fd() has made it; otherwise -1, and the signals end the
 * process. */
int interrupt_watched(void);

/* Takes a signal that has come, and returns its number; 0 if none has. */
int interrupt_take(void);

/* From now on the signals end the process again. */
void interrupt_release(void);

#endif
