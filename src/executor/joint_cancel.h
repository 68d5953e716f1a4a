/* joint_cancel: the cancels of a joined scope's members. A cancel for the members' server becomes
 * one for PostgreSQL, if that works at what the member has asked for. */
#ifndef PGWITH_EXECUTOR_JOINT_CANCEL_H
#define PGWITH_EXECUTOR_JOINT_CANCEL_H

#include <stdbool.h>
#include <stdint.h>

struct joint;
struct server;

/* The cancel() of struct pool_joined; `arg` is the joint. */
void joint_cancel_(void *arg, struct server *, uint64_t requester);

/* Would a cancel hit what the member has asked for? Not while statements of our own run: with them
 * the scope would fail. But the commit of a unit may take long, and may fail. */
bool joint_can_be_hit_(const struct joint *);

/* Sends a cancel that had to wait, if it can now; or drops it, as what it was for has ended. */
void joint_cancel_kept_(struct joint *);

/* The members' server is gone: so are its cancels. */
void joint_cancel_forget_(struct joint *);

/* PostgreSQL has been cancelled: tells the members' server. */
void joint_cancel_over_(struct joint *);

#endif
