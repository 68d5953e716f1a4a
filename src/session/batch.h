/* batch: bytes for one server, which go there in one write.
 *
 * A message of the client that passes as it came is not copied: batch_pass() notes where it stands.
 * Messages of ours, ahead of it or in its place, are written to batch_for(), which first copies
 * what was passed before. So all bytes go in the order in which they were given, which is the order
 * that progress has been told of.
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
	struct buf bytes;      /* are sent first */
	const uint8_t *passed; /* sent behind them: bytes of the client, where they were read */
	size_t passed_bytes;
	const struct lease *lease; /* the lease that the batch is for, unless it is empty */
	uint64_t server;           /* id of the server of that lease */
};

void batch_init(struct batch *);
void batch_clear(struct batch *);

/* Is there nothing to be sent? */
static inline bool
batch_is_empty(const struct batch *b)
{
	return b->bytes.len == 0 && b->passed_bytes == 0 && !b->bytes.failed;
}

/* Returns the buffer to add bytes to that go to the session's server, behind all that the batch
 * has. The session must hold a lease. The buffer is valid until the next call of this module. */
struct buf *batch_for(struct session *);

/* Adds bytes of the client, behind all that the batch has, without a copy. They must stay where
 * they are until the batch is sent. */
void batch_pass(struct session *, const uint8_t *data, size_t bytes);

/* Sends the batch in one write, unless it is empty. If its lease has ended since, it is dropped.
 * The write may find the server lost, and end the session. Returns false if there was more than
 * fits: nothing was sent, and the session must end. */
bool batch_flush(struct session *);

/* Empties the batch, because the session's lease has ended or its server is about to be closed. */
void batch_drop(struct session *);

/* The session is about to give up its lease: sends the batch if it is the session's, because
 * progress counts those bytes as sent. */
void batch_end(struct session *);

/* To be called when the session has had its turn: ends the program if the batch is not empty. */
void batch_check(const struct session *);

#endif
