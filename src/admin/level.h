/* level: who may use a command of the console. A higher level includes the lower ones. */
#ifndef PGWITH_ADMIN_LEVEL_H
#define PGWITH_ADMIN_LEVEL_H

#include "daemon/daemon.h"

enum level {
	LEVEL_ANY,   /* everybody who may come in as some role */
	LEVEL_STATS, /* roles in stats_users */
	LEVEL_ADMIN  /* roles in admin_users, root, and the user that pgwithd runs as */
};

struct command_call;
struct err;

enum level level_of(const struct session *);
/* The name of a level: everyone, stats or admin. */
const char *level_name(enum level);

/* Whose sessions a command may see and change: if it needs the level `others` for sessions of
 * others, and `level`, that of `session`, is lower: only those of the user of `session`, which is
 * returned; otherwise all: NULL. */
const struct session *level_own(const struct session *session, enum level level, enum level others);

/* SHOW LEVEL: the role and the level of the session that asks. */
int level_show(const struct command_call *, struct err *);

#endif
