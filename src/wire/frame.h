/* frame: where messages begin and end in a stream of protocol v3 bytes. No I/O, no copies.
 * PostgreSQL 15 documentation, 55.7 Message Formats: a type byte, then an Int32 length that counts
 * itself but not the type. */
#ifndef PGWITH_WIRE_FRAME_H
#define PGWITH_WIRE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define FRAME_HEADER  5           /* bytes of type and length */
#define FRAME_LARGEST 0x3fffffffu /* of a body: PostgreSQL's MaxAllocSize */

/* Of the lengths in messages of clients: PQ_LARGE_MESSAGE_LIMIT, PQ_SMALL_MESSAGE_LIMIT. */
#define FRAME_LARGE_LIMIT 0x3ffffffeu
#define FRAME_SMALL_LIMIT 10000u

struct frame {
	char type;
	uint32_t body; /* bytes after the header */
};

static inline uint32_t
frame_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Reads the header at `data`. Returns 0, -E_AGAIN if fewer than FRAME_HEADER bytes are there,
 * -E_RANGE if the length is impossible (under 4, or body over FRAME_LARGEST; f->type and f->body
 * are set as far as known). Inline, because it runs twice for every message that passes. */
static inline int
frame_read(const uint8_t *data, size_t bytes, struct frame *f)
{
	uint32_t length;

	if (bytes < FRAME_HEADER) {
		*f = (struct frame){0, 0};
		return -E_AGAIN;
	}
	length = frame_u32(data + 1);
	f->type = (char)data[0];
	f->body = length - 4;
	return length < 4 || length - 4 > FRAME_LARGEST ? -E_RANGE : 0;
}

/* Is the client's message longer than PostgreSQL takes one of its type? Then it closes the
 * connection without a word. PostgreSQL 15, SocketBackend() and CopyGetData(). */
static inline bool
frame_is_too_long(const struct frame *f)
{
	switch (f->type) {
	case 'Q':
	case 'P':
	case 'B':
	case 'F':
	case 'd':
		return f->body + 4 > FRAME_LARGE_LIMIT;
	default:
		return f->body + 4 > FRAME_SMALL_LIMIT;
	}
}

#endif
