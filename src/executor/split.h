/* split: judges messages that may have to do with scopes. A text of many statements is divided and
 * done part by part; messages of the extended protocol about scope statements go to portal. */
#ifndef PGWITH_EXECUTOR_SPLIT_H
#define PGWITH_EXECUTOR_SPLIT_H

#include <stdbool.h>

#include "base/buf.h"
#include "session/message.h"
#include "session/session.h"

/* Judges a message of a session that has, or has had, scopes, or one whose text has a scope
 * statement. FORWARD: it is an ordinary message. */
enum verdict split_judge(struct session *, struct message *);

/* A scope statement, or what must not go to the server of session->hold (readonly.h), can be
 * carried out only when everything before it has been answered. FORWARD: it has. HOLD: not yet.
 * DROP: it has failed, so the message is skipped up to Sync. OVER. */
enum verdict split_wait(struct session *);

/* All that came before a scope statement has been sent: sends a Sync of ours behind it, if the
 * scope statement has to wait for that. */
void split_sync(struct session *);

/* Makes a Query of the next part of the session's text, if the part can be judged now. Returns
 * false if it cannot. Otherwise the caller judges it, calls split_judged(), clears the buffer. */
bool split_next(struct session *, struct buf *message);

/* The message of split_next() was judged; `done`: it was sent or answered, and is not kept. Returns
 * true if there may be a next one. */
bool split_judged(struct session *, bool done);

/* Parses one scope statement. Returns NULL with the error, and its position, in *e if it cannot. */
struct grammar *split_parse(struct session *, const char *sql, size_t bytes, struct err *e);

#endif
