/* access: may a user of the operating system come in as a role, and use a pool? Decided from what
 * is known of the user; ACCESS_ASK where that is not enough. */
#ifndef PGWITH_CONF_ACCESS_H
#define PGWITH_CONF_ACCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "conf/allow.h"
#include "conf/conf.h"

/* A group that an option users names. */
struct access_group {
	char *name;  /* as written: a name, or a gid in digits */
	gid_t gid;   /* (gid_t)-1: there is no such group */
	bool member; /* the user is, by the system's own list */
};

/* A user, as far as it is known. */
struct access_user {
	uid_t uid;
	const char *name; /* NULL: not known; "": the uid has none */
	/* Groups that were asked for. */
	const struct access_group *groups;
	unsigned ngroups;
	/* The groups of the client's process. */
	const gid_t *gids;
	unsigned ngids;
};

/* May the user come in as `role`? `self` is the uid of the daemon. Always: root and `self` as any
 * role, everybody else as the role of their own name. More by the option allow: "*" everyone as
 * anyone, "app" everyone as that role, "www-data:app" that user as that role, "www-data:*" that
 * user as anyone, "1001:app" the same by uid. */
enum access access_role(const struct conf *, uid_t self, const struct access_user *,
			const char *role);

/* May the user use the pool? Always: root and `self`. Others by the option users; if that is empty,
 * with role = fixed the user whose name is `login`, the role that the pool logs in as, and with
 * role = client everybody. */
enum access access_pool(const struct conf_pool *, const char *login, uid_t self,
			const struct access_user *);

/* Calls fn(arg, group) for each group that a pool names, maybe several times for one. */
void access_groups(const struct conf *, void (*fn)(void *arg, const char *group), void *arg);

#endif
