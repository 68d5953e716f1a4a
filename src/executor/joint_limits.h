/* joint_limits: timeouts of a member by which PostgreSQL would end the scope:
 * idle_in_transaction_session_timeout and transaction_timeout. They end that member. */
#ifndef PGWITH_EXECUTOR_JOINT_LIMITS_H
#define PGWITH_EXECUTOR_JOINT_LIMITS_H

#include "executor/joint_inside.h"

/* The joint is new. */
void joint_start_limits_(struct joint *);

/* The unit has moved: begins and ends the times that are kept. */
void joint_keep_limits_(struct joint *);

#endif
