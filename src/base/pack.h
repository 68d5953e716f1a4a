/* pack: what a process hands to the one that comes after it. One function a structure does both: it
 * writes the fields, or reads them, so that the two cannot differ. Numbers stand as this machine
 * has them: whoever reads must first have seen that the format is the very same. */
#ifndef PGWITH_BASE_PACK_H
#define PGWITH_BASE_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct pack {
	struct buf *out; /* NULL: reads */
	const uint8_t *at;
	size_t left;
	bool failed; /* reading: it is not what was expected; everything else is read as zeros */
};

void pack_writer(struct pack *, struct buf *out);
void pack_reader(struct pack *, const void *data, size_t bytes);

static inline bool
pack_reading(const struct pack *p)
{
	return p->out == NULL;
}

/* What is there as it is: numbers, and structures without pointers. */
void pack_bytes(struct pack *, void *data, size_t bytes);
#define PACK(p, field) pack_bytes((p), &(field), sizeof(field))

/* A string, NULL too. Reading: the caller frees it. */
void pack_str(struct pack *, char **);

/* Bytes of the heap, and how many; NULL if there are none. Reading: the caller frees them. */
void pack_blob(struct pack *, uint8_t **data, size_t *bytes);

/* What is in a buffer; reading: is added, as far as that is allowed. */
void pack_buf(struct pack *, struct buf *);

/* A number that stands between parts, so that a reader who has lost its way fails soon. */
void pack_mark(struct pack *, uint32_t mark);

#endif
