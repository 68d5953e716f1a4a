/* listening: what a session listens to by the keeper of its pool (pool/keeper.h), without a server
 * of its own: the option listen_mode = shared.
 *
 * A text of LISTEN and UNLISTEN only, outside of a transaction, is carried out by the keeper; in the
 * extended protocol, the session's server does that, too, for its answers, and then ends it again.
 *
 * In a transaction the text goes to the session's server. Behind it, as a statement of ours, goes
 * LISTEN of a channel with a number, the mark, which PostgreSQL itself undoes with savepoints. A
 * COMMIT that stands alone waits until the keeper LISTENs to all channels of the transaction; from
 * then on their notifications are kept. When it is answered, the server is asked what it listens to:
 * the marks say what has survived. The server ends to listen, and the keeper goes on.
 *
 * All else goes to the session's own server, and pins the session there.
 *
 *	quiet -> asked                      the keeper is asked; the client's message waits
 *	asked -> granted, refused, failed   it has answered
 *	granted, refused, failed -> quiet   the message has been judged by that
 *	quiet, granted -> passed            a message that matters has gone to the server; those
 *	                                    behind its exchange wait
 *	passed -> marks -> quiet            it was a LISTEN or UNLISTEN in a transaction, and the
 *	                                    server gets a mark for it
 *	passed, quiet -> looks              a transaction has ended: the server is asked what it
 *	                                    listens to
 *	looks -> clears -> quiet            it is told to listen to nothing that the keeper does
 *	passed, looks -> quiet              there is nothing more to be done
 *
 * A session gets notifications as from PostgreSQL: outside of a transaction, between messages, ahead
 * of ReadyForQuery or while it idles. Until then they are kept, up to LISTENING_MAX bytes. */
#ifndef PGWITH_SESSION_LISTENING_H
#define PGWITH_SESSION_LISTENING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pack.h"
#include "session/message.h"
#include "session/session.h"

#define LISTENING_MAX (8 * 1024 * 1024) /* bytes of notifications kept for one session */

/* These texts concern it, or may. */
#define LISTENING_WORDS (SQLCLASS_LISTEN | SQLCLASS_UNLISTEN | SQLCLASS_DISCARD_ALL)

enum listening_state {
	LISTENING_QUIET,
	LISTENING_ASKED,
	LISTENING_GRANTED,
	LISTENING_REFUSED,
	LISTENING_FAILED,
	LISTENING_PASSED,
	LISTENING_MARKS,
	LISTENING_LOOKS,
	LISTENING_CLEARS,
	LISTENING_NSTATES
};

/* Judges a message, ahead of all else that is done with it in SESSION_IDLE or ACTIVE. FORWARD: it is
 * an ordinary one. Call it if the message has LISTENING_WORDS, or if the session has
 * rare->listening. */
enum verdict listening_judge(struct session *, struct message *);

/* The end of a turn, or of an event: gives the client what is kept for it, as far as that is
 * possible now. Ends the session if the keeper is lost, or too much is kept. */
void listening_turn(struct session *);

/* Sends what the server has answered; ahead of a ReadyForQuery at its end goes what is kept. */
void listening_reply(struct session *, const uint8_t *data, size_t bytes);

/* The verdict on a message that listening_judge() has let pass to the server, at the end. */
void listening_judged(struct session *, enum verdict);

/* Which of these SQLCLASS_... bits of a message, with pin = off, would still pin the session? */
unsigned listening_pins(const struct session *, const struct message *, unsigned set);

/* A text with these SQLCLASS_... bits is about to be executed by the session's server. Returns them
 * without those of which the keeper relieves the server. */
unsigned listening_takes(struct session *, unsigned set);

/* The server of the session has answered all, and is at rest. Returns true if it is asked something:
 * the session is in SESSION_SAVING then. */
bool listening_answered(struct session *);

/* SESSION_SAVING: is that so? Then listening_inquired() takes the answer. It returns true when there
 * is no more to be asked: the session is ACTIVE again. */
bool listening_asks(const struct session *);
bool listening_inquired(struct session *);

/* The client's DISCARD ALL has succeeded. */
void listening_discard(struct session *);

/* How many channels the session listens to by the keeper. */
unsigned listening_channels(const struct session *);

/* The session is closed: gives up all. Then frees it. */
void listening_end(struct session *);
void listening_free(struct session *);

/* For the handover. */
void listening_pack(struct pack *, struct session *);

#endif
