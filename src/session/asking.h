/* asking: the question to a server, before it is returned, which parameters the session has set
 * there, and what pins the session to it. The end of a plain transaction (relay/saving.h) and the
 * end of a scope (executor/exit.h) ask it in the same words. */
#ifndef PGWITH_SESSION_ASKING_H
#define PGWITH_SESSION_ASKING_H

#include <stdbool.h>

#include "session/inquiry.h"

/* Asks the server of session->hold, by an inquiry that may be cut short. `patient`: the question
 * turns off the session's own statement_timeout while it is answered. */
void asking_begin(struct session *, enum inquiry_passes, bool patient);

/* The inquiry has ended in this state, which is not CUT_SHORT. Keeps the answer in
 * session->context; if there is none, or none that can be kept, pins the session. If its pool has
 * pin = off, the session is ended instead, and false returned: the server needs a DISCARD ALL. */
bool asking_answered(struct session *, enum inquiry_state how);

#endif
