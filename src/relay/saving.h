/* saving: asks the server which parameters the session has set, before the server is returned; and
 * sets startup parameters again that the session has reset, if it keeps the server. The session is
 * in SESSION_SAVING meanwhile. */
#ifndef PGWITH_RELAY_SAVING_H
#define PGWITH_RELAY_SAVING_H

#include <stdbool.h>

#include "session/message.h"
#include "session/session.h"

/* Asks the server what the session has set. */
void saving_begin(struct session *);

/* The server has answered, and is at rest. Returns true if the session is in SESSION_ACTIVE again,
 * and knows what it has set; false if the server was asked again, or the session is over. */
bool saving_answered(struct session *);

/* If the session keeps the server, sets the startup parameters again that the client has reset.
 * Returns true if the client has to wait for that. */
bool saving_reset_again(struct session *);

/* The server has answered saving_reset_again(), and is at rest. Returns as saving_answered(). */
bool saving_reset_answered(struct session *);

/* context.resets_failed: the transaction has failed when the startup parameters were set again,
 * because a cancel that came late, or a short statement_timeout, has hit the savepoint around that.
 * The message gets the error, unless it ends the transaction by a ROLLBACK. */
enum verdict saving_tell_failure(struct session *, struct message *);

#endif
