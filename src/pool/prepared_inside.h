/* prepared_inside: what prepared.c and prepared_pack.c share, and nobody else looks at. */
#ifndef PGWITH_POOL_PREPARED_INSIDE_H
#define PGWITH_POOL_PREPARED_INSIDE_H

#include "pool/prepared.h"

/* One text: the body of a Parse behind its name, and the context. */
struct text {
	struct hash_node node;
	unsigned refs;
	uint32_t number; /* prepared_pack: its place among all */
	size_t body_bytes;
	size_t bytes; /* with the context */
	uint8_t data[];
};

/* A name of a session. */
struct named {
	struct hash_node node;
	struct text *text;
	uint32_t number; /* prepared_pack: its place among those of its session */
	unsigned effects;
	size_t length;
	char name[];
};

/* A text that a server has. */
struct prepared {
	struct hash_node node; /* by the text's address */
	struct list_node recent;
	struct text *text;
	uint64_t number;
	bool pending;   /* its Parse is under way: it cannot be put out */
	uint64_t syncs; /* progress.syncs when that went */
};

/* A tracked message: how to take it back. */
struct pending {
	struct tracked tracked;
	struct prepared_set *set;
	struct names *names;   /* NULL: the session has left, or none is concerned */
	struct named *added;   /* this name came in */
	struct named *removed; /* this one went, and is kept here until it is sure */
	struct prepared *made; /* this text came to the server */
	bool evicted;          /* one that the server had was closed */
};

/* The text, with one more reference; and one less. */
struct text *text_get(struct statements *, const uint8_t *body, size_t bytes, const char *context);
void text_put(struct statements *, struct text *);

void named_put_in(struct names *, struct named *);

/* The server has it, and takes a reference; its number is the next one. */
struct prepared *prepared_add(struct prepared_set *, struct text *);

/* NULL if it is not one of these. */
struct pending *pending_of(struct list_node *);
void prepared_pending_end(struct tracked *, enum progress_end);

#endif
