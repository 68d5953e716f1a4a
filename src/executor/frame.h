/* frame: what all that carries out scope statements needs: the work begins and fails, a frame of
 * the stack ends. */
#ifndef PGWITH_EXECUTOR_FRAME_H
#define PGWITH_EXECUTOR_FRAME_H

#include "base/err.h"
#include "executor/work.h"

/* The session is at work until executor_finish(). */
struct work *frame_begin_work(struct session *, enum work_purpose);

/* Outside of any work the state says whether messages go by a lease. */
void frame_settle_state(struct session *);

/* Keeps the first error as the answer. */
void frame_fail(struct work *, const struct err *);
void frame_fail_raw(struct work *, const struct buf *message);

/* A transaction of the client's own is plain again when nothing is open inside it. */
void frame_drop_implicit(struct session *);

/* The frame, innermost and holding nothing but a lock, is gone. */
void frame_pop(struct work *, struct scope *, enum timing_outcome, const char *word);

/* The same is logged and counted of one that has expired and stays. */
void frame_log_end(struct work *, struct scope *, enum timing_outcome, const char *word);

/* Runs a statement of the scope's definition, or a deferred one. What it does to the session's
 * state is noted. */
void frame_run(struct session *, const struct deferred *, unsigned inquiry_options);

#endif
