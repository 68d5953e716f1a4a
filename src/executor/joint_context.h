/* joint_context: the parameters of the member that is served now, for the end of its unit
 * (scope/unit.h). */
#ifndef PGWITH_EXECUTOR_JOINT_CONTEXT_H
#define PGWITH_EXECUTOR_JOINT_CONTEXT_H

#include "base/buf.h"

/* As unit_parameters_fn; the argument is the joint. False while the member's session gives the
 * server its parameters or asks for them, or has executed what may have set some. */
bool joint_context_(void *joint, struct buf *sql);

#endif
