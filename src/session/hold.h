/* hold: a lease of a session, and what it leaves in the server. */
#ifndef PGWITH_SESSION_HOLD_H
#define PGWITH_SESSION_HOLD_H

#include "session/session.h"

/* A lease was just taken: forgets what was known of the server of the lease before. */
void hold_begin(struct session *);

#endif
