/* opening: what ENTER does on a server that it has: the session's parameters, BEGIN or SAVEPOINT,
 * the statements of the scope's definition. Then the frame is open. */
#ifndef PGWITH_EXECUTOR_OPENING_H
#define PGWITH_EXECUTOR_OPENING_H

struct work;

/* In WORK_SETUP: the first of them goes to the server. */
void opening_start(struct work *);

/* One of them has ended: the next, or the work is to UNDO. */
void opening_heard(struct work *);

#endif
