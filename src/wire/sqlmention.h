/* sqlmention: words in a text, in quotes and strings too, that say that it has to do with what no
 * pool can keep apart by parameters: the numbers of sequences, the seed of random(), the buffers of
 * temporary tables. A guess on the safe side, as sqlclass.h; names of functions that do it inside
 * are not seen. No I/O. */
#ifndef PGWITH_WIRE_SQLMENTION_H
#define PGWITH_WIRE_SQLMENTION_H

#include <stddef.h>

/* Bits that stand beside those of sqlclass() in one set. */
enum {
	SQLMENTION_TEMP_BUFFERS = 1u << 26, /* temp_buffers */
	SQLMENTION_SEED = 1u << 27,         /* setseed(), SET seed, set_config('seed', ...) */
	/* lastval(), currval(), nextval(), setval(); any Unicode escape, behind which they could be
	 */
	SQLMENTION_SEQUENCE = 1u << 28,
};
#define SQLMENTIONS (SQLMENTION_TEMP_BUFFERS | SQLMENTION_SEED | SQLMENTION_SEQUENCE)

unsigned sqlmention(const char *text, size_t length);

#endif
