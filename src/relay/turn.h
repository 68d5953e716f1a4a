/* turn: the driver. It alone decides what a session does next.
 *
 * Whoever changes something that a session may go on from (a lease was granted, an answer has come,
 * a lock is free, a time limit has passed) changes its state and calls session_wake(). When the
 * callback of the event has returned, and none of its functions is on the stack any more,
 * turn_all() goes on with each session that was woken, one after the other, until none is. */
#ifndef PGWITH_RELAY_TURN_H
#define PGWITH_RELAY_TURN_H

#include "session/site.h"

/* Of all sessions. */
extern const struct session_ops turn_session_ops;

/* Goes on with the sessions that were woken. `site` is a struct site *: for loop_on_work(). */
void turn_all(void *site);

#endif
