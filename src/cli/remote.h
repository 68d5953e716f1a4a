/* remote: checks the servers that the pools lead to, over a connection to each. */
#ifndef PGWITH_CLI_REMOTE_H
#define PGWITH_CLI_REMOTE_H

#include <stdint.h>

#include "cli/findings.h"
#include "conf/conf.h"

struct remote_how {
	int64_t timeout_us;          /* time limit of connecting */
	const char *user;            /* role for pools with role = client; or NULL */
	const struct table *servers; /* SHOW SERVERS of the running daemon; or NULL */
};

/* Checks the server of every pool, and together those pools that lead to the same server. */
void remote_check(struct findings *, const struct conf *, const struct remote_how *);

#endif
