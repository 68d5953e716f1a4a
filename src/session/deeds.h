/* deeds: the LISTENs and UNLISTENs of a text, and what they make of a set of channels. Only
 * spellings that are understood for certain count; see pgwithd(8), Notifications. */
#ifndef PGWITH_SESSION_DEEDS_H
#define PGWITH_SESSION_DEEDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/pack.h"
#include "pool/keeper.h"

struct session;

/* To how many channels the keeper listens for one session, and how many LISTEN and UNLISTEN are
 * kept of a text, or of a transaction. What is beyond that is for the session's own server. */
#define DEEDS_MAX 1000

#define DEEDS_SQL_MAX (1024 * 1024) /* bytes of the LISTENs of a text and of a transaction */

/* One LISTEN or UNLISTEN. */
struct deed {
	enum { LISTEN, UNLISTEN, UNLISTEN_ALL } what;
	char name[KEEPER_NAME + 1]; /* as the server writes it */
	/* Of an UNLISTEN: the name as in the client's text, if the server has to be asked how it
	 * writes that (outcome.h). Until then `name` is "". */
	char *spelled;
};

struct deeds {
	struct deed *list;
	unsigned count;
	/* The text has nothing else, and all is understood for certain. */
	bool only;
};

/* Finds all LISTEN of certain names and all UNLISTEN of a text, and adds these LISTENs to `sql`, as
 * a text of theirs alone. `judged`: a server will judge whether names are right. Otherwise an
 * UNLISTEN of a word is not certain unless the session listens to that, because it may be a
 * reserved word. */
void deeds_read(const struct session *, const char *text, size_t bytes, bool judged, struct deeds *,
		struct buf *sql);

/* Adds one, with an empty name. */
struct deed *deeds_add(struct deeds *, int what);
void deeds_drop(struct deeds *);
/* Has the server to be asked for a name? */
bool deeds_ask(const struct deeds *);

/* A set of names. */
struct deed_name {
	struct hash_node node;
	char name[];
};

struct deed_names {
	struct hash hash; /* struct deed_name */
};

void deed_names_init(struct deed_names *);
void deed_names_clear(struct deed_names *);
void deed_names_add(struct deed_names *, const char *name);
bool deed_names_has(const struct deed_names *, const char *name);
/* What the deed makes of the set. */
void deed_apply(struct deed_names *, const struct deed *);

/* For the handover. */
void deed_pack(struct pack *, struct deed *);
void deeds_pack(struct pack *, struct deeds *);

#endif
