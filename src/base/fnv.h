/* fnv: a hash of bytes, FNV-1a (draft-eastlake-fnv), to go on with from `seed`; FNV_SEED to begin.
 * Not for keys that an enemy chooses to collide without bound: chains are bounded by the callers'
 * limits. */
#ifndef PGWITH_BASE_FNV_H
#define PGWITH_BASE_FNV_H

#include <stddef.h>
#include <stdint.h>

#define FNV_SEED UINT64_C(0xcbf29ce484222325)

static inline uint64_t
fnv_bytes(uint64_t seed, const void *data, size_t bytes)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < bytes; i++)
		seed = (seed ^ p[i]) * UINT64_C(0x100000001b3);
	return seed;
}

#endif
