/* turn: the driver. It alone decides what a session does next.
 *
 * When something happens that lets a session go on (a lease was granted, an answer has come, a lock
 * is free, a time limit has passed), the function that notices it changes the session's state and
 * calls session_wake(). When the callback of the event has returned, so that none of its functions
 * is on the stack any more, turn_all() gives each session that was woken its turn, until none is
 * left. */
#ifndef PGWITH_RELAY_TURN_H
#define PGWITH_RELAY_TURN_H

#include "session/site.h"

/* The callbacks of all sessions. */
extern const struct session_ops turn_session_ops;

/* Gives all sessions that were woken their turns. `site`: a struct site *. For loop_on_work(). */
void turn_all(void *site);

#endif
