/* idmap: 64-bit ids for objects that wait for an answer (a query, a timer, a thread). The answer
 * carries the id and looks the object up by it. Ids are never used twice, so a late answer finds
 * nothing if the object is gone. */
#ifndef PGWITH_BASE_IDMAP_H
#define PGWITH_BASE_IDMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct idmap {
	struct idmap_slot *slots; /* open addressing, linear probing; NULL while empty */
	size_t size;              /* slots, a power of two */
	size_t count;             /* ids in the map */
	uint64_t last;            /* the id that was given last; the first one is 1 */
};

void idmap_init(struct idmap *);
void idmap_clear(struct idmap *);

/* Adds `owner` (not NULL; the map does not free it) and returns its new id, which is never 0. */
uint64_t idmap_add(struct idmap *, void *owner);

/* Adds an owner with the id that another process has given it; idmap->last must be set to the last
 * one given there. Returns false if the id is in the map already, or larger than that. */
bool idmap_put(struct idmap *, uint64_t id, void *owner);

/* The owner, or NULL if the id is not in the map. */
void *idmap_get(const struct idmap *, uint64_t id);

/* Removes the id. Does nothing if it is not in the map. */
void idmap_remove(struct idmap *, uint64_t id);

#endif
