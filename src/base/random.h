/* random: random numbers that nobody can guess, fetched from the kernel many at a time. */
#ifndef PGWITH_BASE_RANDOM_H
#define PGWITH_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#define RANDOM_STORE 1024 /* bytes */

/* All zero: empty. */
struct random_store {
	size_t left; /* bytes at the beginning of `store` that were not given out yet */
	uint8_t store[RANDOM_STORE];
};

/* Fills in `bytes` bytes, RANDOM_STORE at most. The store forgets what it gives. Ends the program
 * if the kernel has no random numbers. */
void random_fill(struct random_store *, void *to, size_t bytes);

#endif
