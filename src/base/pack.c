#include "base/pack.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define STR_NULL UINT64_MAX

void
pack_writer(struct pack *p, struct buf *out)
{
	*p = (struct pack){.out = out};
}

void
pack_reader(struct pack *p, const void *data, size_t bytes)
{
	*p = (struct pack){.at = data, .left = bytes};
}

void
pack_bytes(struct pack *p, void *data, size_t bytes)
{
	if (p->out) {
		buf_add(p->out, data, bytes);
		return;
	}
	/* With 0 bytes, `data` may be NULL, which memcpy() must not get. */
	if (bytes == 0)
		return;
	if (p->failed || bytes > p->left) {
		p->failed = true;
		memset(data, 0, bytes);
		return;
	}
	memcpy(data, p->at, bytes);
	p->at += bytes;
	p->left -= bytes;
}

void
pack_blob(struct pack *p, uint8_t **data, size_t *bytes)
{
	uint64_t n = *bytes;

	PACK(p, n);
	if (pack_reading(p)) {
		if (n > p->left) {
			p->failed = true;
			n = 0;
		}
		*bytes = (size_t)n;
		*data = n ? mem_alloc((size_t)n) : NULL;
	}
	pack_bytes(p, *data, *bytes);
}

void
pack_str(struct pack *p, char **s)
{
	uint64_t n = !pack_reading(p) && *s ? strlen(*s) : STR_NULL;

	PACK(p, n);
	if (pack_reading(p)) {
		*s = NULL;
		if (n == STR_NULL || p->failed)
			return;
		if (n > p->left) {
			p->failed = true;
			return;
		}
		*s = mem_calloc(1, (size_t)n + 1);
	}
	if (*s)
		pack_bytes(p, *s, (size_t)n);
}

void
pack_buf(struct pack *p, struct buf *b)
{
	uint64_t n = b->len;

	PACK(p, n);
	if (!pack_reading(p)) {
		buf_add(p->out, buf_data(b), b->len);
		return;
	}
	if (p->failed || n > p->left) {
		p->failed = true;
		return;
	}
	buf_add(b, p->at, (size_t)n);
	p->failed = b->failed;
	p->at += n;
	p->left -= (size_t)n;
}

void
pack_mark(struct pack *p, uint32_t mark)
{
	uint32_t seen = mark;

	PACK(p, seen);
	if (seen != mark)
		p->failed = true;
}
