/* deallocate: DEALLOCATE and DISCARD ALL by SQL of what Parse has made. The session's names are
 * known to the daemon only, so the server is given something to deallocate; what has been carried
 * out is known from the command tags. */
#ifndef PGWITH_SESSION_DEALLOCATE_H
#define PGWITH_SESSION_DEALLOCATE_H

#include <stdbool.h>
#include <stddef.h>

#include "session/session.h"

/* A text with such statements is about to be sent for execution: adds what must stand ahead of it
 * to the batch. Progress is told. */
void deallocate_note(struct session *, const char *sql, size_t bytes);

/* Is it unknown at present which names there are? */
bool deallocate_unsettled(const struct session *);

/* Bytes have come from the server of the lease: takes note of the tags among them. */
void deallocate_answered(struct session *);

/* A lease begins: what was under way in the one before is not known any more. */
void deallocate_forget(struct session *);

#endif
