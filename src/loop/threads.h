/* threads: runs calls that block (libpq's PQcancel(), getaddrinfo()) on threads, so that the loop
 * goes on. Threads are started as needed, up to a maximum, and end when they are idle. */
#ifndef PGWITH_LOOP_THREADS_H
#define PGWITH_LOOP_THREADS_H

#include "loop/loop.h"

struct threads;

/* At most `max_threads` jobs run at once, and at most `max_lane` of one lane (threads_submit()).
 * The others wait in a queue, first in first out. */
struct threads *threads_new(struct loop *, unsigned max_threads, unsigned max_lane);

/* Calls run(arg) on a thread, then done(arg) in the loop. Until done(), `arg` belongs to the job
 * and must share nothing with the loop. Whoever submitted the job may be gone by then: done() looks
 * it up by its id. Jobs that may all hang for the same reason (a host that does not answer) have
 * the same `lane`, so that they cannot take all threads. A lane is an address that is only
 * compared; NULL: none. Jobs that have lanes and the same run() are of one kind: together they take
 * at most three quarters of the threads. If the name service hangs, the look-ups of all pools hang,
 * and jobs of other kinds still run. */
void threads_submit(struct threads *, const void *lane, void (*run)(void *arg),
		    void (*done)(void *arg), void *arg);

/* Jobs submitted whose done() has not been called. */
unsigned threads_pending(const struct threads *);

/* Frees it if no job is pending. If one is, a thread still uses the struct: it is not freed, but
 * done() is not called any more. */
void threads_free(struct threads *);

#endif
