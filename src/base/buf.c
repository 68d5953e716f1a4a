#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

#define BUF_SMALLEST 256 /* bytes of the first allocation */

void
buf_init(struct buf *b, size_t max)
{
	memset(b, 0, sizeof *b);
	b->max = max < BUF_MAX ? (uint32_t)max : BUF_MAX;
}

void
buf_clear(struct buf *b)
{
	free(b->mem);
	buf_init(b, b->max);
}

uint8_t *
buf_more_room_(struct buf *b, size_t bytes)
{
	size_t size;

	if (b->failed || bytes > b->max - b->len) {
		b->failed = true;
		return NULL;
	}
	if (b->size - b->start - b->len >= bytes)
		return b->mem + b->start + b->len;
	if (b->start > 0) {
		memmove(b->mem, b->mem + b->start, b->len);
		b->start = 0;
	}
	if (b->size - b->len < bytes) {
		size = b->size ? b->size : BUF_SMALLEST;
		while (size < (size_t)b->len + bytes)
			size *= 2;
		b->mem = mem_realloc(b->mem, size);
		b->size = (uint32_t)size;
	}
	return b->mem + b->len;
}

void
buf_grew(struct buf *b, size_t bytes)
{
	assert((size_t)b->start + b->len + bytes <= b->size);
	b->len += bytes;
}

void
buf_add_u64(struct buf *b, uint64_t v)
{
	buf_add_u32(b, v >> 32);
	buf_add_u32(b, v);
}

void
buf_add_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s) + 1);
}

void
buf_add_fmt(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	uint8_t *room;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	/* + 1: vsnprintf() writes a NUL behind the text, which needs room but is not added. */
	room = n < 0 ? NULL : buf_room(b, (size_t)n + 1);
	if (room != NULL) {
		vsnprintf((char *)room, (size_t)n + 1, fmt, again);
		b->len += n;
	}
	va_end(again);
}

void
buf_add_clean(struct buf *b, const char *text, size_t bytes)
{
	size_t at = 0, good = 0; /* bytes from `good` to `at` can be added as they are */

	while (at < bytes) {
		uint32_t c;
		unsigned length = utf8_read(text + at, bytes - at, &c);

		if (length > 0 && !utf8_is_control(c)) {
			at += length;
			continue;
		}
		buf_add(b, text + good, at - good);
		if (length == 0)
			length = 1;
		for (; length > 0; length--, at++)
			buf_add_fmt(b, "\\x%02x", (uint8_t)text[at]);
		good = at;
	}
	buf_add(b, text + good, bytes - good);
}

void
buf_drop(struct buf *b, size_t bytes)
{
	assert(bytes <= b->len);
	b->start += bytes;
	b->len -= bytes;
	if (b->len == 0) {
		free(b->mem);
		b->mem = NULL;
		b->size = 0;
		b->start = 0;
	}
}

void
buf_reset(struct buf *b)
{
	b->start = 0;
	b->len = 0;
	b->failed = false;
}
