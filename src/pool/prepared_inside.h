/* prepared_inside: what prepared.c, prepared_names.c, prepared_set.c and prepared_pack.c share.
 * Nobody else includes it. */
#ifndef PGWITH_POOL_PREPARED_INSIDE_H
#define PGWITH_POOL_PREPARED_INSIDE_H

#include "pool/once.h"
#include "pool/prepared.h"

/* A name of a session. */
struct named {
	struct hash_node node;
	/* without a description until its first Parse has been answered */
	struct analysis *analysis;
	struct analysis *elsewhere; /* the same in another database, by a scope; or NULL */
	uint64_t origin;            /* number of its own Parse; 0: that was put off */
	/* number of the answer to that: statements that were sent before it are not used for this
	 * name */
	uint64_t since;
	uint64_t used;   /* names.uses when it was last bound or described */
	uint32_t asking; /* Describes of ours under way for it */
	uint32_t number; /* for prepared_pack: its place among the names of its session */
	unsigned effects;
	bool renewing;  /* one of these Describes tells whether its result has changed: uses wait */
	bool changed;   /* its result has changed: the next use is told so */
	uint8_t length; /* at most PREPARED_NAME_BYTES */
	char name[];
};

#define PREPARED_NAME 32 /* size of a name that we give a statement on a server */

/* A statement that a server has. */
struct prepared {
	struct hash_node node; /* in `have`, by the analysis's address */
	struct list_node recent;
	struct analysis *analysis; /* NULL: of no use any more */
	uint64_t number;           /* number in its name */
	char name[PREPARED_NAME];  /* "": not made of the number yet; see prepared_server_name() */
	uint64_t made;             /* number of its Parse among those of all servers */
	int64_t made_us;           /* when that was; 0: not known */
	uint64_t lease;            /* prepared_set.leases when it was used last */
	bool unwritten;            /* prepared_note_unwritten() */
	uint64_t of_tables;        /* sqlcolumn.h: the result columns that are those of tables */
	bool columns;              /* once.h: so each t.name in the text is a column */
	/* Parse and Describe that are not answered yet: until then it cannot be closed */
	uint32_t under_way;
	uint64_t syncs; /* progress.syncs when they were sent */
};

/* A message under way, and how to take back what it has changed. */
struct pending {
	struct tracked tracked;
	struct prepared_set *set;
	struct names *names;   /* NULL: no session is concerned, or it has left */
	struct named *added;   /* the name that it made */
	struct named *removed; /* the name that it closed, kept until the outcome is known */
	/* the statement that it made on the server; NULL if that has gone again */
	struct prepared *made;
	bool evicted;            /* it closes a statement of the server's */
	bool describes;          /* it is the Describe behind the Parse of `made` */
	bool alone;              /* the same, and that Parse is followed by unnamed.h */
	bool renews;             /* the statement had been described before */
	bool shareable;          /* other sessions may use the statement */
	struct named *about;     /* of a Describe: whose statement; NULL: that name has gone */
	uint64_t place;          /* of a Describe: the database */
	struct description *got; /* of a Describe: the answer so far */
};

/* ---- prepared_names.c ---- */

#define PREPARED_NAME_BYTES 63 /* PostgreSQL ignores the rest of a name (NAMEDATALEN) */

size_t named_clip(size_t length);
struct named *named_find(const struct names *, const char *name, size_t length);
void named_put_in(struct names *, struct named *);
void named_take_out(struct names *, struct named *);
/* The name's analysis in that database. */
struct analysis **named_analysis(struct names *, struct named *, uint64_t place);
/* The session's name (NUL-ended) for a statement of this analysis: the one used last. NULL: there
 * is none. */
const char *names_using(const struct names *, const struct analysis *);
bool named_is(const struct named *, const char *name, size_t length);

/* ---- prepared.c ---- */

/* The name of the statement on the server. Each Bind needs it, so it is made once. */
const char *prepared_server_name(struct prepared *);
void prepared_add_parse(const char *name, const uint8_t *body, size_t bytes, struct buf *out);
void prepared_add_describe(const char *name, struct buf *out);
/* Makes room for one more statement. */
void prepared_make_room(struct prepared_set *, struct progress *, unsigned max, struct buf *out);
/* Closes the statements that are of no use any more. */
void prepared_close_retired(struct prepared_set *, struct progress *, struct buf *out);

/* ---- prepared_set.c ---- */

/* Adds a statement that the server has now, with a new number in its name; takes a reference to the
 * analysis (NULL: the statement is of no use any more). */
struct prepared *prepared_add(struct prepared_set *, struct analysis *, uint64_t made);
void prepared_remove(struct prepared_set *, struct prepared *);
struct prepared *prepared_find(const struct prepared_set *, const struct analysis *);
struct prepared *prepared_by_number(const struct prepared_set *, uint64_t number);
/* It is used: of all, it is the one that was used last. */
void prepared_touch(struct prepared_set *, struct prepared *);
/* Marks it as of no use: it is closed with the next message. */
void prepared_retire(struct prepared_set *, struct prepared *);
/* Does that with one that PostgreSQL has refused to use in place of a Parse (once.h). */
void prepared_retire_refused(struct prepared_set *);

struct pending *prepared_pend(struct prepared_set *, const struct progress *);
/* The pending message of a tracked one; NULL if it is of another kind. */
struct pending *pending_of(struct list_node *);
void prepared_pending_end(struct tracked *, enum progress_end);
void prepared_pending_described(struct tracked *, char type, const uint8_t *body, size_t bytes);

#endif
