/* opening: what ENTER does on a server that it has got: sets the session's parameters, sends BEGIN
 * or SAVEPOINT and the statements of the scope's definition. Then the frame is open. */
#ifndef PGWITH_EXECUTOR_OPENING_H
#define PGWITH_EXECUTOR_OPENING_H

struct work;

/* In WORK_SETUP: sends the first of these statements. */
void opening_start(struct work *);

/* A statement has ended: sends the next one. If it has failed, the work's purpose is UNDO then. */
void opening_go_on(struct work *);

#endif
