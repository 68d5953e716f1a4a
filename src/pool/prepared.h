/* prepared: the named prepared statements of the protocol, in a pool of transactions. A session's
 * names lead to shared texts; a server has those texts that it was last asked for, under names of
 * our own. What a server lacks is prepared ahead of the message that needs it. No I/O: bytes for
 * the server are added to a buf, and progress is told.
 *
 * Everything takes effect when it is sent, and is taken back if the server skips it or fails. What
 * depends on a message of which neither is known, and which an error would not skip with it because
 * a Sync stands between the two, has to wait. */
#ifndef PGWITH_POOL_PREPARED_H
#define PGWITH_POOL_PREPARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/list.h"
#include "pool/progress.h"
#include "pool/tracked.h"

struct prepared_set;

/* All texts of the daemon, each once. */
struct statements {
	struct hash texts;
	size_t bytes; /* that they take */
};
void statements_init(struct statements *);
void statements_clear(struct statements *);

/* What one session has prepared. */
struct names {
	struct statements *all;
	struct hash names;
	size_t bytes; /* of all of them, texts included */
};
void names_init(struct names *, struct statements *);
/* The session leaves, or has no statements any more. `set`: the server that it holds, or NULL. */
void names_clear(struct names *, struct prepared_set *set);

/* What one server has. */
struct prepared_set {
	struct statements *all;
	struct hash have;
	struct list recent; /* least recently used first */
	struct tracked_list tracked;
	uint64_t last; /* number in the name given last; never used twice on this server */
	bool stale;    /* it has statements that we have lost sight of, or that are out of date:
			  DISCARD ALL */
	bool decoys;   /* this lease has given it some: after an error they may still be there */
	uint64_t decoy_errors; /* progress.errors when it was given the first of them */
};
void prepared_init(struct prepared_set *, struct statements *, struct progress *);
void prepared_clear(struct prepared_set *);
/* The server has deallocated everything. */
void prepared_forget(struct prepared_set *);
/* May it have statements that the next lease must not see? Then it needs a DISCARD ALL. */
bool prepared_doubtful(const struct prepared_set *, const struct progress *);
/* It has none, and the next lease begins. */
void prepared_renew(struct prepared_set *);

struct prepared_limits {
	unsigned server_max; /* statements that a server keeps */
	unsigned names_max;  /* names of one session */
	size_t bytes_max;    /* of one session */
};

/* What became of a message of the client. */
enum prepared_verdict {
	PREPARED_AS_IT_IS, /* it is not about a named statement, or needs no change: forward it */
	PREPARED_DONE, /* what is needed instead is in `out`, and progress has been told: drop it */
	PREPARED_PREFIX,   /* the same, but only up to the first `used` bytes of its body: the rest
			      follows */
	PREPARED_WAIT,     /* what it is about depends on an answer that is due: ask again then.
			      Nothing has been done */
	PREPARED_TOO_MANY, /* the session has too many */
	PREPARED_BROKEN    /* the body is malformed */
};

/* A message of the client. */
struct prepared_message {
	char type;           /* P, B, D or C */
	const uint8_t *body; /* `have` of its `bytes` are here */
	size_t bytes, have;
	/* Parse: what a text depends on beside itself: the session's parameters, "" if they are the
	 * server's own. */
	const char *context;
	unsigned effects; /* Parse: what the caller knows of the text */
	size_t used;      /* PREPARED_PREFIX */
	/* Bind: called before anything is added, with what was known of the text and with the text,
	 * if there is a statement of that name and `effects` were not 0. */
	void (*executes)(void *arg, unsigned effects, const char *sql);
	void *arg;
};

/* It is to go to this server. `names` may be NULL, unless it is a Parse. */
enum prepared_verdict prepared_message(struct names *, struct prepared_set *, struct progress *,
				       const struct prepared_limits *, struct prepared_message *,
				       struct buf *out);

/* Without a server at hand: is the message a Parse of a new name, whole, for a text that this other
 * server has for sure? Then the session has the name from now on, and the client can be told
 * ParseComplete. */
bool prepared_adopt(struct names *, const struct prepared_set *other,
		    const struct prepared_limits *, const struct prepared_message *);

/* Does the session have a statement of that name (not NUL-ended)? */
bool names_have(const struct names *, const char *name, size_t length);
/* What was said of its effects with its Parse, and its text until the next change; 0 and "" if
 * there is none. */
unsigned names_effects(const struct names *, const char *name, size_t length, const char **sql);
/* It deallocates one by SQL on this server, or says so without one. `set`: of the server that it
 * holds, or NULL. */
void names_drop(struct names *, struct prepared_set *, const char *name, size_t length);

/* Did a message that changes this name (NULL: any name) go before the last Sync, and is its answer
 * still to come? Then it is not known what the name stands for now. `names` may be NULL. */
bool names_unsettled(const struct names *, const struct prepared_set *, const struct progress *,
		     const char *name, size_t length);

/* Ahead of a DEALLOCATE by SQL: gives the server, of which the session's names are not known there,
 * a statement of that name, so that it can be deallocated. */
void prepared_decoy(struct prepared_set *, struct progress *, const char *name, size_t length,
		    struct buf *out);

#endif
