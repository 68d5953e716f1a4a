/* authcheck: looks at what proves the passwords of clients (options auth, auth_query), and finds
 * what would turn every client away. */
#ifndef PGWITH_CLI_AUTHCHECK_H
#define PGWITH_CLI_AUTHCHECK_H

#include "cli/direct.h"
#include "cli/findings.h"
#include "conf/conf.h"

/* If the pool is auth_pool, and clients are asked for passwords: runs auth_query over the
 * connection, for a role that does not exist, and adds what it finds. */
void authcheck_pool(struct findings *, const struct conf *, const char *subject,
		    const struct direct *);

/* What to do about this problem of a configuration (struct conf_problem, `text`), if it is about
 * auth_file. NULL otherwise. The text is static. */
const char *authcheck_cure_of_file(const char *text);

#endif
