/* joint_cancel: the cancels of a joined scope's members. A cancel for the members' server becomes
 * one for PostgreSQL, if that works at what the member has asked for. */
#ifndef PGWITH_EXECUTOR_JOINT_CANCEL_H
#define PGWITH_EXECUTOR_JOINT_CANCEL_H

#include <stdint.h>

struct joint;
struct server;

/* The cancel() of struct pool_joined; `arg` is the joint. */
void joint_cancel_(void *arg, struct server *, uint64_t requester);

/* PostgreSQL has been cancelled: tells the members' server. */
void joint_cancel_over_(struct joint *);

#endif
