/* trace: the command TRACE, by which a session of the console records a timeline (base/trace.h).
 *
 * The first TRACE of a session begins to record; each returns what has happened since the one
 * before, as a portion of bytes (base/tracepack.h). The recording ends with the session. One
 * session records at a time. At the beginning, and whenever events were lost, there is a snapshot
 * of what exists, from which the reader goes on. */
#ifndef PGWITH_ADMIN_TRACE_H
#define PGWITH_ADMIN_TRACE_H

#include "admin/command.h"

extern const struct show trace_show;

int trace_run(const struct command_call *, struct err *e);

/* The session of this id ends, and with it the recording, if it is the one that records. */
void trace_closed(uint64_t session);

#endif
