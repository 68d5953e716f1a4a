/* unitname: the prepared statements and portals of a member whose statement is more than an
 * ordinary one to its unit (unitkind.h), or a COPY. What is not there is ordinary. No I/O.
 *
 * A member may send very many messages ahead, of which each gives a name. So nothing here walks
 * over what there is, and portals have their statement's text in common with it. */
#ifndef PGWITH_SCOPE_UNITNAME_H
#define PGWITH_SCOPE_UNITNAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/pack.h"

/* So many messages that give names may be on their way: more than PostgreSQL has unanswered in its
 * buffer of 8 kB, so that it always answers some. */
#define UNITNAME_SENT_MAX 4000

struct unit_names {
	struct hash index; /* by type and name: of what was sent, the last one only */
	struct list order;
	uint64_t seed; /* of the hashes: random, so that no member can make names collide */
};

struct unit_text; /* that several names have in common */

/* A prepared statement or portal that is more than an ordinary one. */
struct unit_name {
	struct hash_node node;
	struct list_node in_order;
	bool indexed;
	char type; /* 'S' or 'P'; 0: of a message that PostgreSQL refuses */
	char *name;
	struct unit_text *shared;
	const char *text; /* of `shared`. NULL, in what was sent only: an ordinary one */
	bool done;        /* of a portal: it has been executed */
};

void unitname_init(struct unit_names *);
/* Frees all of them. */
void unitname_clear(struct unit_names *);

struct unit_name *unitname_find(const struct unit_names *, char type, const char *name);

/* What the server will know by the name when it has taken what was sent. NULL: an ordinary one. */
struct unit_name *unitname_coming(const struct unit_names *, const struct unit_names *sent,
				  char type, const char *name);

/* The name is given to an ordinary statement. */
void unitname_forget(struct unit_names *, char type, const char *name);

/* Notes in `sent` what a Parse, Bind or Close is about to do; other messages do nothing. `flags` of
 * sqltext_init(). The server skips them behind an error, so they count when it has answered: then
 * the first one sent is taken. */
void unitname_send(const struct unit_names *, struct unit_names *sent, char type,
		   const uint8_t *body, size_t bytes, unsigned flags);
void unitname_take(struct unit_names *, struct unit_names *sent);

/* Have so many been sent that the next one must wait for an answer? */
static inline bool
unitname_full(const struct unit_names *sent)
{
	return sent->order.count >= UNITNAME_SENT_MAX;
}

/* The unit has ended, and its portals with it. */
void unitname_forget_portals(struct unit_names *);

/* For the handover. */
void unitname_pack(struct pack *, struct unit_names *);

#endif
