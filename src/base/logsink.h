/* logsink: writes the lines of the log to stderr, each as a whole, and never waits for long: a line
 * that a full pipe, a full disk or a dead reader does not take is lost. */
#ifndef PGWITH_BASE_LOGSINK_H
#define PGWITH_BASE_LOGSINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Finds out what stderr is. Opens descriptors 0 to 2 on /dev/null if they are closed, so that none
 * of them becomes a client's connection or a database. */
void logsink_open(void);

/* Is stderr the journal? */
bool logsink_is_journal(void);

/* Writes a line, which ends in \n. Returns false if it is lost. Waits LOGSINK_WAIT_MS for a slow
 * reader, and then does not wait again until it has read something. */
#define LOGSINK_WAIT_MS 20
bool logsink_write(const char *, size_t bytes);

/* Can a line be written now without waiting? */
bool logsink_ready(void);

#endif
