#include "base/idmap.h"

#include <stdlib.h>

#include "base/mem.h"

struct idmap_slot {
	uint64_t id; /* 0: free */
	void *owner;
};

#define IDMAP_SMALLEST 64 /* slots of the first allocation */

void
idmap_init(struct idmap *m)
{
	*m = (struct idmap){0};
}

void
idmap_clear(struct idmap *m)
{
	free(m->slots);
	idmap_init(m);
}

/* The slot where the search for an id begins. Fibonacci hashing puts consecutive ids far apart, so
 * that runs of used slots stay short. */
static size_t
home(const struct idmap *m, uint64_t id)
{
	return (size_t)((id * 0x9e3779b97f4a7c15ull) >> 20) & (m->size - 1);
}

static void
insert_id(struct idmap *m, uint64_t id, void *owner)
{
	size_t i = home(m, id);

	while (m->slots[i].id != 0)
		i = (i + 1) & (m->size - 1);
	m->slots[i] = (struct idmap_slot){id, owner};
}

static void
resize(struct idmap *m, size_t size)
{
	struct idmap_slot *old = m->slots;
	size_t old_size = m->size;

	m->slots = mem_calloc(size, sizeof *m->slots);
	m->size = size;
	for (size_t i = 0; i < old_size; i++)
		if (old[i].id != 0)
			insert_id(m, old[i].id, old[i].owner);
	free(old);
}

static void
count_and_grow(struct idmap *m)
{
	if (m->size == 0)
		resize(m, IDMAP_SMALLEST);
	else if ((m->count + 1) * 4 > m->size * 3)
		resize(m, m->size * 2);
	m->count++;
}

uint64_t
idmap_add(struct idmap *m, void *owner)
{
	count_and_grow(m);
	insert_id(m, ++m->last, owner);
	return m->last;
}

bool
idmap_put(struct idmap *m, uint64_t id, void *owner)
{
	if (id == 0 || id > m->last || idmap_get(m, id))
		return false;
	count_and_grow(m);
	insert_id(m, id, owner);
	return true;
}

static struct idmap_slot *
find_slot(const struct idmap *m, uint64_t id)
{
	if (m->size == 0 || id == 0)
		return NULL;
	for (size_t i = home(m, id); m->slots[i].id != 0; i = (i + 1) & (m->size - 1))
		if (m->slots[i].id == id)
			return &m->slots[i];
	return NULL;
}

void *
idmap_get(const struct idmap *m, uint64_t id)
{
	struct idmap_slot *s = find_slot(m, id);

	return s ? s->owner : NULL;
}

void
idmap_remove(struct idmap *m, uint64_t id)
{
	struct idmap_slot *s = find_slot(m, id);
	size_t hole, i;

	if (s == NULL)
		return;
	m->count--;
	/* A search ends at a free slot. So an id behind the hole whose search begins at the hole or
	 * before it moves into the hole, and leaves a new hole, until the run of used slots
	 * ends. */
	hole = s - m->slots;
	for (i = (hole + 1) & (m->size - 1); m->slots[i].id != 0; i = (i + 1) & (m->size - 1)) {
		size_t h = home(m, m->slots[i].id);

		if (((i - h) & (m->size - 1)) >= ((i - hole) & (m->size - 1))) {
			m->slots[hole] = m->slots[i];
			hole = i;
		}
	}
	m->slots[hole].id = 0;
}
