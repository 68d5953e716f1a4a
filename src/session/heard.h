/* heard: what the server of a session says that listens by the keeper (listening.h). The client
 * does not get notifications of channels which the keeper gives it, and the last ReadyForQuery can
 * be kept back. */
#ifndef PGWITH_SESSION_HEARD_H
#define PGWITH_SESSION_HEARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "session/reword.h"
#include "session/session.h"

/* Bytes of a message that is kept until it is whole, at most. */
#define HEARD_MAX (16 * 1024)

/* Sends `data`, which was read since `from`, to the client. A notification of which a part has come
 * waits for the rest. With `keep_ready`, the server is at rest: returns true if the last
 * ReadyForQuery is in `data`, and the client has not got it. */
bool heard_send(struct session *, const struct reword_from *from, const uint8_t *data, size_t bytes,
		bool keep_ready);

/* Sends what waits for its rest: somebody else sends that. */
void heard_flush(struct session *);

/* Is it a notification of a channel which the keeper gives? */
bool heard_is_doubled(const struct session *, const uint8_t *message, size_t bytes);

#endif
