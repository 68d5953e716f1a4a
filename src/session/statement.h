/* statement: messages about the session's prepared statements, named and unnamed. What the server
 * lacks of them goes to it ahead of the message, or in its place. */
#ifndef PGWITH_SESSION_STATEMENT_H
#define PGWITH_SESSION_STATEMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "session/message.h"
#include "session/session.h"

/* Returns the SQLCLASS_... bits of the prepared statement of that name, with its text in *sql, as
 * far as these are known. */
unsigned statement_bound(const struct session *, const char *name, const char **sql, size_t *bytes);

/* `next`: type of the message behind a Parse of the unnamed statement, or 0. Will the client use
 * the statement only later, maybe on another server? */
static inline bool
statement_is_left(char next)
{
	return next == 'S' || next == 'H' || next == 0;
}

/* Follows what the message does to the unnamed statement, and adds to the batch what it needs of
 * that. *told: progress has been told of the message already. */
enum verdict statement_unnamed(struct session *, struct message *, bool *told);

/* A Parse, Bind, Describe or Close that may name a statement: adds to the batch what it needs. */
enum verdict statement_named(struct session *, struct message *);

/* A session would have to wait for a server with a Parse and nothing else: answers the Parse if the
 * text is prepared on a server. Returns true if it did. */
bool statement_adopted(struct session *, const struct message *);

/* Must the message wait, because what it means depends on answers that are still to come? */
bool statement_must_wait(const struct session *, const struct message *);

#endif
