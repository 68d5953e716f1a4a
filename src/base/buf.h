/* buf: a queue of bytes with a hard maximum: bytes are added at the end and dropped at the front.
 * If bytes would exceed the maximum, they are not added and `failed` is set, and every later call
 * that adds does nothing: so a builder makes many calls and tests once. */
#ifndef PGWITH_BASE_BUF_H
#define PGWITH_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BUF_MAX INT32_MAX /* bytes: no buffer holds more */

/* Each client has two of them, mostly empty: so it is small. */
struct buf {
	uint8_t *mem;
	uint32_t start;    /* place in `mem` of the first byte that is in the buffer */
	uint32_t len;      /* bytes in the buffer */
	uint32_t size;     /* bytes allocated */
	uint32_t max : 31; /* bytes that may be in the buffer */
	bool failed : 1;   /* something did not fit; nothing has been added since */
};

/* An empty buffer that holds at most `max` bytes, or BUF_MAX if that is less. Allocates nothing
 * yet. */
void buf_init(struct buf *, size_t max);

/* Frees the memory. The buffer is empty, has no error, and can be used again. */
void buf_clear(struct buf *);

/* The bytes in the buffer; the pointer is valid until the next call that adds. */
static inline uint8_t *
buf_data(const struct buf *b)
{
	return b->mem + b->start;
}

/* The part of buf_room() that is not inline: moves, allocates, or fails. */
uint8_t *buf_more_room_(struct buf *, size_t bytes);

/* Returns room for `bytes` more bytes at the end. The caller writes there, and makes what it has
 * written part of the buffer with buf_grew(). NULL, with `failed` set, if that exceeds the
 * maximum. */
static inline uint8_t *
buf_room(struct buf *b, size_t bytes)
{
	if (!b->failed && bytes <= b->size - b->start - b->len && bytes <= b->max - b->len)
		return b->mem + b->start + b->len;
	return buf_more_room_(b, bytes);
}

void buf_grew(struct buf *, size_t bytes);

/* Adds all the bytes at the end, or none, with `failed` set. */
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

/* Add numbers in network order. */
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
/* Adds the characters and the NUL behind them. */
void buf_add_str(struct buf *, const char *);
/* Adds text by printf(3)'s rules, without a NUL. */
void buf_add_fmt(struct buf *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Adds the text as valid UTF-8 without control characters (see utf8.h); each other byte becomes
 * \xNN. So text from outside can neither break a driver's decoding nor control a terminal. No NUL
 * is added. */
void buf_add_clean(struct buf *, const char *text, size_t bytes);

/* Drops `bytes` bytes (at most all) at the front. Memory is kept, unless the buffer becomes
 * empty. */
void buf_drop(struct buf *, size_t bytes);
/* Drops all bytes, but keeps the memory for the next use. */
void buf_reset(struct buf *);

#endif
