/* siphash: SipHash-2-4 (J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", 2012).
 * Without the key nobody can tell what it gives, whatever else they have seen of it. */
#ifndef PGWITH_BASE_SIPHASH_H
#define PGWITH_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

#define SIPHASH_KEY 16 /* bytes */

uint64_t siphash(const uint8_t key[SIPHASH_KEY], const void *data, size_t bytes);

#endif
