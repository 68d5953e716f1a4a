/* control: which texts of the client begin or end its transaction. progress has to know that before
 * the server tells, because a server may send the CommandComplete of BEGIN only together with the
 * rows of the statement behind it.
 *
 * What a Bind executes is looked up in names.h and unnamed.h. Where these are not used (mode =
 * session, max_prepared_statements = 0), the names of prepared statements that begin or end a
 * transaction are kept here: pgjdbc prepares its BEGIN. The names and texts of statements that may
 * reset parameters are kept, too, for resets.h. */
#ifndef PGWITH_SESSION_CONTROL_H
#define PGWITH_SESSION_CONTROL_H

#include "base/pack.h"
#include "session/message.h"
#include "session/session.h"
#include "wire/sqlclass.h"

/* Texts with these bits may reset parameters. */
#define CONTROL_RESETS                                                                   \
	(SQLCLASS_SET | SQLCLASS_SETCONFIG | SQLCLASS_SET_LOCAL | SQLCLASS_DISCARD_ALL | \
	 SQLCLASS_OPAQUE)

#define CONTROL_NAMES_MAX 32 /* of one session; the oldest goes first */

/* The server of session->hold is about to execute a text with these SQLCLASS_... bits. */
void control_text(struct session *, unsigned set, const char *sql, size_t bytes);

/* A message is about to go to the server of session->hold; names.h and unnamed.h are not used. */
void control_message(struct session *, const struct message *);

/* May the text of this Parse reset parameters, and is it short enough to be kept? */
bool control_keeps_sql(const struct message *);

/* The text of the prepared statement of that name if it may reset parameters, with its SQLCLASS_...
 * bits; NULL: it does not, or is not known. */
const char *control_sql(const struct session *, const char *name, unsigned *set);

void control_free(struct session *);
void control_pack(struct pack *, struct session *);

#endif
