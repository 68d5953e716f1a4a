/* admission: looks at whom a configuration lets use pools and administer pgwithd, and finds what
 * may not be meant. */
#ifndef PGWITH_CLI_ADMISSION_H
#define PGWITH_CLI_ADMISSION_H

#include "cli/findings.h"
#include "conf/conf.h"

/* Adds what it finds. To be called as the daemon's user, with its environment, because the role
 * that a pool logs in as may come from these. */
void admission_check(struct findings *, const struct conf *);

#endif
