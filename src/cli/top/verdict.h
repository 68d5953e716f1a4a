/* verdict: the state of everything in one sentence, and who is to blame. */
#ifndef PGWITH_CLI_TOP_VERDICT_H
#define PGWITH_CLI_TOP_VERDICT_H

#include "cli/top/model.h"

/* A sentence about the worst that the model knows, which the caller frees: a pool that is not
 * ready, else the longest wait for a server or a lock, with the session at whose end the others go
 * on; if nobody waits, who holds something longest. Other pools and locks in trouble are named
 * behind it. */
char *verdict_of(const struct model *, enum table_mood *mood);

/* The name of a client: of its application, its program or its role, whichever the table has. */
const char *verdict_name(const struct table *, unsigned row);
/* Program, process and application_name, as SHOW HEALTH has them: "psql, pid 4242, app". The caller
 * frees. */
char *verdict_who(const struct table *, unsigned row, const char *pid_column);

#endif
