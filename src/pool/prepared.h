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

/* The names of one session's statements. */
struct names {
	struct statements *all;
	struct hash names;
	uint64_t uses;  /* how many Binds and Describes there were */
	uint32_t bytes; /* memory of all, texts included */
};
void names_init(struct names *, struct statements *);
/* The session leaves, or has no statements any more. `set`: of the server that it holds, or
 * NULL. */
void names_clear(struct names *, struct prepared_set *set);

/* What may have changed that an analysis depends on, without our knowing how; a greater one
 * includes the others. */
enum prepared_altered {
	PREPARED_UNALTERED,
	PREPARED_SETTINGS, /* parameters: the meaning of literals */
	PREPARED_OBJECTS   /* objects may have been created, altered or dropped */
};

enum {
	PREPARED_DEFINES = 1,      /* DDL */
	PREPARED_DEFINES_MAYBE = 2 /* DO, CALL and their like */
};

/* The statements of one server. */
struct prepared_set {
	struct statements *all;
	struct hash have; /* by analysis */
	/* least recently used first; before them those that are of no use any more and will be
	 * closed */
	struct list recent;
	struct tracked_list tracked;
	/* number in the name that was given last; no number is used twice on a server */
	uint64_t last;
	/* it has statements that we do not know of, or that are out of date: DISCARD ALL is due */
	bool stale;
	bool decoys; /* this lease has made decoys: after an error they may still be there */
	uint64_t decoy_errors; /* progress.errors when the first of them was made */
	/* enum prepared_altered: what this lease may have changed. The caller sets it */
	uint8_t altered;
	/* PREPARED_DEFINES_...: what this lease may have defined that other sessions see, since
	 * server_defined() was last called. The caller sets it */
	uint8_t defines;
	uint64_t leases;    /* how many the server has had */
	uint64_t unwritten; /* progress.unwritten when prepared_note_unwritten() was last called */
	unsigned asked_for_room; /* once.h: how often a text would have closed another */
	/* once.h: the client's messages of an exchange that may have to be done again */
	struct buf again;
	/* the client's name that NOBODYS stands for in the next error, or "" */
	char missing[64];
};
void prepared_init(struct prepared_set *, struct statements *, struct progress *);
void prepared_clear(struct prepared_set *);
/* The server has deallocated all statements. */
void prepared_forget(struct prepared_set *);
/* May it have statements that the next lease must not see, so that it needs a DISCARD ALL? */
bool prepared_doubtful(const struct prepared_set *, const struct progress *);
/* `unwritten`: progress.unwritten. If it has grown, statements of this lease without a result may
 * be of a table with the rule DO INSTEAD NOTHING. PostgreSQL does not notice when such a rule goes
 * (15 source, extract_query_dependencies(): no query is left that names the table), so with auto no
 * Parse is answered by them any more. To be called before a Parse is judged (once.h), and at the
 * end of the lease. */
void prepared_note_unwritten(struct prepared_set *, uint64_t unwritten);
/* It has none of these: forgets what was noted for this lease. */
void prepared_renew(struct prepared_set *);

struct prepared_limits {
	unsigned server_max; /* statements that a server keeps */
	unsigned names_max;  /* names of one session */
	size_t bytes_max;    /* of one session */
};

/* What to do with a message of the client's. */
enum prepared_verdict {
	PREPARED_AS_IT_IS, /* forward it: it is not about a named statement, or needs no change */
	PREPARED_DONE, /* drop it: what is needed instead is in `out`, and progress has been told */
	/* the same for the first `used` bytes of its body; the rest of it follows */
	PREPARED_PREFIX,
	/* try again when an answer has come: the meaning of the name depends on that. It may be an
	 * answer to what is in `out` */
	PREPARED_WAIT,
	/* drop it, and tell the client: the statement's result is another now. `out` has what makes
	 * the server fail, too, without an answer. Everything that was sent before has been
	 * answered */
	PREPARED_CHANGED,
	PREPARED_TOO_MANY, /* the session has too many names */
	PREPARED_BROKEN    /* the body is malformed */
};

/* A message of the client's. */
struct prepared_message {
	char type;           /* Parse, Bind, Describe or Close: P, B, D or C */
	const uint8_t *body; /* `have` of its `bytes` are here */
	size_t bytes, have;
	/* The name of the statement, in the body, with its NUL, and its bytes without that. NULL:
	 * the message names none, or not all of the name is here. */
	const char *name;
	size_t name_bytes;
	/* Parse: what the meaning of the text depends on: the session's parameters, "" if they are
	 * the server's own. */
	const char *context;
	uint64_t place; /* the server's database: other databases have other statements */
	/* enum prepared_altered: what the session may have changed, besides what the set says */
	uint8_t altered;
	/* the server has statements of the session's under the session's own names */
	bool native;
	int64_t now_us;   /* Parse */
	unsigned effects; /* Parse: what the caller knows of the text's effects */
	size_t used;      /* PREPARED_PREFIX */
	/* PREPARED_CHANGED: how the statement was described before */
	const struct description *known;
	/* Bind: called before anything is added, with `effects` and text of the statement, if that
	 * exists and `effects` are not 0. */
	void (*executes)(void *arg, unsigned effects, const char *sql);
	void *arg;
	/* PREPARED_DONE and PREPARED_PREFIX, of a Bind: set to the command of the statement (enum
	 * sqlcommand), if that exists. */
	uint8_t command;
};

/* Decides about a message that is to go to this server. `names` may be NULL, unless it is a
 * Parse. */
enum prepared_verdict prepared_message(struct names *, struct prepared_set *, struct progress *,
				       const struct prepared_limits *, struct prepared_message *,
				       struct buf *out);

/* Adds a message that makes the server fail and skip to the next Sync, without an answer for the
 * client. */
void prepared_fail(struct progress *, struct buf *out);

/* While no server is held: can a Parse be answered at once, since it has a new name, is complete,
 * has no doubtful meaning, and some server has its text? If so, the session has the name from now
 * on, and the caller tells the client ParseComplete. */
bool prepared_adopt(struct names *, const struct prepared_limits *,
		    const struct prepared_message *);

/* For an error of a server that has our name for a statement in it: `number` is in that name behind
 * prepared_prefix; 0: the one that never exists. Returns the client's name, which lasts until the
 * next call of anything here; NULL: not known. */
extern const char prepared_prefix[];
extern const char prepared_nobodys[];
const char *prepared_client_name(const struct names *, const struct prepared_set *,
				 uint64_t number);

/* Does the session have a statement of this name (not NUL-ended)? */
bool names_have(const struct names *, const char *name, size_t length);
/* The effects that were noted with its Parse, and its text, valid until the next change; 0 and ""
 * if there is no such statement. */
unsigned names_effects(const struct names *, const char *name, size_t length, const char **sql);
/* The session deallocates a statement by SQL, on a server or without one. `set`: of the server that
 * it holds, or NULL. */
void names_drop(struct names *, struct prepared_set *, const char *name, size_t length);

/* Was a message sent before the last Sync that changes this name (NULL: any name), and is its
 * answer still to come? Then it is not known what the name means now. `names` may be NULL. */
bool names_in_doubt(const struct names *, const struct prepared_set *, const struct progress *,
		    const char *name, size_t length);

/* Ahead of a DEALLOCATE by SQL: gives the server, which does not know the session's names, a
 * statement of this name, so that it can be deallocated. */
void prepared_decoy(struct prepared_set *, struct progress *, const char *name, size_t length,
		    struct buf *out);

#endif
