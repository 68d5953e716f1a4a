/* frame: what the modules of executor/ share: a work begins or fails, a frame ends. */
#ifndef PGWITH_EXECUTOR_FRAME_H
#define PGWITH_EXECUTOR_FRAME_H

#include "base/err.h"
#include "executor/work.h"

/* Begins a work. The session is in SESSION_SCOPE until executor_finish(). */
struct work *frame_begin_work(struct session *, enum work_purpose);

/* To be called without a work: the session is ACTIVE if messages go by a lease, otherwise IDLE. */
void frame_choose_state(struct session *);

/* Keeps the error as the answer, if it is the first one. */
void frame_fail(struct work *, const struct err *);
void frame_fail_raw(struct work *, const struct buf *message);
/* ENTER fails with the error, which is cleared: its purpose is UNDO then. */
void frame_fail_enter(struct work *, struct err *);

/* Removes the frame of the client's own transaction if no scope is open in it any more: from then
 * on it is a plain transaction again. */
void frame_drop_implicit(struct session *);

/* Removes the innermost frame, which holds nothing any more but maybe a lock. */
void frame_pop(struct work *, struct scope *, enum timing_outcome, const char *word);

/* Logs and counts the end of a frame. A frame that has expired stays on the stack after that. */
void frame_log_end(struct work *, struct scope *, enum timing_outcome, const char *word);

/* Sends a statement of a scope's definition, or a deferred one, and notes what it does to the
 * session's state. */
void frame_run(struct session *, const struct deferred *, unsigned inquiry_options);

#endif
