/* interrupt: SIGINT and SIGTERM as something to wait for, for commands that last. */
#ifndef PGWITH_CLI_INTERRUPT_H
#define PGWITH_CLI_INTERRUPT_H

/* From now on the signals end nothing by themselves, but make the descriptor readable. The same
 * one at each call; -1 if there can be none, and then they end the process as ever. */
int interrupt_fd(void);

/* The signal that has come, taken; 0 if none has. */
int interrupt_take(void);

/* Signals end the process again. */
void interrupt_release(void);

#endif
