/* begin: a transaction needs no server before its first statement, so a plain BEGIN is answered
 * here. The server gets the BEGIN in the same write as the first statement, in the extended
 * protocol and without a Sync: if it fails, PostgreSQL skips the statement (15
 * documentation, 55.2.3). */
#ifndef PGWITH_SESSION_BEGIN_H
#define PGWITH_SESSION_BEGIN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "session/message.h"
#include "session/session.h"

/* A Query of a session that has no server; `set`: the SQLCLASS_... bits of its text. Answers it if
 * it is a plain BEGIN, or belongs to a transaction of which no server knows. Returns true if it
 * did. */
bool begin_answer(struct session *, unsigned set, const char *sql, size_t bytes);

/* Must a message of the extended protocol be refused, because the transaction has failed before it
 * had a server? A ROLLBACK is not refused (`set` as above). */
bool begin_refuses(struct session *, unsigned set);

/* The session's transaction has expired (block_is_expired()): answers the message. What does not
 * end the transaction is refused. */
enum verdict begin_expired(struct session *, const struct message *);

/* The session has got a server: adds the BEGIN that was answered here to the batch, if there is
 * one, and tells progress. */
void begin_send(struct session *);

#endif
