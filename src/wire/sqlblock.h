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

/* 16 bytes of a text, and those that stand one, two and three bytes behind each of them. Bit 0x20
 * is set: letters are in lower case, '_' is 0x7f. Behind the text stands 0 or 0x20. */
struct sqlblocks {
	sqlblock a, b, c, d;
};

#define SQLBLOCK_READ (sizeof(sqlblock) + 3) /* bytes of a text that one struct sqlblocks has */

static inline sqlblock
sqlblock_at(const char *p)
{
	sqlblock b;

	memcpy(&b, p, sizeof b);
	return b | 0x20;
}

/* SQLBLOCK_READ bytes of the text at `p` are read. */
static inline struct sqlblocks
sqlblocks_at(const char *p)
{
	return (struct sqlblocks){sqlblock_at(p), sqlblock_at(p + 1), sqlblock_at(p + 2),
				  sqlblock_at(p + 3)};
}

/* The last 16 bytes of a text, which begin at `p`. */
static inline struct sqlblocks
sqlblocks_last(const char *p)
{
#define FROM(n)                                                                              \
	__builtin_shufflevector(a, none, n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7, \
				n + 8, n + 9, n + 10, n + 11, n + 12, n + 13, n + 14, n + 15)
	const sqlblock none = {0}, a = sqlblock_at(p);

	return (struct sqlblocks){a, FROM(1), FROM(2), FROM(3)};
#undef FROM
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

/* Does `begins` find a piece of up to four bytes that begins at one of the bytes of a, anywhere in
 * the text? It must not look for NULs. Inline with `begins` and what `arg` points to, as this is on
 * the way of every text. */
static inline __attribute__((always_inline)) bool
sqlblock_search(const char *text, size_t length, bool (*begins)(struct sqlblocks, void *arg),
		void *arg)
{
	char small[SQLBLOCK_READ] = {0};
	size_t last;

	if (length < SQLBLOCK_READ) {
		memcpy(small, text, length);
		text = small;
		length = sizeof small;
	}
	last = length - sizeof(sqlblock);
	/* The block before the last begins earlier where it would read behind the text. */
	for (size_t i = 0; i < last; i += sizeof(sqlblock))
		if (begins(sqlblocks_at(text + (i < last - 3 ? i : last - 3)), arg))
			return true;
	return begins(sqlblocks_last(text + last), arg);
}

#endif
