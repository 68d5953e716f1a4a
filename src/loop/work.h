/* work: blocking calls on threads, off the loop (libpq's PQcancel(), getaddrinfo()). Threads are
 * made as they are needed, up to a maximum, and end when there is nothing to do. */
#ifndef PGWITH_LOOP_WORK_H
#define PGWITH_LOOP_WORK_H

#include "loop/loop.h"

struct work;

/* `max_threads`: jobs that run at once; the others queue, first in first out. `max_lane`: of those,
 * the ones of one lane. */
struct work *work_new(struct loop *, unsigned max_threads, unsigned max_lane);

/* run(arg) is called on a thread, then done(arg) in the loop. `arg` is the job's until done(): it
 * shares nothing with the loop, and done() finds whoever asked by id, since they may be gone.
 * Jobs that may all hang for the same reason (a host that says nothing) have the same lane, so that
 * they cannot take all threads; it is only compared, never looked into. NULL: none. */
void work_submit(struct work *, const void *lane, void (*run)(void *arg), void (*done)(void *arg),
		 void *arg);

/* Jobs submitted whose done() has not been called. */
unsigned work_pending(const struct work *);

/* Frees it if nothing is pending. Otherwise the threads still use it: it is left to the end of the
 * process, and done() is not called any more. */
void work_free(struct work *);

#endif
