/* analysis: what PostgreSQL made of a text at a Parse: the types of its parameters and the columns
 * of its result, which are fixed from then on (15 source, plancache.c: a plan that has become
 * invalid is analysed anew with the same types, and another result is refused).
 *
 * What an analysis depends on:
 * - the text and the types that the Parse declared, and the database;
 * - the parameters and the role in force. search_path and role are looked at by PostgreSQL again at
 *   each use, and the plan is made anew if they have changed; but constants are taken from literals
 *   at the Parse, with the DateStyle, TimeZone ... of then;
 * - the schema as it was, temporary objects and what the transaction itself has made among it.
 *
 * Analyses that were described alike, of one text in one context, are one and the same here, and
 * whoever has it may use the same statement of a server. An analysis of which it is not sure what
 * it depends on is never found by others. */
#ifndef PGWITH_POOL_ANALYSIS_H
#define PGWITH_POOL_ANALYSIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/pack.h"

#define STATEMENTS_SEEN 4096 /* texts that are remembered by their hash; a power of two */

/* All texts and analyses of the daemon. */
struct statements {
	struct hash texts;
	struct hash analyses; /* analyses that can be shared */
	struct list every;    /* every analysis */
	size_t bytes;         /* memory that the texts take */
	uint64_t tick; /* grows with each Parse that is sent to a server, and with each answer */
	/* once.h: the tick when a session had last defined something; hashes of texts that came */
	uint64_t defined;
	uint64_t seen[STATEMENTS_SEEN];
};
void statements_init(struct statements *);
void statements_clear(struct statements *);

/* The body of a Parse without its name, and its context: the parameters of the session, "" if they
 * are the server's own. */
struct text {
	struct hash_node node;
	unsigned refs;
	uint32_t number; /* for prepared_pack: its place among all texts */
	/* its meaning depends, or may depend, on parameters that PostgreSQL reads only at the
	 * Parse: it has literals, or bytes whose meaning depends on the encoding */
	bool settings;
	/* once.h: SQLONCE_... of the text, if `judged`; how often it was prepared since a Parse of
	 * it was last answered without a server */
	bool judged;
	uint8_t once;
	uint16_t vain;
	bool loose; /* the Parse does not fix its result: see text_is_loose() */
	/* It is a well-formed Parse, and known to do nothing to the session and to its server,
	 * whatever has been set: it need not be read again. */
	bool inert;
	uint8_t command; /* enum sqlcommand, for people */
	size_t body_bytes;
	size_t bytes; /* of the body and the context */
	/* the analysis of it that was shared last and still exists; or NULL */
	struct analysis *latest;
	uint8_t data[];
};

/* text_get(): the text, made if it is new, with one more reference. text_find(): the text, or NULL,
 * without one. text_put(): drops one. */
struct text *text_get(struct statements *, const uint8_t *body, size_t bytes, const char *context);
struct text *text_find(const struct statements *, const uint8_t *body, size_t bytes,
		       const char *context);
/* The same with their hash: text_hash() of the body's hash, which text_hash_body() gives. */
struct text *text_find_hashed(const struct statements *, const uint8_t *body, size_t bytes,
			      const char *context, uint64_t hash);
uint64_t text_hash_body(const uint8_t *body, size_t bytes);
uint64_t text_hash(uint64_t of_body, const char *context);
void text_put(struct statements *, struct text *);
/* Is it a text whose result its Parse does not fix? PostgreSQL looks only at execution at what
 * FETCH and EXECUTE give. */
bool text_is_loose(const char *sql, size_t bytes);
/* Is this the context of the text? */
bool text_has_context(const struct text *, const char *context);

/* The answer to a Describe of a statement, as far as it is fixed. */
struct description {
	unsigned refs;
	uint64_t columns; /* a hash of their names, types and modifiers */
	bool complete;    /* the columns are known, too */
	uint16_t ntypes;
	uint32_t types[];
};

/* Takes an answer: ParameterDescription ('t') makes *d; RowDescription ('T') or NoData ('n')
 * completes it. `body` may be NULL: not known. */
void description_take(struct description **d, char type, const uint8_t *body, size_t bytes);
struct description *description_ref(struct description *);
void description_put(struct description *); /* NULL is nothing */
/* Are both known, and the same? */
bool description_equal(const struct description *, const struct description *);

/* Handover; *d may be NULL. Reading: with one reference. */
void description_pack(struct pack *, struct description **);

struct analysis {
	struct hash_node node; /* used if it is shared */
	struct list_node every;
	unsigned refs;
	uint32_t number; /* prepared_pack */
	struct text *text;
	uint64_t place;                  /* the database: a number that the caller chooses */
	struct description *description; /* NULL: not known yet */
	bool shared;
};

/* A new analysis, not shared, with one reference. Takes over the caller's reference to the text;
 * `d` (NULL: not known) gets one more. */
struct analysis *analysis_new(struct statements *, struct text *, uint64_t place,
			      struct description *d);
/* The shared analysis of these, made if there is none, with one more reference. */
struct analysis *analysis_share(struct statements *, struct text *, uint64_t place,
				struct description *d);
struct analysis *analysis_ref(struct analysis *);
void analysis_put(struct statements *, struct analysis *); /* NULL is nothing */

#endif
