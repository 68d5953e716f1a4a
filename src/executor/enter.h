/* enter: what it shares with opening. What others call is in scopes.h. */
#ifndef PGWITH_EXECUTOR_ENTER_H
#define PGWITH_EXECUTOR_ENTER_H

#include <stdint.h>

#include "base/err.h"
#include "scope/grammar.h"

struct scopes;

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
