/* unnamed: a session's unnamed prepared statement, which it may bind in a later lease, on another
 * server. As in prepared.h, everything takes effect when it is sent and is taken back if the server
 * skips it; and a statement that is known by a Describe is prepared on another server with
 * the types that it was told of, and has to be what it was. No I/O. */
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
	struct unnamed_text *text; /* NULL: there is none */
	bool here; /* the server that is held has it (or has none either), not another session's */
	bool renewing;                 /* it is asked whether it is what it was: its use waits */
	bool changed;                  /* it was not: the next use is told */
	struct unnamed_parse *last;    /* the last one that is under way */
	struct description *described; /* what the client was told of it; NULL: it is not known */
	uint64_t changes;              /* Parses and Closes, ever */
};

/* The client's Parse of it goes to the server as it is; progress is told. `have` of the body's
 * `bytes` are here: if that is not all, the statement lasts no longer than the lease. */
void unnamed_parse(struct unnamed *, struct tracked_list *, struct progress *, const uint8_t *body,
		   size_t have, size_t bytes, unsigned effects);

/* Is this the body of the last one, all of which was here? */
bool unnamed_is_same(const struct unnamed *, const uint8_t *body, size_t bytes);
/* The same Parse again: goes to the server; progress is told. */
void unnamed_again(struct unnamed *, struct tracked_list *, struct progress *);

/* The same of a Close of it. */
void unnamed_close(struct unnamed *, struct tracked_list *, struct progress *);

/* What the next message, which uses it, has to do. `out` is not looked at if it is here. */
enum unnamed_use {
	UNNAMED_READY,  /* it goes on: what the server needs for it has been added */
	UNNAMED_WAIT,   /* an answer to what has been added comes first */
	UNNAMED_CHANGED /* the result is another now: as PREPARED_CHANGED, but nothing is added */
};
enum unnamed_use unnamed_need(struct unnamed *, struct tracked_list *, struct progress *,
			      struct buf *out);

/* Behind its Parse: asks what it is, for ourselves. */
void unnamed_ask(struct unnamed *, struct tracked_list *, struct progress *, struct buf *out);

/* The client's Describe of it goes to the server, which has it, as it is; progress is told. */
void unnamed_describe(struct unnamed *, struct tracked_list *, struct progress *);

/* Was anything given to unnamed_parse() for its effects? */
bool unnamed_has_effects(const struct unnamed *);
/* What was given to unnamed_parse() for its effects, and its text, "" and 0 if there is none. */
unsigned unnamed_effects(const struct unnamed *, const char **sql, size_t *bytes);

/* Is the answer to a Parse of before the last Sync still to come? */
bool unnamed_unsettled(const struct unnamed *, const struct tracked_list *,
		       const struct progress *);

/* It does not exist any more: a simple Query, or the session leaves. `all`: of the server that it
 * holds, or NULL. */
void unnamed_forget(struct unnamed *, struct tracked_list *all);

/* From one process to the next; without what is under way. */
void unnamed_pack(struct pack *, struct unnamed *);
/* One message that is under way, of the session that holds the server (NULL: nobody does). Reading:
 * `t` is NULL, and what was read is returned, the last one for that session so far; the caller puts
 * it into the list. */
struct tracked *unnamed_tracked_pack(struct pack *, struct tracked *t, struct tracked_list *,
				     struct unnamed *);

#endif
