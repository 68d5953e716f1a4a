#include "base/atom.h"

#include <stdlib.h>
#include <string.h>

#include "base/fnv.h"
#include "base/mem.h"

struct atom {
	struct hash_node node;
	uint32_t uses;
	uint32_t bytes;
	char text[];
};

static struct atom *
atom_with(const char *text)
{
	return (struct atom *)(text - offsetof(struct atom, text));
}

void
atoms_init(struct atoms *all, uint64_t seed)
{
	hash_init(&all->all);
	all->seed = seed;
}

void
atoms_clear(struct atoms *all)
{
	struct hash_node *n;

	while ((n = hash_any(&all->all)) != NULL) {
		hash_remove(&all->all, n);
		free(HASH_OBJ(n, struct atom, node));
	}
	hash_clear(&all->all);
}

const char *
atom_get(struct atoms *all, const void *data, size_t bytes)
{
	uint64_t hash = fnv_bytes(all->seed, data, bytes);
	struct atom *a;

	for (struct hash_node *n = hash_first(&all->all, hash); n; n = hash_next(n)) {
		a = HASH_OBJ(n, struct atom, node);
		if (a->bytes == bytes && (bytes == 0 || memcmp(a->text, data, bytes) == 0)) {
			a->uses++;
			return a->text;
		}
	}
	a = mem_calloc(1, sizeof *a + bytes + 1);
	a->uses = 1;
	a->bytes = (uint32_t)bytes;
	if (bytes > 0)
		memcpy(a->text, data, bytes);
	hash_add(&all->all, &a->node, hash);
	return a->text;
}

const char *
atom_of(struct atoms *all, const char *text)
{
	return text ? atom_get(all, text, strlen(text)) : NULL;
}

const char *
atom_keep(const char *text)
{
	if (text)
		atom_with(text)->uses++;
	return text;
}

void
atom_drop(struct atoms *all, const char *text)
{
	struct atom *a;

	if (text == NULL)
		return;
	a = atom_with(text);
	if (--a->uses > 0)
		return;
	hash_remove(&all->all, &a->node);
	free(a);
}

size_t
atom_bytes(const char *text)
{
	return text ? atom_with(text)->bytes : 0;
}

void
atom_pack_str(struct pack *p, struct atoms *all, const char **text)
{
	char *s = (char *)*text;

	pack_str(p, &s);
	if (!pack_reading(p))
		return;
	*text = atom_of(all, s);
	free(s);
}

void
atom_pack_blob(struct pack *p, struct atoms *all, const char **text)
{
	uint8_t *data = (uint8_t *)*text;
	size_t bytes = atom_bytes(*text);

	pack_blob(p, &data, &bytes);
	if (!pack_reading(p))
		return;
	*text = data && bytes > 0 ? atom_get(all, data, bytes) : NULL;
	free(data);
}
