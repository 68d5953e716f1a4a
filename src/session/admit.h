/* admit: may the system user of a client come in as a role, and use a pool? The answer may need
 * names and groups that the operating system must be asked for first (users.h). */
#ifndef PGWITH_SESSION_ADMIT_H
#define PGWITH_SESSION_ADMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "conf/access.h"

struct site;
struct pool;
struct session;
struct user;

/* May the session's user come in as this role, and use the pool of this name? (A name without a
 * pool, such as the console's, is no obstacle.) ACCESS_NO: *e says why not. ACCESS_ASK: the system
 * is being asked; the session is in SESSION_LOOKUP, and login_looked_up() is called with the
 * answer. */
enum access admit_login(struct session *, const char *role, const char *database, struct err *e);

/* The client has proved by its password that it is the role that it has come as. May it use the
 * pool of this name? (As above, a name without a pool is no obstacle.) False: *e says why not. */
bool admit_proved(struct session *, const char *database, struct err *e);

/* May the session's user use this group of pools, too? ACCESS_ASK: the system is being asked, and
 * enter_looked_up() is called with the answer. */
enum access admit_pool(struct session *, const struct pool *group, struct err *e);

/* Makes the error ERR_USER_LOOKUP: the system has not answered in time. */
void admit_too_late(const struct session *, int64_t limit_us, struct err *e);

#endif
