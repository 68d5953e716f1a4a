/* enter: ENTER, item by item. */
#ifndef PGWITH_EXECUTOR_ENTER_H
#define PGWITH_EXECUTOR_ENTER_H

#include <stdint.h>

#include "base/err.h"
#include "executor/work.h"
#include "scope/grammar.h"
#include "scope/lock.h"

/* Begins it: work->statement is what is to be entered. */
void enter_begin(struct work *);

/* COMMIT AND CHAIN: the next block begins. */
void enter_chain(struct work *);

/* Goes on with it. */
void enter_go(struct work *);

/* Wakes one that waits: it has its lease, or will not get it. */
void enter_granted(struct work *);
void enter_refused(struct work *, struct err *);

/* In WORK_USER: what was asked for is known now; or it is not, for that reason. */
void enter_looked_up(struct session *);
void enter_not_looked_up(struct session *, const struct err *);

/* Is it in WORK_USER? */
bool enter_looks_up(const struct session *);

/* SESSION_SCOPE: does ENTER wait for a server, a lock, or an answer of the system? */
bool enter_waits(const struct session *);

/* For those of the process before: timers run and waits are known again. */
void enter_adopted(struct session *);

/* Of every lock of a frame. */
extern const struct lock_ops enter_lock_ops;

/* ---- between enter and opening ---- */

/* Its server has not taken the session's parameters: it is closed, and a new one wanted. */
void enter_again(struct work *);

/* What is being entered. */
const struct grammar_item *enter_item(const struct work *);

/* ENTER fails with the error, which is cleared, and what it has entered is to be undone. */
void enter_fail(struct work *, struct err *);

/* The error of a wait that took longer than WAIT says. */
void enter_too_long(struct work *, struct err *);

/* The timer of WAIT, for what is left of it, but at least that, in microseconds. */
void enter_start_timer(struct work *, int64_t least_us);
void enter_stop_timer(struct work *);

#endif
