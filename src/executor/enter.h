/* enter: ENTER, item by item. */
#ifndef PGWITH_EXECUTOR_ENTER_H
#define PGWITH_EXECUTOR_ENTER_H

#include <stdint.h>

#include "base/err.h"
#include "scope/grammar.h"
#include "scope/lock.h"
#include "session/scopes.h"

/* Begins it: sc->statement is what is to be entered. */
void enter_begin(struct scopes *);

/* COMMIT AND CHAIN: the next block begins. */
void enter_chain(struct scopes *);

/* Goes on with it. */
void enter_go(struct scopes *);

/* Wakes one that waits: it has its lease, or will not get it. */
void enter_granted(struct scopes *);
void enter_refused(struct scopes *, struct err *);

/* In STEP_USER: what was asked for is known now; or it is not, for that reason. */
void enter_looked_up(struct scopes *);
void enter_not_looked_up(struct scopes *, const struct err *);

/* Is it in STEP_USER? */
bool enter_looks_up(const struct session *);

/* SESSION_SCOPE: does ENTER wait for a server, a lock, or an answer of the system? */
bool enter_waits(const struct session *);

/* For those of the process before: timers run and waits are known again. */
void enter_adopted(struct scopes *);

/* Of every lock of a frame. */
extern const struct lock_ops enter_lock_ops;

/* ---- between enter and opening ---- */

/* Its server has not taken the session's parameters: it is closed, and a new one wanted. */
void enter_again(struct scopes *);

/* What is being entered. */
const struct grammar_item *enter_item(const struct scopes *);

/* ENTER fails with the error, which is cleared, and what it has entered is to be undone. */
void enter_fail(struct scopes *, struct err *);

/* The error of a wait that took longer than WAIT says. */
void enter_too_long(struct scopes *, struct err *);

/* The timer of WAIT, for what is left of it, but at least that, in microseconds. */
void enter_start_timer(struct scopes *, int64_t least_us);
void enter_stop_timer(struct scopes *);

#endif
