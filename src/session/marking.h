/* marking: what the session's own server is asked about the LISTENs and UNLISTENs that it has
 * carried out (listening.h).
 *
 * In a transaction, behind the client's message, goes LISTEN of a channel with a number, the mark,
 * which PostgreSQL itself undoes with savepoints. When the transaction has ended, or a LISTEN or
 * UNLISTEN of the extended protocol outside of one, the server is asked what it listens to: the
 * marks say what has survived (outcome.h). The server ends to listen, and the keeper goes on.
 *
 * While these statements of ours run, the session is in SESSION_SAVING. States: channels.h. */
#ifndef PGWITH_SESSION_MARKING_H
#define PGWITH_SESSION_MARKING_H

#include <stdbool.h>

#include "session/session.h"

/* The session has a server, and a message was passed to it that LISTENs or UNLISTENs in a
 * transaction: has it succeeded, and does the transaction go on? Then it gets a mark. */
bool marking_is_due(const struct session *);

/* The session listens, or may; its server has answered all, and is at rest. Returns true if it is
 * asked something: the session is in SESSION_SAVING then. */
bool marking_answered(struct session *);

/* In SESSION_SAVING: does the session wait for the answer to such a question? Then
 * marking_inquired() takes the answer. It returns true when there is no more to be asked: the
 * session is ACTIVE again. */
bool marking_asks(const struct session *);
bool marking_inquired(struct session *);

#endif
