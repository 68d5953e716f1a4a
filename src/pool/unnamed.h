/* unnamed: a session's unnamed prepared statement, which it may bind in a later lease, on another
 * server. As in prepared.h, everything takes effect when it is sent, and is taken back if the
 * server skips it. A statement that has been described is prepared on another server with the types
 * of that description, and its result must be the same. No I/O. */
#ifndef PGWITH_POOL_UNNAMED_H
#define PGWITH_POOL_UNNAMED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/pack.h"
#include "pool/analysis.h"
#include "pool/progress.h"
#include "pool/tracked.h"

struct unnamed_text;
struct unnamed_parse;

struct unnamed {
	struct unnamed_text *text; /* NULL: there is none. It may lack the text itself */
	/* the held server has this statement (or, like the session, none), and not another
	 * session's */
	bool here;
	/* the server is asked whether its result has changed: uses wait */
	bool renewing;
	bool changed; /* its result has changed: the next use is told so */
	/* its text was not kept, and no Bind has come yet: the session has to keep the server */
	bool waits;
	struct unnamed_parse *last;    /* the last Parse that is under way */
	struct description *described; /* how it was described to the client; NULL: not known */
	uint64_t changes;              /* number of Parses and Closes so far */
};

/* Of a session that has none there may be no struct unnamed either. Where a pointer to a const one
 * is expected, and in unnamed_need(), unnamed_bound(), unnamed_note_uncached() and
 * unnamed_forget(), NULL stands for that. */

/* Returns the structure, and makes it if there is none: for the functions that change it. */
struct unnamed *unnamed_make(struct unnamed **);
/* Frees the structure, if it has nothing to say and no message about it is under way. The session
 * holds no server. */
void unnamed_drop(struct unnamed **);

static inline bool
unnamed_is_here(const struct unnamed *u)
{
	return u && u->here;
}

/* The server may have another one. */
static inline void
unnamed_not_here(struct unnamed *u)
{
	if (u)
		u->here = false;
}

/* The session has got a server. */
void unnamed_begin_lease(struct unnamed *);

/* The client's Parse of it is sent to the server unchanged; progress is told. `have` of the body's
 * `bytes` have come: if that is not all, only its effects are kept, and the statement lasts only as
 * long as the lease. */
void unnamed_parse(struct unnamed *, struct tracked_list *, struct progress *, const uint8_t *body,
		   size_t have, size_t bytes, unsigned effects);

/* Is this the body of the last Parse, all of which was kept? */
bool unnamed_is_same(const struct unnamed *, const uint8_t *body, size_t bytes);
/* The same Parse is sent again; progress is told. */
void unnamed_again(struct unnamed *, struct tracked_list *, struct progress *);

/* The client's Parse of it, all of which is here, is not sent as it is: the statement of this
 * number stands in for the server's unnamed one (once.h). `body` is NULL if the text is the one
 * that it has. `flags` of progress_sent_as() say what was sent instead; progress is told. `d`: how
 * the statement is described, or NULL. */
void unnamed_stand_in(struct unnamed *, struct tracked_list *, struct progress *,
		      const uint8_t *body, size_t bytes, unsigned flags, uint64_t number,
		      struct description *d);

/* No statement will ever stand in for the text (once.h), so quick.h may pass it; `infers`: not even
 * with statement_cache = on. */
void unnamed_note_uncached(struct unnamed *, bool infers);
bool unnamed_is_uncached(const struct unnamed *, bool infers);

/* After unnamed_stand_in(): its text is inert, and has that hash (text.inert, text_hash_body()). */
void unnamed_note_inert(struct unnamed *, uint64_t hash);
/* Has it this text, of which that was noted? Gives the hash. */
bool unnamed_is_inert(const struct unnamed *, const uint8_t *body, size_t bytes, uint64_t *hash);

/* The client's Close of it is sent; progress is told. */
void unnamed_close(struct unnamed *, struct tracked_list *, struct progress *);

/* What to do with the next message that uses it. `out` is not used if the server has it already
 * (`here`). */
enum unnamed_use {
	UNNAMED_READY, /* send it: what the server needs for it has been added */
	UNNAMED_WAIT,  /* wait for an answer to what has been added */
	/* its result is another now: as PREPARED_CHANGED, but nothing has been added */
	UNNAMED_CHANGED
};
enum unnamed_use unnamed_need(struct unnamed *, struct tracked_list *, struct progress *,
			      struct buf *out);

/* Adds a Describe behind its Parse, for ourselves. */
void unnamed_ask(struct unnamed *, struct tracked_list *, struct progress *, struct buf *out);

/* The client's Describe of it is sent unchanged to the server, which has it; progress is told. */
void unnamed_describe(struct unnamed *, struct tracked_list *, struct progress *);

/* A Bind of it is sent. */
void unnamed_bound(struct unnamed *);

/* Were `effects` given to unnamed_parse()? */
bool unnamed_has_effects(const struct unnamed *);
/* The `effects` that were given to unnamed_parse(), and its text, "" if that was not kept; 0 and ""
 * if there is no statement. */
unsigned unnamed_effects(const struct unnamed *, const char **sql, size_t *bytes);

/* Is there a statement, of which the text was kept? It may be an empty one. */
bool unnamed_has_text(const struct unnamed *);

/* Is the answer to a Parse before the last Sync still to come? */
bool unnamed_in_doubt(const struct unnamed *, const struct tracked_list *, const struct progress *);

/* It does not exist any more, because of a simple Query or the end of the session. `all`: of the
 * server that the session holds, or NULL. */
void unnamed_forget(struct unnamed *, struct tracked_list *all);

/* Handover, without messages under way. */
void unnamed_pack(struct pack *, struct unnamed *);
/* Hands over one message under way, of the session that holds the server (NULL: nobody does).
 * Reading: `t` is NULL; returns what was read, so far the last message of that session, for the
 * caller to put into the list. */
struct tracked *unnamed_tracked_pack(struct pack *, struct tracked *t, struct tracked_list *,
				     struct unnamed *);

#endif
