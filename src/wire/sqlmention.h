/* sqlmention: does a text mention state of the backend that restoring parameters does not restore:
 * the last numbers of sequences, the seed of random(), the buffers of temporary tables? Words count
 * inside quotes and strings, too. As sqlclass.h, it errs on the safe side, and cannot see into the
 * user's functions. No I/O. */
#ifndef PGWITH_WIRE_SQLMENTION_H
#define PGWITH_WIRE_SQLMENTION_H

#include <stddef.h>

/* These bits and those of sqlclass() go into one set, so they must not overlap. */
enum {
	SQLMENTION_TEMP_BUFFERS = 1u << 26, /* temp_buffers */
	SQLMENTION_SEED = 1u << 27,         /* setseed(), SET seed, set_config('seed', ...) */
	/* lastval(), currval(), nextval(), setval(); any Unicode escape, as it may hide them */
	SQLMENTION_SEQUENCE = 1u << 28,
};
#define SQLMENTIONS (SQLMENTION_TEMP_BUFFERS | SQLMENTION_SEED | SQLMENTION_SEQUENCE)

unsigned sqlmention(const char *text, size_t length);

#endif
