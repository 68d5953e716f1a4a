/* control: which texts of the client begin or end its transaction. progress has to know that before
 * the server tells, because a server may send the CommandComplete of BEGIN only together with the
 * rows of the statement behind it.
 *
 * What a Bind executes is looked up in names.h and unnamed.h. Where these are not used (mode =
 * session, max_prepared_statements = 0), the names of prepared statements that begin or end a
 * transaction are kept here: pgjdbc prepares its BEGIN. */
#ifndef PGWITH_SESSION_CONTROL_H
#define PGWITH_SESSION_CONTROL_H

#include "base/pack.h"
#include "session/message.h"
#include "session/session.h"

#define CONTROL_NAMES_MAX 32 /* of one session; the oldest goes first */

/* The server of session->hold is about to execute a text with these SQLCLASS_... bits. */
void control_text(struct session *, unsigned set, const char *sql, size_t bytes);

/* A message is about to go to the server of session->hold; names.h and unnamed.h are not used. */
void control_message(struct session *, const struct message *);

void control_free(struct session *);
void control_pack(struct pack *, struct session *);

#endif
