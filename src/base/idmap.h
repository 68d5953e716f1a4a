/* idmap: 64-bit ids for what crosses an asynchronous gap. Ids are never used twice; a late answer
 * looks its owner up and finds nothing if the owner is gone. */
#ifndef PGWITH_BASE_IDMAP_H
#define PGWITH_BASE_IDMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct idmap {
	struct idmap_slot *slots; /* open addressing, linear probing; NULL while empty */
	size_t size;              /* slots, a power of two */
	size_t count;             /* ids in */
	uint64_t last;            /* id given last; the first one is 1 */
};

void idmap_init(struct idmap *);
void idmap_clear(struct idmap *);

/* Gives `owner` (not NULL, not taken over) a fresh id, which is never 0. */
uint64_t idmap_add(struct idmap *, void *owner);

/* Puts an owner in under the id that another process has given it, at most idmap->last. Returns
 * false if it is in already, or was never given. */
bool idmap_put(struct idmap *, uint64_t id, void *owner);

/* The owner, or NULL if the id is not in. */
void *idmap_get(const struct idmap *, uint64_t id);

/* Takes the id out; nothing happens if it is not in. */
void idmap_remove(struct idmap *, uint64_t id);

#endif
