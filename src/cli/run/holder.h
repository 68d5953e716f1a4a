/* holder: the session of pgwithd that holds what pgwith run was asked for. */
#ifndef PGWITH_CLI_HOLDER_H
#define PGWITH_CLI_HOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/run/answer.h"
#include "cli/run/environment.h"
#include "cli/run/request.h"

struct holder;

/* Connects and enters what the request asks for, which may mean a wait. `user`: the role, or NULL;
 * `pool`: the pool to come in by if the request names none, or NULL. NULL if that fails: then
 * *status is the exit status, and stderr has the reason. */
struct holder *holder_open(const struct request *, const char *user, const char *pool, int *status);

/* Where the program's connections have to lead. Lasts as long as the holder. */
struct environment_place holder_place(const struct holder *);

/* The descriptor that is readable when there is something for holder_read(); -1: there is
 * nothing that could be lost. */
int holder_fd(const struct holder *);

/* When holder_ask() is to be called, by clock_us(); 0: not before its answer has come, or never. */
int64_t holder_ask_us(const struct holder *);

/* Asks pgwithd whether everything is held still; the answer comes to holder_read(). */
void holder_ask(struct holder *);

/* Reads what has come. False: something is not held any more. Then holder_why() says why. */
bool holder_read(struct holder *);
const char *holder_why(const struct holder *);

/* Leaves everything, the last first: commits the transactions, unless signals cut it short. Returns
 * 0, or the exit status: then stderr has the reason. */
int holder_leave_well(struct holder *, struct answer_cut *);

/* Leaves everything and rolls the transactions back. */
void holder_leave(struct holder *);

/* Says on stderr which connections of the program were not in the transactions, as far as the
 * request wants to know. Returns whether the program has worked outside of them. To be called when
 * they were left. */
bool holder_say_outside(const struct holder *, const struct request *);

/* Closes the session: what it holds still is released. */
void holder_close(struct holder *);

#endif
