/* prepared: the named prepared statements of the protocol, in a pool of transactions. A session's
 * names lead to analyses (analysis.h); a server has those that it was last asked for, under names
 * of our own. What a server lacks is prepared ahead of the message that needs it. No I/O: bytes for
 * the server are added to a buf, and progress is told.
 *
 * A client's own Parse always goes to the server, as a statement of its own. A Describe of ours
 * behind it tells what PostgreSQL has made of it. From then on it is the same statement as every
 * other of that text, context and description, and of two that a server has the older one goes.
 *
 * Who uses a statement that was prepared for another session must not meet an analysis that is
 * older than its own Parse: PostgreSQL may have fixed something there that has changed since. Each
 * Parse that goes to a server gets a number, and so does each answer: a session uses what it has
 * prepared itself, or what was sent after its own Parse had been answered.
 *
 * On another server a statement is prepared with the types that its parameters have got, and is
 * described again. Its Bind or Describe waits for that answer (once for each server and statement):
 * if the result has changed, the client, which decodes by the old description, is told what
 * PostgreSQL says then.
 *
 * Not shared is what was prepared where the transaction, or the session, has created or dropped
 * something, has temporary objects, or has done what nobody can see (DO, CALL); and, if the text
 * has literals, where it has set something. (Without literals, all that parameters can change is
 * what names mean, and PostgreSQL looks at that again: see analysis.h.)
 *
 * A Parse that cannot have a server at once may be put off (prepared_adopt()): it goes to the first
 * server that is asked for the statement.
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
#include "pool/analysis.h"
#include "pool/progress.h"
#include "pool/tracked.h"

struct prepared_set;

/* What one session has prepared. */
struct names {
	struct statements *all;
	struct hash names;
	size_t bytes;  /* of all of them, texts included */
	uint64_t uses; /* that there were */
};
void names_init(struct names *, struct statements *);
/* The session leaves, or has no statements any more. `set`: the server that it holds, or NULL. */
void names_clear(struct names *, struct prepared_set *set);

/* How much of what an analysis depends on is not known: more is worse. */
enum prepared_altered {
	PREPARED_UNALTERED,
	PREPARED_SETTINGS, /* something may have been set: what literals mean */
	PREPARED_OBJECTS   /* something may have been created, altered or dropped */
};

/* What one server has. */
struct prepared_set {
	struct statements *all;
	struct hash have;   /* by analysis */
	struct list recent; /* least recently used first; ahead of them those that are of no use any
			       more, and are to be closed */
	struct tracked_list tracked;
	uint64_t last; /* number in the name given last; never used twice on this server */
	bool stale;    /* it has statements that we have lost sight of, or that are out of date:
			  DISCARD ALL */
	bool decoys;   /* this lease has given it some: after an error they may still be there */
	uint64_t decoy_errors; /* progress.errors when it was given the first of them */
	uint8_t altered;       /* enum prepared_altered: what this lease has done. The caller's */
	char missing[64];      /* the client's name for NOBODYS in the next error, or "" */
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
			      That may be one to what is in `out` */
	PREPARED_CHANGED,  /* its result is another now: the client is to be told so. What makes the
			      server fail, too, and say nothing, is in `out`. All that was sent
			      before has been answered. Drop it */
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
	uint64_t place;   /* the server's database: statements of others are others */
	uint8_t altered;  /* enum prepared_altered, of the session: beside what the set says */
	bool native;      /* the server has statements of the session's under its own names */
	unsigned effects; /* Parse: what the caller knows of the text */
	size_t used;      /* PREPARED_PREFIX */
	const struct description *known; /* PREPARED_CHANGED: what it was */
	/* Bind: called before anything is added, with what was known of the text and with the text,
	 * if there is a statement of that name and `effects` were not 0. */
	void (*executes)(void *arg, unsigned effects, const char *sql);
	void *arg;
};

/* It is to go to this server. `names` may be NULL, unless it is a Parse. */
enum prepared_verdict prepared_message(struct names *, struct prepared_set *, struct progress *,
				       const struct prepared_limits *, struct prepared_message *,
				       struct buf *out);

/* Adds what makes the server fail, skip to the next Sync, and say nothing to the client. */
void prepared_fail(struct progress *, struct buf *out);

/* Without a server at hand: is the message a Parse of a new name, whole, for a text that a server
 * has, and that means the same a little later? Then the session has the name from now on, and the
 * client can be told ParseComplete. */
bool prepared_adopt(struct names *, const struct prepared_limits *,
		    const struct prepared_message *);

/* The error that a server has given speaks of a statement by our name for it: `number` of a name
 * that begins with prepared_prefix, 0 for the one that never exists. Returns the client's, which
 * lasts until the next call of anything here; NULL: it is not known. */
extern const char prepared_prefix[];
extern const char prepared_nobodys[];
const char *prepared_client_name(const struct names *, const struct prepared_set *,
				 uint64_t number);

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
