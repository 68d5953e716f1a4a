#include "wire/reader.h"

#include <string.h>

#include "wire/frame.h"

void
reader_init(struct reader *r, const void *data, size_t bytes)
{
	*r = (struct reader){.at = data, .left = bytes};
}

const uint8_t *
reader_bytes(struct reader *r, size_t bytes)
{
	const uint8_t *p = r->at;

	if (r->failed || bytes > r->left) {
		r->failed = true;
		return NULL;
	}
	r->at += bytes;
	r->left -= bytes;
	return p;
}

uint8_t
reader_u8(struct reader *r)
{
	const uint8_t *p = reader_bytes(r, 1);

	return p ? *p : 0;
}

uint16_t
reader_u16(struct reader *r)
{
	const uint8_t *p = reader_bytes(r, 2);

	return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

uint32_t
reader_u32(struct reader *r)
{
	const uint8_t *p = reader_bytes(r, 4);

	return p ? frame_u32(p) : 0;
}

uint64_t
reader_u64(struct reader *r)
{
	uint64_t high = reader_u32(r);

	return high << 32 | reader_u32(r);
}

const char *
reader_str(struct reader *r)
{
	/* An empty body may be NULL, which memchr(3) does not take. */
	bool any = !r->failed && r->left > 0;
	/* Most names are empty. */
	const uint8_t *end = any ? *r->at ? memchr(r->at, 0, r->left) : r->at : NULL;

	if (end == NULL) {
		r->failed = true;
		return "";
	}
	return (const char *)reader_bytes(r, (size_t)(end - r->at) + 1);
}

bool
reader_done(const struct reader *r)
{
	return !r->failed && r->left == 0;
}
