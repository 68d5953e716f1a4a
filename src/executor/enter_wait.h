/* enter_wait: the item of an ENTER that has to wait for a server or a lock: whether it may, for how
 * long, and what the client is told if that was in vain. */
#ifndef PGWITH_EXECUTOR_ENTER_WAIT_H
#define PGWITH_EXECUTOR_ENTER_WAIT_H

#include <stdint.h>

#include "base/err.h"
#include "executor/work.h"

/* The frame waits, if it may: not if sessions would wait for each other, and not with WAIT 0. */
void enter_wait_begin(struct work *);

/* Ends the wait with the error, which is cleared: ENTER fails. */
void enter_wait_end(struct work *, struct err *);

/* Notes in site->waits what the frame waits for. */
void enter_wait_note(struct work *);

/* Makes the error of a wait that took longer than WAIT says. */
void enter_wait_error(struct work *, struct err *);

/* Starts the timer of WAIT with what is left of the time, but at least least_us. */
void enter_wait_start_timer(struct work *, int64_t least_us);
void enter_wait_stop_timer(struct work *);

#endif
