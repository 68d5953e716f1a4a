/* listening: what a session listens to by the keeper of its pool (pool/keeper.h), without a server
 * of its own: the option listen_mode = shared.
 *
 * A text of LISTEN and UNLISTEN only, outside of a transaction, is carried out by the keeper. In a
 * transaction, see transact.h. All else goes to the session's own server, and pins the session there.
 *
 *	quiet -> asked                      the keeper is asked; the client's message waits
 *	asked -> granted, refused, failed   it has answered
 *	granted, refused, failed -> quiet   the message has been judged by that
 *	quiet -> passed -> quiet            a message that ends listening has gone to the server,
 *	                                    and has been answered; those behind it wait
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

/* The server of the session has answered all, and is at rest. */
void listening_answered(struct session *);

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
