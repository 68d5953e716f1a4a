#include "cli/label.h"

#include <stdlib.h>
#include <string.h>

#include "base/fnv.h"
#include "base/mem.h"

void
labels_init(struct labels *all)
{
	hash_init(&all->all);
}

void
labels_clear(struct labels *all)
{
	struct hash_node *n;

	while ((n = hash_any(&all->all)) != NULL) {
		hash_remove(&all->all, n);
		free(HASH_OBJ(n, struct label, node));
	}
	hash_clear(&all->all);
}

struct label *
label_of(struct labels *all, const char *text, size_t bytes)
{
	uint64_t hash = fnv_bytes(FNV_SEED, text, bytes);
	struct label *l;

	if (bytes == 0)
		return NULL;
	for (struct hash_node *n = hash_first(&all->all, hash); n; n = hash_next(n)) {
		l = HASH_OBJ(n, struct label, node);
		if (strncmp(l->text, text, bytes) == 0 && l->text[bytes] == 0)
			return l;
	}
	l = mem_calloc(1, sizeof *l + bytes + 1);
	memcpy(l->text, text, bytes);
	l->id = all->all.count + 1;
	hash_add(&all->all, &l->node, hash);
	return l;
}
