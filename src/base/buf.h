/* buf: a queue of bytes with a hard maximum. Bytes go in at the end and out at the front. A sticky
 * error (memory is never the reason: only the maximum) lets a builder make many calls and test
 * once. */
#ifndef PGWITH_BASE_BUF_H
#define PGWITH_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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

/* buf_room() where there is not enough, or not yet. */
uint8_t *buf_more_room_(struct buf *, size_t bytes);

/* Room for `bytes` more at the end, to be filled by the caller and made part of the buffer with
 * buf_grew(). NULL (and the error sticks) if that is over the maximum. */
static inline uint8_t *
buf_room(struct buf *b, size_t bytes)
{
	if (!b->failed && bytes <= b->size - b->start - b->len && bytes <= b->max - b->len)
		return b->mem + b->start + b->len;
	return buf_more_room_(b, bytes);
}

void buf_grew(struct buf *, size_t bytes);

/* Adds bytes at the end. Too many: the error sticks, and nothing of them is added. */
static inline void
buf_add(struct buf *b, const void *data, size_t bytes)
{
	uint8_t *room;

	if (bytes == 0 || (room = buf_room(b, bytes)) == NULL)
		return;
	memcpy(room, data, bytes);
	b->len += bytes;
}

static inline void
buf_add_u8(struct buf *b, uint8_t v)
{
	buf_add(b, &v, 1);
}

/* In network order. */
static inline void
buf_add_u16(struct buf *b, uint16_t v)
{
	uint8_t be[2] = {v >> 8, v};

	buf_add(b, be, sizeof be);
}

static inline void
buf_add_u32(struct buf *b, uint32_t v)
{
	uint8_t be[4] = {v >> 24, v >> 16, v >> 8, v};

	buf_add(b, be, sizeof be);
}

void buf_add_u64(struct buf *, uint64_t);
/* The characters with the NUL that ends them. */
void buf_add_str(struct buf *, const char *);
/* By printf(3)'s rules, without a NUL at the end. */
void buf_add_fmt(struct buf *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The text as valid UTF-8 without control characters (see utf8.h): what is none goes in as \xNN,
 * byte by byte, so that the text of a stranger can neither break a driver's decoding nor steer a
 * terminal. No NUL is added. */
void buf_add_clean(struct buf *, const char *text, size_t bytes);

/* Takes `bytes` (at most what is in) out at the front. Memory is kept, unless the buffer gets
 * empty. */
void buf_drop(struct buf *, size_t bytes);
/* As buf_drop() of everything, but the memory is kept for the next use. */
void buf_reset(struct buf *);

#endif
