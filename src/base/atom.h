/* atom: texts that many objects have in common, such as the role of a thousand clients. Each text
 * is kept once, and counts who uses it. It never changes. */
#ifndef PGWITH_BASE_ATOM_H
#define PGWITH_BASE_ATOM_H

#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/pack.h"

struct atoms {
	struct hash all;
	uint64_t seed;
};

/* `seed`: a random number, so that nobody can choose texts whose hashes are equal. */
void atoms_init(struct atoms *, uint64_t seed);
/* Frees all texts, whoever still uses them. */
void atoms_clear(struct atoms *);

/* Returns the text with these bytes, which may have NULs among them; a NUL stands behind them. The
 * caller drops it when it is not needed any more. */
const char *atom_get(struct atoms *, const void *data, size_t bytes);
/* The same for a string. NULL gives NULL. */
const char *atom_of(struct atoms *, const char *text);

/* One more user of the text; one less. NULL is nothing. */
const char *atom_keep(const char *);
void atom_drop(struct atoms *, const char *);

/* The bytes that atom_get() was given. */
size_t atom_bytes(const char *);

/* Handover: writes or reads a string, as pack_str() does, or bytes, as pack_blob() does. */
void atom_pack_str(struct pack *, struct atoms *, const char **);
void atom_pack_blob(struct pack *, struct atoms *, const char **);

#endif
