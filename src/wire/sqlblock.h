/* sqlblock: a quick look at a text, 16 bytes at a time, for pieces of the words that a module asks
 * for. Most texts have none, and need not be split into tokens, which is expensive. */
#ifndef PGWITH_WIRE_SQLBLOCK_H
#define PGWITH_WIRE_SQLBLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

typedef uint8_t sqlblock __attribute__((vector_size(16)));

/* Bytes that a function of sqlblock_search() may read: 16, and 3 behind them. */
#define SQLBLOCK_READ (sizeof(sqlblock) + 3)

/* 16 bytes with bit 0x20 set: letters in lower case, '_' as 0x7f. */
static inline sqlblock
sqlblock_at(const char *p)
{
	sqlblock b;

	memcpy(&b, p, sizeof b);
	return b | 0x20;
}

/* Is any byte of it not 0? Of a comparison: each byte is 0 or 0xff. */
static inline bool
sqlblock_any(sqlblock b)
{
#ifdef __SSE2__
	return _mm_movemask_epi8((__m128i)b) != 0;
#else
	uint64_t halves[2];

	memcpy(halves, &b, sizeof halves);
	return (halves[0] | halves[1]) != 0;
#endif
}

/* Does `begins` find a piece that begins at one of the 16 bytes at `p`, anywhere in the text? It
 * gets `with`, and must not look for NULs: some stand behind the text. Inline with `begins` and
 * `with`, as this is on the way of every text. */
static inline __attribute__((always_inline)) bool
sqlblock_search(const char *text, size_t length, bool (*begins)(const char *p, unsigned with),
		unsigned with)
{
	char tail[SQLBLOCK_READ] = {0};
	size_t i = 0;

	for (; length - i >= SQLBLOCK_READ; i += sizeof(sqlblock))
		if (begins(text + i, with))
			return true;
	memcpy(tail, text + i, length - i);
	return begins(tail, with);
}

#endif
