/* statement: what the prepared statements, named and unnamed, that a message is about mean for the
 * session: what goes to the server ahead of the message, or instead. */
#ifndef PGWITH_SESSION_STATEMENT_H
#define PGWITH_SESSION_STATEMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "session/message.h"
#include "session/session.h"

/* What a Bind of the prepared statement of that name is about to run: the SQLCLASS_... bits, and
 * its text, as far as it is known. */
unsigned statement_bound(const struct session *, const char *name, const char **sql, size_t *bytes);

/* Behind a Parse of the unnamed statement is a message of this type, or none (0): will the client
 * come back to the statement later, maybe on another server? */
static inline bool
statement_is_left(char next)
{
	return next == 'S' || next == 'H' || next == 0;
}

/* Follows the unnamed statement: what the message needs of it is added to the batch. *told:
 * progress has been told of the message. */
enum verdict statement_unnamed(struct session *, struct message *, bool *told);

/* A Parse, Bind, Describe or Close; a named statement may have to do with it. */
enum verdict statement_named(struct session *, struct message *);

/* A Parse and nothing else, of a session that would have to wait for a server, is answered here if
 * the text is prepared on another one. Returns true if it was. */
bool statement_adopted(struct session *, const struct message *);

/* What the message means depends on answers that are still to come. */
bool statement_must_wait(const struct session *, const struct message *);

#endif
