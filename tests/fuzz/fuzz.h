/* fuzz: what every harness shares. A harness is one function that libFuzzer calls with made-up
 * bytes; linked with replay.c instead, it is a test that replays the checked-in corpus. */
#ifndef PGWITH_FUZZ_FUZZ_H
#define PGWITH_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* libFuzzer's entry; returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that must hold, in every build. */
#define MUST(x)                                                                     \
	do {                                                                        \
		if (!(x)) {                                                         \
			fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #x); \
			abort();                                                    \
		}                                                                   \
	} while (0)

#endif
