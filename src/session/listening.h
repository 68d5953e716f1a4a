/* listening: what a session listens to by the keeper of its pool (pool/keeper.h), without a server
 * of its own: the option listen_mode = shared.
 *
 * A text of LISTEN and UNLISTEN only, outside of a transaction, is carried out by the keeper; in
 * the extended protocol, the session's server does that, too, for its answers, and then ends it
 * again.
 *
 * In a transaction the text goes to the session's server. Behind it, as a statement of ours, goes
 * LISTEN of a channel with a number, the mark, which PostgreSQL itself undoes with savepoints. A
 * COMMIT that stands alone waits until the keeper LISTENs to all channels of the transaction; from
 * then on their notifications are kept. When it is answered, the server is asked what it listens
 * to: the marks say what has survived. The server ends to listen, and the keeper goes on.
 *
 * All else goes to the session's own server, and pins the session there.
 *
 * This module judges the client's messages. How far the session is: channels.h; marks, and what the
 * server is asked: marking.h; how the client gets its notifications: notifying.h. */
#ifndef PGWITH_SESSION_LISTENING_H
#define PGWITH_SESSION_LISTENING_H

#include "session/message.h"
#include "session/session.h"

/* These texts concern it, or may. */
#define LISTENING_WORDS (SQLCLASS_LISTEN | SQLCLASS_UNLISTEN | SQLCLASS_DISCARD_ALL)

/* Judges a message, ahead of all else that is done with it in SESSION_IDLE or ACTIVE. FORWARD: it
 * is an ordinary one. Call it if the message has LISTENING_WORDS, or if the session has
 * rare->listening. */
enum verdict listening_judge(struct session *, struct message *);

/* The verdict on a message that listening_judge() has let pass to the server, at the end. Also when
 * it is refused after it has waited. */
void listening_judged(struct session *, enum verdict);

/* Which of these SQLCLASS_... bits of a message, with pin = off, would still pin the session? */
unsigned listening_pins(const struct session *, const struct message *, unsigned set);

/* The client's DISCARD ALL has succeeded. */
void listening_discard(struct session *);

#endif
