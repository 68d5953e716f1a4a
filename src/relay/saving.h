/* saving: the server that a session is about to return, or keeps, is asked for the parameters that
 * the session has set; and those that the session has reset are set again. The session is in
 * SESSION_SAVING meanwhile. */
#ifndef PGWITH_RELAY_SAVING_H
#define PGWITH_RELAY_SAVING_H

#include <stdbool.h>

#include "session/session.h"

/* Asks for what the session has set. */
void saving_begin(struct session *);

/* The server has answered, and is at rest. Returns true if the session is in SESSION_ACTIVE again,
 * and knows what it has set; false if the server was asked again, or the session is over. */
bool saving_answered(struct session *);

/* The startup parameters that the client has reset are set again, where it keeps the server.
 * Returns true if the client waits for that. */
bool saving_reset_again(struct session *);

/* The same of what saving_reset_again() asked. */
bool saving_reset_answered(struct session *);

#endif
