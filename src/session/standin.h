/* standin: a Parse of the unnamed statement that a statement of the server's answers which other
 * sessions have had prepared (pool/once.h, statement_cache). The session's side of it: whether it
 * is allowed here, and the client's messages that are kept until it is certain that they need not
 * be done again. */
#ifndef PGWITH_SESSION_STANDIN_H
#define PGWITH_SESSION_STANDIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/once.h"
#include "pool/server.h"
#include "session/message.h"
#include "session/session.h"

/* A Parse: is it one of the unnamed statement whose text is known to do nothing (text.inert)? This
 * must be asked before the message is judged: it keeps what it finds in the message, for
 * effects_of_message() and standin_parse(). */
bool standin_knows(const struct session *, struct message *);

/* A Parse of the unnamed statement is about to go to the server. ONCE_SERVE, ONCE_PREPARE:
 * something else is in the batch in its place, of which progress has been told; m->used is set, and
 * counts the Bind behind the Parse if that is in the batch, too. */
enum once_verdict standin_parse(struct session *, struct message *);

/* statement_cache = on */
bool standin_infers(const struct pool *);

/* Decided by the session's text and the pool's option alone: is there a chance that the text is
 * answered? */
bool standin_may_answer(const struct session *);

/* A Bind or Describe of the unnamed statement, for which a statement stands in: adds it to the
 * batch under that one's name, sets m->used, and tells progress of a Bind. False: nothing was
 * added, since the server does not have that statement any more. */
bool standin_use(struct session *, struct message *);

/* Must a message of this type, and the `bytes` from it on, wait until the Parse that was answered
 * is confirmed? *ask: no Sync stands before the message, so the server must be made to answer. */
bool standin_holds(struct session *, char type, size_t bytes, bool *ask);

/* May messages have to be done again? Then those that have been handled are to be kept. */
static inline bool
standin_keeps(const struct session *s)
{
	return s->state == SESSION_ACTIVE && s->hold->lease.srv->prepared.tracked.unconfirmed;
}
void standin_keep(struct session *, const uint8_t *messages, size_t bytes);

/* The server has answered, and progress.redo is set. Returns true when it is at rest: the messages
 * that were kept stand at the front of session->in, to be handled anew. */
bool standin_redo(struct session *);

#endif
