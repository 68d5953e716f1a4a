/* batch: bytes for one server, which go there in one write.
 *
 * A message of the client passes to its server as it came: batch_pass() notes where it stands and
 * copies nothing. What must stand ahead of a message, or in its place, is written to batch_for():
 * what has been passed before is copied there first, so that all bytes stand in the order in which
 * they were given, which is the order that progress was told of.
 *
 * All sessions share one batch, and only the one that is at work has bytes in it. The batch belongs
 * to the lease and to the server that its first byte was meant for. To add to the batch of another,
 * or to send it to another's server, is our own bug, and ends the program. */
#ifndef PGWITH_SESSION_BATCH_H
#define PGWITH_SESSION_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct lease;
struct session;
struct site;

struct batch {
	struct buf bytes;      /* to be sent first */
	const uint8_t *passed; /* of the client's, where they came; to be sent behind those */
	size_t passed_bytes;
	const struct lease *lease; /* that it is for, if it is not empty */
	uint64_t server;           /* id of the one that the lease had then */
};

void batch_init(struct batch *);
void batch_clear(struct batch *);

/* Nothing is to be sent. */
static inline bool
batch_is_empty(const struct batch *b)
{
	return b->bytes.len == 0 && b->passed_bytes == 0 && !b->bytes.failed;
}

/* The buffer for what goes to the session's server behind all that the batch has. The session
 * holds a lease. Valid until the next call of this module. */
struct buf *batch_for(struct session *);

/* These bytes of the client's go on behind all that the batch has. They must stay where they are
 * until the batch is sent. */
void batch_pass(struct session *, const uint8_t *data, size_t bytes);

/* Sends the batch in one write, if it has anything; one whose lease has ended since is dropped. The
 * server may be lost by it, and the session with it. Returns false if there was more than
 * fits: nothing was sent, and the session must end. */
bool batch_flush(struct session *);

/* Forgets what has not been sent. The session's lease has ended, or is to be broken. */
void batch_drop(struct session *);

/* The session lets go of its lease: what progress was told of, if it is the session's, is sent. */
void batch_end(struct session *);

/* A turn of the session's has ended: ends the program if the batch is not empty. */
void batch_check(const struct session *);

#endif
