/* interrupt: SIGINT and SIGTERM as a descriptor, for commands that wait. */
#ifndef PGWITH_CLI_INTERRUPT_H
#define PGWITH_CLI_INTERRUPT_H

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
