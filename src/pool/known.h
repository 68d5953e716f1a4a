/* known: which values of startup parameters the servers of a pool have taken, and what they then
 * report of each parameter. So a login needs no server if some client has had the same parameters
 * before. The number is bounded: the least recently used ones are forgotten. No I/O. */
#ifndef PGWITH_POOL_KNOWN_H
#define PGWITH_POOL_KNOWN_H

#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"

struct known {
	struct hash answers;
	struct list recent; /* least recently used first */
	size_t bytes;       /* memory that they take */
	/* Another number, of those that `versions` counts, whenever something that was known is so
	 * no more. */
	uint64_t version, *versions;
};

/* `versions`: a counter for all pools, so that no two ever have the same version. */
void known_init(struct known *, uint64_t *versions);
/* Forgets everything. */
void known_clear(struct known *);

/* Notes that a server has taken this value. `result`: what it then reports of the parameter; "" if
 * it reports nothing. */
void known_add(struct known *, const char *name, const char *value, const char *result);

/* What a server reports after it has taken this value; valid until the next change. NULL: no server
 * has been seen to take the value. */
const char *known_result(struct known *, const char *name, const char *value);

#endif
