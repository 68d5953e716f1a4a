/* split: the messages of a client that are, or contain, scope statements: texts of many statements,
 * which are done part by part, and the extended protocol, as far as it is about them: see named. */
#ifndef PGWITH_EXECUTOR_SPLIT_H
#define PGWITH_EXECUTOR_SPLIT_H

#include <stdbool.h>

#include "session/message.h"
#include "session/session.h"

/* A message of a session that has, or has had, scopes, or of a text with a scope statement.
 * FORWARD: it is an ordinary one, to be handled as such. */
enum verdict split_judge(struct session *, struct message *);

/* All that came before a scope statement has been sent: if that needs to be ended by a Sync of
 * ours, sends it. */
void split_sync(struct session *);

/* Goes on with the next part, if that is possible now. `handle` does the work of one whole message,
 * and returns how many bytes of it are done: all or none. */
void split_run(struct session *,
	       size_t (*handle)(struct session *, const uint8_t *data, size_t bytes));

/* Understands one scope statement. Returns NULL, with the reason and its place in *e, if it cannot
 * be. */
struct grammar *split_parse(struct session *, const char *sql, size_t bytes, struct err *e);

#endif
