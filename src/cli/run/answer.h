/* answer: waits for what pgwithd answers on a connection of libpq that does not block. */
#ifndef PGWITH_CLI_ANSWER_H
#define PGWITH_CLI_ANSWER_H

#include <stdint.h>

#include <libpq-fe.h>

/* What ended a wait. */
enum answer { ANSWER_CAME, ANSWER_TIME, ANSWER_SIGNAL };

/* Waits for the socket until `deadline` of clock_us() (0: without limit), or until the descriptor
 * `signals` (-1: there is none) is readable. */
enum answer answer_wait(PGconn *, short events, int64_t deadline, int signals);

/* Waits for the result of what was sent, until `deadline` (0: without limit). If a signal comes to
 * the descriptor `signals` (-1: there is none), the statement is cancelled. NULL: no result comes.
 * The caller frees it by PQclear(). */
PGresult *answer_take(PGconn *, int64_t deadline, int signals);

#endif
