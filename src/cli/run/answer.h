/* answer: waits for what pgwithd answers on a connection of libpq that does not block. */
#ifndef PGWITH_CLI_ANSWER_H
#define PGWITH_CLI_ANSWER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <libpq-fe.h>

/* How signals cut a wait short: the first one cancels the statement that runs; a second one, or
 * `patience_us` after the first, ends the wait. Lasts over several statements. */
struct answer_cut {
	int signals;         /* descriptor of signalfd(2) that does not block; -1: there is none */
	int64_t patience_us; /* for a statement that was cancelled */
	int64_t until_us;    /* when that is over; 0: no signal has come */
	bool over;           /* the second signal has come */
	bool keeps;          /* the statement that runs is not to be cancelled */
	pid_t canceller;     /* the process that asks for the cancel; 0: there is none */
};

/* Has a signal come? */
bool answer_is_cut(struct answer_cut *);

/* Waits for the result of what was sent, until `deadline` (0: without limit), or until signals cut
 * it short (NULL: they do not). NULL: no result comes. The caller frees it by PQclear(). */
PGresult *answer_take(PGconn *, int64_t deadline, struct answer_cut *);

#endif
