/* session_pack: writes all sessions, with what they have in all other folders, and reads them in
 * the next process. Each ..._pack() function does both. */
#ifndef PGWITH_DAEMON_SESSION_PACK_H
#define PGWITH_DAEMON_SESSION_PACK_H

#include "base/pack.h"

struct daemon;

/* Writes the whole daemon. The next process must be able to go on with each session as it is now:
 * handover.h says how the daemon gets there. */
void session_pack_all(struct pack *, struct daemon *);

/* Reads it into a daemon that has its pools, of which no lease is granted. client() returns the
 * descriptor of a client by its fdstore_cookie(), server() that of a server by its id, or -1; the
 * descriptors are the caller's from then on. Sessions that have lost their client's descriptor,
 * their server or their pool are ended. */
void session_pack_read(struct pack *, struct daemon *, int (*client)(void *arg, uint64_t cookie),
		       int (*server)(void *arg, uint64_t id));

/* All sessions go on with the messages that are in their buffers. */
void session_pack_resume(struct daemon *);

#endif
