/* begin: a transaction that the client has begun needs no server before its first statement. A
 * plain BEGIN is answered here; the server gets it in the same write as what comes behind it, as a
 * message of the extended protocol without a Sync: if it fails, PostgreSQL skips the statement (15
 * documentation, 55.2.3). */
#ifndef PGWITH_SESSION_BEGIN_H
#define PGWITH_SESSION_BEGIN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "session/message.h"
#include "session/session.h"

/* A Query of a session without a server; `set` are the SQLCLASS_... bits of the whole text. Returns
 * true if it was answered here. */
bool begin_answer(struct session *, unsigned set, const char *sql, size_t bytes);

/* Has the transaction failed before it had a server? Then this message of the extended protocol
 * must be refused; a ROLLBACK is not (`set` as above). */
bool begin_refuses(struct block *, unsigned set);

/* A time limit has ended the transaction of the session (block_is_expired()): any message is
 * answered here. What does not end the transaction is refused. */
enum verdict begin_expired(struct session *, const struct message *);

/* The session has a server now: adds the BEGIN to the batch, if one is due. Progress is told. */
void begin_send(struct session *);

#endif
