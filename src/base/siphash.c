#include "base/siphash.h"

#include <endian.h>
#include <string.h>

struct sip {
	uint64_t v0, v1, v2, v3;
};

/* The number in `bytes` bytes, at most 8, the lowest first. */
static uint64_t
little_endian(const uint8_t *p, size_t bytes)
{
	uint64_t v = 0;

	memcpy(&v, p, bytes);
	return le64toh(v);
}

static uint64_t
rotate(uint64_t v, unsigned bits)
{
	return v << bits | v >> (64 - bits);
}

static inline void
two_rounds(struct sip *s)
{
	for (int i = 0; i < 2; i++) {
		s->v0 += s->v1;
		s->v1 = rotate(s->v1, 13) ^ s->v0;
		s->v0 = rotate(s->v0, 32);
		s->v2 += s->v3;
		s->v3 = rotate(s->v3, 16) ^ s->v2;
		s->v0 += s->v3;
		s->v3 = rotate(s->v3, 21) ^ s->v0;
		s->v2 += s->v1;
		s->v1 = rotate(s->v1, 17) ^ s->v2;
		s->v2 = rotate(s->v2, 32);
	}
}

static void
take(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	two_rounds(s);
	s->v0 ^= word;
}

uint64_t
siphash(const uint8_t key[SIPHASH_KEY], const void *data, size_t bytes)
{
	uint64_t k0 = little_endian(key, 8), k1 = little_endian(key + 8, 8);
	struct sip s = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
			k1 ^ 0x7465646279746573};
	const uint8_t *p = data;
	size_t left = bytes;

	for (; left >= 8; left -= 8, p += 8)
		take(&s, little_endian(p, 8));
	take(&s, little_endian(p, left) | (uint64_t)bytes << 56);
	s.v2 ^= 0xff;
	two_rounds(&s);
	two_rounds(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
