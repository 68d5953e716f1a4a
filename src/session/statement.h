/* statement: what the SQL texts and the prepared statements of a message mean for the session: what
 * changes its state, what pins it, what goes to the server instead. */
#ifndef PGWITH_SESSION_STATEMENT_H
#define PGWITH_SESSION_STATEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "session/message.h"
#include "session/session.h"
#include "wire/sqlmention.h"

/* What changes session state that cannot be moved: the session keeps its server. */
#define STATEMENT_PINS (HOLD_PINS_ASKED | SQLCLASS_LOAD | SQLMENTION_SEED)

/* What a Bind of the prepared statement of that name is about to run: the SQLCLASS_... bits, and
 * its text, as far as it is known. */
unsigned statement_bound(const struct session *, const char *name, const char **sql, size_t *bytes);

/* The bits of m->set, with HOLD_PIN_SETTING if it sets what only the server knows; the names
 * that it sets are noted. */
unsigned statement_classify(struct session *, const struct message *);

/* A text with these effects is about to be executed on the server that the session holds; `simple`:
 * it is a whole Query. */
void statement_effects(struct session *, unsigned set, const char *sql, size_t bytes, bool simple);

/* A text of these bits goes to the server. Some of what it can do there nothing can undo (LOAD, a
 * seed of random()): then the connection is closed when the session gives it back. */
void statement_spoils(struct session *, unsigned set);

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

/* A whole Query goes to the server: tells progress. Of a text with scope statements it is a part.
 */
void statement_query_sent(struct session *);

/* The server itself is made to say the error, so that a transaction fails as by any other. Returns
 * REPLACE. */
enum verdict statement_raise(struct session *, struct message *, const struct err *);

/* The same for pin = off, because of `why` (bits). */
enum verdict statement_refuse(struct session *, struct message *, unsigned why);

/* A Parse, Bind, Describe or Close; a named statement may have to do with it. */
enum verdict statement_named(struct session *, struct message *);

/* A Parse and nothing else, of a session that would have to wait for a server, is answered here if
 * the text is prepared on another one. Returns true if it was. */
bool statement_adopted(struct session *, const struct message *);

/* What the message means depends on answers that are still to come. */
bool statement_must_wait(const struct session *, const struct message *);

#endif
