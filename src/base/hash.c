#include "base/hash.h"

#include <stdlib.h>

#include "base/mem.h"

#define HASH_SMALLEST 8 /* chains of the first allocation */

void
hash_init(struct hash *h)
{
	*h = (struct hash){0};
}

void
hash_clear(struct hash *h)
{
	free(h->chains);
	hash_init(h);
}

static struct hash_node **
chain(const struct hash *h, uint64_t hash)
{
	return &h->chains[(hash ^ hash >> 29) & (h->size - 1)];
}

struct hash_node *
hash_first(const struct hash *h, uint64_t hash)
{
	struct hash_node *n = h->size ? *chain(h, hash) : NULL;

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
	for (size_t i = 0; i < old.size; i++) {
		struct hash_node *n = old.chains[i];

		while (n) {
			struct hash_node *next = n->next, **c = chain(h, n->hash);

			n->next = *c;
			*c = n;
			n = next;
		}
	}
	free(old.chains);
}

void
hash_add(struct hash *h, struct hash_node *n, uint64_t hash)
{
	struct hash_node **c;

	if (h->count >= h->size)
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
	for (size_t i = 0; i < h->size; i++)
		if (h->chains[i])
			return h->chains[i];
	return NULL;
}
