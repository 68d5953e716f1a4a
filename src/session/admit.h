/* admit: who a client is on this machine, what its user may therefore do, and the waiting for what
 * the operating system must be asked for first (users.h). */
#ifndef PGWITH_SESSION_ADMIT_H
#define PGWITH_SESSION_ADMIT_H

#include <stdint.h>

#include "base/err.h"
#include "conf/access.h"

struct site;
struct pool;
struct session;
struct user;

/* May the session's user come in as this role, and use the pool of this name (that of the console,
 * or one that is not there: no question)? ACCESS_NO: *e says why not. ACCESS_ASK: the system is
 * being asked; the session is in SESSION_LOOKUP, and login_looked_up() is called then. */
enum access admit_login(struct session *, const char *role, const char *database, struct err *e);

/* May it use the group of pools, too? ACCESS_ASK: the system is being asked, and
 * enter_looked_up() is called then. */
enum access admit_pool(struct session *, const struct pool *group, struct err *e);

/* ERR_USER_LOOKUP: the system has not told in time. */
void admit_too_late(const struct session *, int64_t limit_us, struct err *e);

#endif
