/* times: SHOW TIMES, how long things took in each pool. */
#ifndef PGWITH_ADMIN_TIMES_H
#define PGWITH_ADMIN_TIMES_H

#include "admin/command.h"

/* Runs SHOW TIMES. From the first one on, the times of transactions and statements are counted, if
 * they are not for metrics_listen. */
int times_show(const struct command_call *, struct err *);

#endif
