/* asking: before a server goes back, it is asked for the parameters that the session has set there,
 * and for what pins the session. It is the same question at the end of a plain transaction and of
 * a scope. */
#ifndef PGWITH_SESSION_ASKING_H
#define PGWITH_SESSION_ASKING_H

#include <stdbool.h>

#include "session/inquiry.h"

/* Asks the server of session->hold, by an inquiry that may be cut short. `patient`: in a way that
 * the session's own statement_timeout does not end. */
void asking_begin(struct session *, enum inquiry_passes, bool patient);

/* The inquiry has ended so, not CUT_SHORT. Takes over what the server says; without an answer that
 * can be kept, the session is pinned. Returns false if its pool has pin = off: the session has been
 * ended, and the server needs a DISCARD ALL. */
bool asking_answered(struct session *, enum inquiry_state how);

#endif
