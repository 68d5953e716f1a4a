/* sequences: lastval() and currval() give a session its own numbers, or the error 55000.
 *
 * A backend remembers the numbers that nextval() and setval() gave, whoever uses it. srv->sequences
 * is the id of the only session that can have got numbers from that server since it was new, or
 * since the last DISCARD SEQUENCES. If that is another session, DISCARD SEQUENCES goes ahead of a
 * text that could tell numbers; PostgreSQL then answers 55000. Once such a text has come in a pool,
 * DISCARD SEQUENCES goes ahead of each lease that finds numbers of others, so that a session has
 * its own from the beginning of its transaction on. */
#ifndef PGWITH_SESSION_SEQUENCES_H
#define PGWITH_SESSION_SEQUENCES_H

#include <stdbool.h>

#include "base/buf.h"
#include "session/message.h"
#include "session/session.h"

/* A lease begins: notes whose numbers its server can have. */
void sequences_lease(struct session *);

/* Must numbers of others be discarded before the first statement of the lease? */
bool sequences_due(const struct session *);
/* If sequences_due(): adds DISCARD SEQUENCES and a Sync to the batch, and tells progress. */
void sequences_begin(struct session *);
/* Notes that the server has discarded them. */
void sequences_gone(struct session *);

/* A text with these effects is about to go to the server: adds DISCARD SEQUENCES to the batch ahead
 * of it, if it could tell numbers of others. */
void sequences_mind(struct session *, unsigned set);
/* The same for a Query, Parse or FunctionCall. A text that is only half here could tell numbers. */
void sequences_mind_message(struct session *, const struct message *);

/* Must the message wait until all answers have come? Otherwise nothing can be put ahead of it. */
bool sequences_must_wait(const struct session *, const struct message *);

/* Must the text be refused, because it first ends a failed transaction and then could tell numbers
 * of others? In a failed transaction nothing can be discarded. */
bool sequences_refuses(const struct session *, const struct message *);

#endif
