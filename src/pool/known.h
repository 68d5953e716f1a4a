/* known: what the servers of a pool have made of startup parameters: which values they take, and
 * what a reported parameter is then. With it a login with parameters that some client has had
 * before needs no server. Bounded: the least recently used are forgotten. No I/O. */
#ifndef PGWITH_POOL_KNOWN_H
#define PGWITH_POOL_KNOWN_H

#include <stddef.h>

#include "base/hash.h"
#include "base/list.h"

struct known {
	struct hash answers;
	struct list recent; /* least recently used first */
	size_t bytes;       /* that they take */
};

void known_init(struct known *);
/* Forgets everything. */
void known_clear(struct known *);

/* The server has taken this value; `result`: what it reports of the parameter then, or "" if it
 * reports nothing of it. */
void known_add(struct known *, const char *name, const char *value, const char *result);

/* The result, valid until the next change; NULL: no server has been seen to take the value. */
const char *known_result(struct known *, const char *name, const char *value);

#endif
