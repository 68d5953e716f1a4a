/* prepared_inside: what prepared.c, prepared_names.c, prepared_set.c and prepared_pack.c share, and
 * nobody else looks at. */
#ifndef PGWITH_POOL_PREPARED_INSIDE_H
#define PGWITH_POOL_PREPARED_INSIDE_H

#include "pool/prepared.h"

/* A name of a session. */
struct named {
	struct hash_node node;
	struct analysis *analysis; /* not known yet while its first Parse is under way or put off */
	struct analysis *elsewhere; /* the same in another database, by a scope; or NULL */
	uint64_t origin;            /* number of its own Parse; 0: that was put off */
	uint64_t since;  /* when that was answered: what was sent before is none of its */
	uint32_t asking; /* Describes of ours under way that are about it */
	uint64_t used;   /* names.uses when it was last bound or described */
	bool renewing;   /* one of them is to tell whether it is still the same: it waits */
	bool changed;    /* it was not: the next use is told */
	uint32_t number; /* prepared_pack: its place among those of its session */
	unsigned effects;
	size_t length;
	char name[];
};

/* A statement that a server has. */
struct prepared {
	struct hash_node node; /* by the analysis's address */
	struct list_node recent;
	struct analysis *analysis; /* NULL: of no use any more */
	uint64_t number;           /* in its name */
	uint64_t made;             /* number of its Parse among all */
	uint32_t under_way;        /* Parse and Describe not yet answered: it cannot be put out */
	uint64_t syncs;            /* progress.syncs when they went */
};

/* A tracked message: how to take it back. */
struct pending {
	struct tracked tracked;
	struct prepared_set *set;
	struct names *names;     /* NULL: the session has left, or none is concerned */
	struct named *added;     /* this name came in */
	struct named *removed;   /* this one went, and is kept here until it is sure */
	struct prepared *made;   /* this statement came to the server; NULL: it has gone again */
	bool evicted;            /* one that the server had was closed */
	bool describes;          /* it is the Describe behind the Parse of `made` */
	bool renews;             /* of a statement that is known already */
	bool shareable;          /* others may have it, too */
	struct named *about;     /* describes: whose statement; NULL: its name has gone */
	uint64_t place;          /* describes */
	struct description *got; /* describes: so far */
};

/* ---- prepared_names.c ---- */

#define PREPARED_NAME_BYTES 63 /* PostgreSQL looks at no more of a name (NAMEDATALEN) */

size_t named_clip(size_t length);
struct named *named_find(const struct names *, const char *name, size_t length);
void named_put_in(struct names *, struct named *);
void named_take_out(struct names *, struct named *);
/* Its analysis in that database. */
struct analysis **named_analysis(struct names *, struct named *, uint64_t place);
/* The name, NUL-ended, of a statement with this analysis: the one used last. NULL: there is none.
 */
const char *names_using(const struct names *, const struct analysis *);
bool named_is(const struct named *, const char *name, size_t length);

/* ---- prepared_set.c ---- */

/* The server has it, and takes a reference (NULL: it is of no use any more); its name's number is
 * the next one. */
struct prepared *prepared_add(struct prepared_set *, struct analysis *, uint64_t made);
void prepared_remove(struct prepared_set *, struct prepared *);
struct prepared *prepared_find(const struct prepared_set *, const struct analysis *);
struct prepared *prepared_by_number(const struct prepared_set *, uint64_t number);
/* It is of no use any more: closed with the next message. */
void prepared_retire(struct prepared_set *, struct prepared *);

struct pending *prepared_pend(struct prepared_set *, const struct progress *);
/* NULL if it is not one of these. */
struct pending *pending_of(struct list_node *);
void prepared_pending_end(struct tracked *, enum progress_end);
void prepared_pending_described(struct tracked *, char type, const uint8_t *body, size_t bytes);

#endif
