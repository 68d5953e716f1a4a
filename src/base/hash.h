/* hash: an intrusive table of chains. A node is part of the object, which is looked up by a 64-bit
 * hash and compared by the caller. Grows by itself. */
#ifndef PGWITH_BASE_HASH_H
#define PGWITH_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_node {
	struct hash_node *next;
	uint64_t hash;
};

struct hash {
	struct hash_node **chains; /* NULL while empty */
	size_t size;               /* chains, a power of two */
	size_t count;              /* nodes in */
};

#define HASH_OBJ(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))

void hash_init(struct hash *);
/* Frees the chains; the nodes are their owners'. */
void hash_clear(struct hash *);

/* The first node with this hash, and the next one after `n`; NULL if there is none. */
struct hash_node *hash_first(const struct hash *, uint64_t hash);
struct hash_node *hash_next(const struct hash_node *n);

/* Puts a node, which is in no table, in. */
void hash_add(struct hash *, struct hash_node *, uint64_t hash);
/* Takes a node, which is in, out. */
void hash_remove(struct hash *, struct hash_node *);

/* Any node, or NULL: for emptying a table. */
struct hash_node *hash_any(const struct hash *);

#endif
