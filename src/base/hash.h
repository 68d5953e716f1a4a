/* hash: an intrusive hash table. A node is a member of the object. The table finds nodes by a
 * 64-bit hash; the caller compares the objects. It grows as needed. A table of few nodes, as each
 * session may have some, allocates nothing. */
#ifndef PGWITH_BASE_HASH_H
#define PGWITH_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_node {
	struct hash_node *next;
	uint64_t hash;
};

struct hash {
	union {
		struct hash_node *few;     /* the only chain; NULL while empty */
		struct hash_node **chains; /* if there are more */
	};
	uint32_t size;  /* chains, a power of two; 0: only `few` */
	uint32_t count; /* nodes in the table */
};

#define HASH_OBJ(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))

void hash_init(struct hash *);
/* Frees the chains. The nodes belong to their owners. */
void hash_clear(struct hash *);

/* The first node with this hash, and the next one after `n`; NULL if there is none. */
struct hash_node *hash_first(const struct hash *, uint64_t hash);
struct hash_node *hash_next(const struct hash_node *n);

/* Adds a node, which must be in no table. */
void hash_add(struct hash *, struct hash_node *, uint64_t hash);
/* Removes a node, which must be in this table. */
void hash_remove(struct hash *, struct hash_node *);

/* For walks over all nodes: the chains are hash_chain(h, i), for i from 0 to below hash_chains(h).
 * Each goes on by node->next. */
static inline size_t
hash_chains(const struct hash *h)
{
	return h->size ? h->size : 1;
}

static inline struct hash_node *
hash_chain(const struct hash *h, size_t i)
{
	return h->size ? h->chains[i] : h->few;
}

/* Some node, or NULL if the table is empty: for emptying a table. */
struct hash_node *hash_any(const struct hash *);

#endif
