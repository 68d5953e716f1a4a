/* letin: looks at whom a configuration lets in: to pools, and to the console as administrators. */
#ifndef PGWITH_CLI_LETIN_H
#define PGWITH_CLI_LETIN_H

#include "cli/findings.h"
#include "conf/conf.h"

/* To be called as the daemon's user, with its environment: the role that a pool logs in as may come
 * from these. */
void letin_check(struct findings *, const struct conf *);

#endif
