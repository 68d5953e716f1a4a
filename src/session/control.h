/* control: which of a client's texts begin or end its transaction, so that progress knows what the
 * server works at before the server says it: a server sends the CommandComplete of a BEGIN together
 * with the rows of what comes behind it.
 *
 * Where the session's prepared statements are known (names.h, unnamed.h), what a Bind executes is
 * looked up there. Otherwise (mode = session, max_prepared_statements = 0) the names of those that
 * begin or end a transaction are kept here: pgjdbc prepares its BEGIN. */
#ifndef PGWITH_SESSION_CONTROL_H
#define PGWITH_SESSION_CONTROL_H

#include "base/pack.h"
#include "session/message.h"
#include "session/session.h"

#define CONTROL_NAMES_MAX 32 /* of one session; the oldest goes first */

/* A text of these SQLCLASS_... bits is about to be executed by the server of session->hold. */
void control_text(struct session *, unsigned set, const char *sql, size_t bytes);

/* A message is about to go to the server of session->hold, whose statements nobody else knows. */
void control_message(struct session *, const struct message *);

void control_free(struct session *);
void control_pack(struct pack *, struct session *);

#endif
