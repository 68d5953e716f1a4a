/* enter: ENTER, item by item. An item that has to wait: enter_wait.h. */
#ifndef PGWITH_EXECUTOR_ENTER_H
#define PGWITH_EXECUTOR_ENTER_H

#include <stdbool.h>

#include "base/err.h"
#include "executor/work.h"
#include "scope/grammar.h"
#include "scope/lock.h"

/* Begins to enter what work->statement says. */
void enter_begin(struct work *);

/* COMMIT AND CHAIN has ended the client's transaction: begins the next one. */
void enter_chain(struct work *);

/* Goes on as far as that is possible without waiting. */
void enter_go(struct work *);

/* An ENTER in WORK_WAIT: it has got its lease or lock, or will not get it. */
void enter_granted(struct work *);
void enter_refused(struct work *, struct err *);

/* An ENTER in WORK_USER: the system has answered; or it has not, and the error says why. */
void enter_looked_up(struct session *);
void enter_not_looked_up(struct session *, const struct err *);

/* Is the session's ENTER in WORK_USER? */
bool enter_looks_up(const struct session *);

/* Does the session's ENTER wait for a server, a lock, or an answer of the system? */
bool enter_waits(const struct session *);

/* A session of the process before: starts its timers, and notes what it waits for. */
void enter_adopted(struct session *);

/* The callbacks of every frame's lock. */
extern const struct lock_ops enter_lock_ops;

/* ---- between enter and opening ---- */

/* The server has refused the session's parameters: closes it, and asks for a new one. */
void enter_again(struct work *);

/* The item that is being entered. */
const struct grammar_item *enter_item(const struct work *);

#endif
