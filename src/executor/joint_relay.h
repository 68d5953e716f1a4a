/* joint_relay: what passes between the members' end of a joined scope and PostgreSQL, as the unit
 * (scope/unit.h) decides: the bytes of the member that is served now, statements of our own, and
 * the answers. */
#ifndef PGWITH_EXECUTOR_JOINT_RELAY_H
#define PGWITH_EXECUTOR_JOINT_RELAY_H

#include "base/err.h"
#include "executor/joint_inside.h"

/* Of the lease of the scope's frame while the joint has it. */
extern const struct lease_ops joint_lease_ops_;

/* Makes a socket pair; our end of it is the front. Returns the other end, or -1. */
int joint_make_front_(struct joint *);

/* Sends what the unit has to say. Returns false if the scope is lost. */
bool joint_send_unit_(struct joint *);

/* Tells all members, and ends them. */
void joint_end_members_(struct joint *, enum err_id id, const char *why);
/* Ends the member that is served now, as PostgreSQL ends a session. */
void joint_end_member_(struct joint *, const char *sqlstate, const char *why);

/* The scope cannot go on: its owner is told, and ends; with it, the scope and its members. */
void joint_lose_(struct joint *, const char *why);

#endif
