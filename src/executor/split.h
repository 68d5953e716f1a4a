/* split: the messages of a client that are, or contain, scope statements: texts of many statements,
 * which are done part by part, and the extended protocol, as far as it is about them: see named. */
#ifndef PGWITH_EXECUTOR_SPLIT_H
#define PGWITH_EXECUTOR_SPLIT_H

#include <stdbool.h>

#include "base/buf.h"
#include "session/message.h"
#include "session/session.h"

/* A message of a session that has, or has had, scopes, or of a text with a scope statement.
 * FORWARD: it is an ordinary one, to be handled as such. */
enum verdict split_judge(struct session *, struct message *);

/* All that came before a scope statement has been sent: if that needs to be ended by a Sync of
 * ours, sends it. */
void split_sync(struct session *);

/* Makes a Query of the next part of the session's text, if the part can be judged now. Returns
 * false if it cannot. Otherwise the caller judges the message, calls split_judged(), and clears it.
 */
bool split_next(struct session *, struct buf *message);

/* The message of split_next() was judged; `done`: it was sent or answered, and is not kept. Returns
 * true if there may be a next one. */
bool split_judged(struct session *, bool done);

/* Understands one scope statement. Returns NULL, with the reason and its place in *e, if it cannot
 * be. */
struct grammar *split_parse(struct session *, const char *sql, size_t bytes, struct err *e);

#endif
