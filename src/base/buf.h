/* buf: a queue of bytes with a hard maximum. Bytes go in at the end and out at the front. A sticky
 * error (memory is never the reason: only the maximum) lets a builder make many calls and test
 * once. */
#ifndef PGWITH_BASE_BUF_H
#define PGWITH_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *mem;
	size_t start; /* first byte that is still in */
	size_t len;   /* bytes in */
	size_t size;  /* bytes allocated */
	size_t max;   /* bytes that may be in */
	bool failed;  /* something did not fit; nothing was added since */
};

/* An empty buffer that holds at most `max` bytes. Allocates nothing yet. */
void buf_init(struct buf *, size_t max);

/* Frees the memory; the buffer is empty, good, and usable again. */
void buf_clear(struct buf *);

/* The first byte that is in; valid until the next call that adds. */
static inline uint8_t *
buf_data(const struct buf *b)
{
	return b->mem + b->start;
}

/* Adds bytes at the end. Too many: the error sticks, and nothing of them is added. */
void buf_add(struct buf *, const void *, size_t bytes);
void buf_add_u8(struct buf *, uint8_t);
/* In network order. */
void buf_add_u16(struct buf *, uint16_t);
void buf_add_u32(struct buf *, uint32_t);
void buf_add_u64(struct buf *, uint64_t);
/* The characters with the NUL that ends them. */
void buf_add_str(struct buf *, const char *);
/* By printf(3)'s rules, without a NUL at the end. */
void buf_add_fmt(struct buf *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Room for `bytes` more at the end, to be filled by the caller and made part of the buffer with
 * buf_grew(). NULL (and the error sticks) if that is over the maximum. */
uint8_t *buf_room(struct buf *, size_t bytes);
void buf_grew(struct buf *, size_t bytes);

/* Takes `bytes` (at most what is in) out at the front. Memory is kept, unless the buffer gets
 * empty. */
void buf_drop(struct buf *, size_t bytes);
/* As buf_drop() of everything, but the memory is kept for the next use. */
void buf_reset(struct buf *);

#endif
