/* sequences: what lastval() and currval() say is the session's own, or nothing.
 *
 * A backend remembers what nextval() and setval() gave, for whoever uses it. srv->sequences is the
 * session that alone can have had numbers from it since it was new, or since DISCARD SEQUENCES;
 * where that is another, DISCARD SEQUENCES goes ahead of a text that could tell. PostgreSQL then
 * says 55000 of what the session has had elsewhere. Once somebody has asked in a pool, it goes
 * ahead of each lease that finds another's numbers, so that a session has its own from the
 * beginning of its transaction. */
#ifndef PGWITH_SESSION_SEQUENCES_H
#define PGWITH_SESSION_SEQUENCES_H

#include <stdbool.h>

#include "base/buf.h"
#include "session/message.h"
#include "session/session.h"

/* The lease begins. */
void sequences_lease(struct session *);

/* Are there numbers of others on its server, which must go before its first statement? */
bool sequences_due(const struct session *);
/* Adds what discards them, up to a Sync of our own, if sequences_due(). Progress is told. */
void sequences_begin(struct session *, struct buf *out);
/* They are gone. */
void sequences_gone(struct session *);

/* A Query, Parse, Bind or FunctionCall with these effects goes to the server: the same, if it could
 * tell of numbers. */
void sequences_mind(struct session *, unsigned set);

/* Must it wait for the answers that are due, as those numbers can only go ahead of it then? */
bool sequences_must_wait(const struct session *, const struct message *);

/* Would it tell of them in a text that first ends a failed transaction? Nothing can be discarded
 * there. */
bool sequences_refuses(const struct session *, unsigned set);

#endif
