#include "base/hash.h"

#include <stdlib.h>

#include "base/mem.h"

#define HASH_FEW      4 /* nodes that are in one chain */
#define HASH_SMALLEST 8 /* chains of the first allocation */

void
hash_init(struct hash *h)
{
	*h = (struct hash){0};
}

void
hash_clear(struct hash *h)
{
	if (h->size > 0)
		free(h->chains);
	hash_init(h);
}

static struct hash_node **
chain(struct hash *h, uint64_t hash)
{
	return h->size ? &h->chains[(hash ^ hash >> 29) & (h->size - 1)] : &h->few;
}

struct hash_node *
hash_first(const struct hash *h, uint64_t hash)
{
	struct hash_node *n = *chain((struct hash *)h, hash);

	while (n && n->hash != hash)
		n = n->next;
	return n;
}

struct hash_node *
hash_next(const struct hash_node *n)
{
	uint64_t hash = n->hash;

	do
		n = n->next;
	while (n && n->hash != hash);
	return (struct hash_node *)n;
}

static void
grow(struct hash *h)
{
	struct hash old = *h;

	h->size = old.size ? old.size * 2 : HASH_SMALLEST;
	h->chains = mem_calloc(h->size, sizeof *h->chains);
	for (size_t i = 0; i < hash_chains(&old); i++) {
		struct hash_node *n = hash_chain(&old, i);

		while (n) {
			struct hash_node *next = n->next, **c = chain(h, n->hash);

			n->next = *c;
			*c = n;
			n = next;
		}
	}
	if (old.size > 0)
		free(old.chains);
}

void
hash_add(struct hash *h, struct hash_node *n, uint64_t hash)
{
	struct hash_node **c;

	if (h->count >= (h->size ? h->size : HASH_FEW))
		grow(h);
	c = chain(h, hash);
	n->hash = hash;
	n->next = *c;
	*c = n;
	h->count++;
}

void
hash_remove(struct hash *h, struct hash_node *n)
{
	struct hash_node **at = chain(h, n->hash);

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	n->next = NULL;
	h->count--;
}

struct hash_node *
hash_any(const struct hash *h)
{
	for (size_t i = 0; i < hash_chains(h); i++)
		if (hash_chain(h, i))
			return hash_chain(h, i);
	return NULL;
}
