/* level: who may use a command of the console. A higher level has all that the ones below it have.
 */
#ifndef PGWITH_ADMIN_LEVEL_H
#define PGWITH_ADMIN_LEVEL_H

#include "daemon/daemon.h"

enum level {
	LEVEL_ANY,   /* whoever may come in as some role */
	LEVEL_STATS, /* roles in stats_users */
	LEVEL_ADMIN  /* roles in admin_users, root, and the user that pgwithd runs as */
};

enum level level_of(const struct session *);
/* everyone, stats, admin */
const char *level_name(enum level);

/* Whose own sessions alone are seen and touched by a command that needs the level `others` for
 * those of others: those of `session`, which has `level`; NULL: all are. */
const struct session *level_own(const struct session *session, enum level level, enum level others);

#endif
