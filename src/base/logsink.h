/* logsink: where the lines of the log go: stderr. Whole lines, which never wait for long: what a
 * full pipe, a full disk or a reader that is gone does not take is lost, and counted. */
#ifndef PGWITH_BASE_LOGSINK_H
#define PGWITH_BASE_LOGSINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Looks what stderr is. Descriptors 0 to 2 that are closed are opened on /dev/null, so that none of
 * them becomes a client's connection or a database. */
void logsink_open(void);

/* Is it the journal? */
bool logsink_is_journal(void);

/* Writes bytes that end in \n. Returns false if they are lost. A reader that is slow is waited for
 * LOGSINK_WAIT_MS, and then not again until it has read something. */
#define LOGSINK_WAIT_MS 20
bool logsink_write(const char *, size_t bytes);

/* Can a line be written now, without waiting? */
bool logsink_ready(void);

#endif
