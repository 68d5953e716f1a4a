/* session_pack: all sessions, and what they have in all other layers, from one process to the next.
 */
#ifndef PGWITH_DAEMON_SESSION_PACK_H
#define PGWITH_DAEMON_SESSION_PACK_H

#include "base/pack.h"

struct daemon;

/* Writes all of the daemon, which is settled (see handover.h). */
void session_pack_all(struct pack *, struct daemon *);

/* Reads it into a daemon whose pools are there, and held. The two give the descriptors of a client,
 * by fdstore_cookie(), and of a server, by id, which are the caller's then; or -1. Sessions that
 * have lost their client's descriptor, their server or their pool are ended. */
void session_pack_read(struct pack *, struct daemon *, int (*client)(void *arg, uint64_t cookie),
		       int (*server)(void *arg, uint64_t id));

/* All sessions go on with what is still there of their messages. */
void session_pack_resume(struct daemon *);

#endif
