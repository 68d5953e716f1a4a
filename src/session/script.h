/* script: a text of many statements that a client has sent in one Query, some of them scope
 * statements. It is done part by part: each part is judged, and answered here or sent on.
 *
 *	empty -> next          a text has come
 *	next -> sent           a part is with the server, and others stand behind it
 *	sent -> next, empty    the server has done it
 *	sent -> failed         the server says an error
 *	failed -> empty        the server is at rest: the rest of the text is not done
 *	next -> empty          the last part was judged; an error of ours has ended the text
 *
 * The last part of a text goes to the server as any other Query: the state is empty then. */
#ifndef PGWITH_SESSION_SCRIPT_H
#define PGWITH_SESSION_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "session/session.h"

struct pack;

enum script_state {
	SCRIPT_EMPTY,
	SCRIPT_NEXT,   /* the first part of the text is to be judged */
	SCRIPT_SENT,   /* the server does a part, which the text does not have any more */
	SCRIPT_FAILED, /* likewise, and it has answered with an error */
	SCRIPT_NSTATES
};

struct script {
	enum script_state state;
	struct buf text; /* the statements that are still to be done */
	/* How much of `text` is the part that split_next() has given, and that is being judged; 0:
	 * none is. Not a state: the part can be sent, or end the text, meanwhile. */
	size_t part_bytes;
	unsigned chars;  /* characters of the client's text before that part */
	unsigned lexing; /* how the text is read: flags of sqltext_init() */
};

/* Makes session->rare->script, in state EMPTY, if it is not there. */
void script_prepare(struct session *);
void script_free(struct session *);

const char *script_state_name(enum script_state);

/* Are parts of a text still to be done? */
bool script_pending(const struct session *);

/* Are parts still to be done, beside the one that is being judged? */
bool script_more(const struct session *);

/* Is a part being judged? */
bool script_judging(const struct session *);

/* Is a part to be judged as soon as the server is at rest? */
bool script_waiting(const struct session *);

/* Begins a text, which is copied: EMPTY -> NEXT. */
void script_start(struct session *, const char *sql, size_t bytes);

/* The part that is being judged goes to the server, and others stand behind it. */
void script_sent(struct session *);

/* A Query goes to the server: tells progress. If it is a part of a text that has more parts, the
 * client gets no ReadyForQuery for it. */
void script_query_sent(struct session *);

/* The server has answered with an error: if it does a part, SENT -> FAILED. */
void script_note_error(struct session *);

/* SENT, FAILED: the server has done the part, and is at rest. Returns false if the part has failed:
 * then the rest of the text is dropped. */
bool script_done(struct session *);

/* The part has been judged. `done`: it was sent or answered: removes it from the text. Otherwise it
 * is judged again later. */
void script_judged(struct session *, bool done);

/* Drops the rest of the text because of an error. If the server does a part, it is still waited
 * for. */
void script_drop(struct session *);

/* Writes or reads it, for the handover. */
void script_pack(struct pack *, struct session *);

#endif
