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
 * All else goes to the session's own server, and pins the session there. How far it is: channels.h.
 *
 * A session gets notifications as from PostgreSQL: outside of a transaction, between messages,
 * ahead of ReadyForQuery or while it idles. Until then they are kept, up to LISTENING_MAX bytes. */
#ifndef PGWITH_SESSION_LISTENING_H
#define PGWITH_SESSION_LISTENING_H

#include <stdbool.h>
#include <stdint.h>

#include "session/message.h"
#include "session/reword.h"
#include "session/session.h"

/* These texts concern it, or may. */
#define LISTENING_WORDS (SQLCLASS_LISTEN | SQLCLASS_UNLISTEN | SQLCLASS_DISCARD_ALL)

/* Judges a message, ahead of all else that is done with it in SESSION_IDLE or ACTIVE. FORWARD: it
 * is an ordinary one. Call it if the message has LISTENING_WORDS, or if the session has
 * rare->listening. */
enum verdict listening_judge(struct session *, struct message *);

/* Is the client's ReadyForQuery kept back until the keeper has come as far? */
bool listening_owes(const struct session *);

/* The end of a turn, or of an event: gives the client what is kept for it, as far as that is
 * possible now. Ends the session if the keeper is lost, or too much is kept. */
void listening_turn(struct session *);

/* Sends what the server has answered since `from`; ahead of its last ReadyForQuery goes what is
 * kept. */
void listening_reply(struct session *, const struct reword_from *from, const uint8_t *data,
		     size_t bytes);

/* The same, if reword_errors() sends it. Returns how many of the bytes that has to send. */
size_t listening_reworded(struct session *, const uint8_t *data, size_t bytes);

/* The verdict on a message that listening_judge() has let pass to the server, at the end. Also when
 * it is refused after it has waited. */
void listening_judged(struct session *, enum verdict);

/* Which of these SQLCLASS_... bits of a message, with pin = off, would still pin the session? */
unsigned listening_pins(const struct session *, const struct message *, unsigned set);

/* The server of the session has answered all, and is at rest. Returns true if it is asked
 * something: the session is in SESSION_SAVING then. */
bool listening_answered(struct session *);

/* SESSION_SAVING: is that so? Then listening_inquired() takes the answer. It returns true when
 * there is no more to be asked: the session is ACTIVE again. */
bool listening_asks(const struct session *);
bool listening_inquired(struct session *);

/* The client's DISCARD ALL has succeeded. */
void listening_discard(struct session *);

#endif
