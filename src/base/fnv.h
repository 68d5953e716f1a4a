/* fnv: a hash of bytes, FNV-1a (draft-eastlake-fnv). Begins with FNV_SEED; to hash several parts,
 * the result for one is the seed for the next. An attacker can choose keys that collide: a caller
 * must either bound the number of keys or begin with a secret seed. */
#ifndef PGWITH_BASE_FNV_H
#define PGWITH_BASE_FNV_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FNV_SEED UINT64_C(0xcbf29ce484222325)

static inline uint64_t
fnv_bytes(uint64_t seed, const void *data, size_t bytes)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < bytes; i++)
		seed = (seed ^ p[i]) * UINT64_C(0x100000001b3);
	return seed;
}

/* Another hash, for what is long: the same steps over words of eight bytes. Each word's upper bits
 * are folded onto the lower ones, which the multiplication leaves alone. */
static inline uint64_t
fnv_words(uint64_t seed, const void *data, size_t bytes)
{
	const unsigned char *p = data;
	uint64_t word;

	seed += bytes;
	for (; bytes >= sizeof word; p += sizeof word, bytes -= sizeof word) {
		memcpy(&word, p, sizeof word);
		seed = (seed ^ word) * UINT64_C(0x100000001b3);
		seed ^= seed >> 29;
	}
	word = 0;
	memcpy(&word, p, bytes);
	seed = (seed ^ word) * UINT64_C(0x100000001b3);
	return seed ^ seed >> 29;
}

#endif
