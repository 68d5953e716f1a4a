/* remote: the servers that the pools lead to, each asked over a connection of our own. */
#ifndef PGWITH_CLI_REMOTE_H
#define PGWITH_CLI_REMOTE_H

#include <stdint.h>

#include "cli/findings.h"
#include "conf/conf.h"

struct remote_how {
	int64_t timeout_us;          /* of one connect */
	const char *user;            /* for pools with role = client; or NULL */
	const struct table *servers; /* SHOW SERVERS of the daemon that runs; or NULL */
};

/* Looks at the server of every pool, and at those together that lead to the same one. */
void remote_check(struct findings *, const struct conf *, const struct remote_how *);

/* What may help against a failed connect, by its SQLSTATE ("": none) and message. Static. */
const char *remote_cure(const char *sqlstate, const char *message);

#endif
