/* script: the text of many statements that a client has sent in one Query, some of them scope
 * statements. It is done part by part: each part is judged, and answered here or sent.
 *
 *	empty -> next          a text has come
 *	next -> sent           a part is with the server, and others stand behind it
 *	sent -> next, empty    the server has done it
 *	sent -> failed         the server says an error
 *	failed -> empty        the server is at rest: the rest of the text is not done
 *	next -> empty          the last part was judged; an error of ours has ended the text
 *
 * The last part of a text goes to the server as any other Query: it is not waited for. */
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
	SCRIPT_SENT,   /* the server does a part, which the text has no more */
	SCRIPT_FAILED, /* the same, and it has said an error */
	SCRIPT_NSTATES
};

struct script {
	enum script_state state;
	struct buf text;   /* of the statements that are still to be done */
	size_t part_bytes; /* of the text: what is being judged */
	unsigned chars;    /* characters of the client's text before it */
	unsigned lexing;   /* how texts are read: flags of sqltext_init() */
	bool judging;      /* split_run() is on the stack with a part. Not a state: the part can be
			    * sent, or end the text, meanwhile */
};

/* Makes session->script if it is not there: EMPTY. */
void script_prepare(struct session *);
void script_free(struct session *);

const char *script_state_name(enum script_state);

/* Are parts of a text still to be done? */
bool script_pending(const struct session *);

/* The same, beside the one that is being judged. */
bool script_more(const struct session *);

/* Is a part to be sent as soon as the server has done what went ahead of it? */
bool script_waiting(const struct session *);

/* A text is to be done: EMPTY -> NEXT. Its bytes are copied. */
void script_start(struct session *, const char *sql, size_t bytes);

/* The part that is judged goes to the server, and others stand behind it. */
void script_sent(struct session *);

/* A whole Query goes to the server: tells progress. Of a text with scope statements it is a part.
 */
void script_query_sent(struct session *);

/* The server has said an error: if it does a part, that has failed. */
void script_heard_error(struct session *);

/* SENT, FAILED: the server has done the part, and is at rest. Returns false if it has failed: the
 * rest of the text is forgotten. */
bool script_done(struct session *);

/* The part was judged, and is not kept any longer. */
void script_judged(struct session *);

/* An error ends a text. A part that the server does is waited for. */
void script_drop(struct session *);

/* Writes it down, or reads it, for a handover. */
void script_pack(struct pack *, struct session *);

#endif
