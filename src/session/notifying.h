/* notifying: gives the client the notifications that the keeper of its pool has for it.
 *
 * A session gets notifications as from PostgreSQL: outside of a transaction, between messages,
 * ahead of ReadyForQuery or while it idles. Until then they are kept (kept.h), KEPT_MAX bytes at
 * most. What the session listens to: listening.h. */
#ifndef PGWITH_SESSION_NOTIFYING_H
#define PGWITH_SESSION_NOTIFYING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "session/reword.h"
#include "session/session.h"

/* All but notifying_owes() need session->rare->listening. */

/* Is the client's ReadyForQuery kept back until the keeper has come as far? */
bool notifying_owes(const struct session *);

/* The end of a turn, or of an event: gives the client what is kept for it, as far as that is
 * possible now. Ends the session if the keeper is lost, or too much is kept. */
void notifying_turn(struct session *);

/* Gives the client what is kept for it, as far as that is possible now. Returns true if the rest
 * waits for its conversion, or for a client that is slow. */
bool notifying_waits(struct session *);

/* Sends what the server has answered since `from`; ahead of its last ReadyForQuery goes what is
 * kept. */
void notifying_reply(struct session *, const struct reword_from *from, const uint8_t *data,
		     size_t bytes);

/* The same, if reword_errors() sends it. Returns how many of the bytes that has to send. */
size_t notifying_reworded(struct session *, const uint8_t *data, size_t bytes);

#endif
