/* pack: the bytes that a process hands to the next one. For each structure one function does both,
 * writing and reading its fields, so that the two cannot differ. Numbers are in this machine's own
 * layout: before reading, the caller must have checked that the version is exactly the same. */
#ifndef PGWITH_BASE_PACK_H
#define PGWITH_BASE_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct pack {
	struct buf *out; /* NULL when reading */
	const uint8_t *at;
	size_t left;
	bool failed; /* when reading: the bytes are wrong; all that follows is read as zeros */
};

void pack_writer(struct pack *, struct buf *out);
void pack_reader(struct pack *, const void *data, size_t bytes);

static inline bool
pack_reading(const struct pack *p)
{
	return p->out == NULL;
}

/* The bytes as they are: for numbers, and for structures without pointers. */
void pack_bytes(struct pack *, void *data, size_t bytes);
#define PACK(p, field) pack_bytes((p), &(field), sizeof(field))

/* A string, which may be NULL. When reading, a new one that the caller frees. */
void pack_str(struct pack *, char **);

/* So many bytes on the heap; NULL if there are none. When reading, the caller frees them. */
void pack_blob(struct pack *, uint8_t **data, size_t *bytes);

/* The bytes in a buffer. When reading, they are added to it, up to its maximum. */
void pack_buf(struct pack *, struct buf *);

/* A known number between two parts: if reader and writer have come to differ, reading fails
 * there. */
void pack_mark(struct pack *, uint32_t mark);

#endif
