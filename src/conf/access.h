/* access: may a user of the operating system log in as a role, and use a pool? The answer is given
 * by what is known of the user so far. ACCESS_ASK: that is not enough; the caller asks the system
 * for the user's name and groups, and then asks here again. */
#ifndef PGWITH_CONF_ACCESS_H
#define PGWITH_CONF_ACCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "conf/allow.h"
#include "conf/conf.h"

/* A group that the option users of some pool names. */
struct access_group {
	char *name;  /* as written: a name, or a gid in digits */
	gid_t gid;   /* (gid_t)-1: there is no such group */
	bool member; /* the system lists the user as a member */
};

/* What is known of a user. */
struct access_user {
	uid_t uid;
	const char *name; /* NULL: not known; "": the uid has none */
	/* The groups that the system has been asked about. */
	const struct access_group *groups;
	unsigned ngroups;
	/* The groups of the client's process: known without asking. */
	const gid_t *gids;
	unsigned ngids;
};

/* May the user log in as `role`? `self` is the uid of the daemon. Root and `self` may as any role,
 * everybody else as the role that is named as they are. The option allow lets in more: "*" everyone
 * as anyone, "app" everyone as that role, "www-data:app" that user as that role, "www-data:*" that
 * user as anyone, "1001:app" the user with that uid as that role. */
enum access access_role(const struct conf *, uid_t self, const struct access_user *,
			const char *role);

/* May the user use the pool? Root and `self` always may. Of the others, those in the option users.
 * If that is empty: with role = fixed the user whose name is `login`, the role that the pool logs
 * in as; with role = client everybody. */
enum access access_pool(const struct conf_pool *, const char *login, uid_t self,
			const struct access_user *);

/* May a client use the pool that has proved by a password that it is `role`? So it is if the option
 * users has role:NAME with its name, or "*". If that is empty: with role = fixed if it is `login`,
 * with role = client always. */
bool access_pool_role(const struct conf_pool *, const char *login, const char *role);

/* Calls fn(arg, group) for each group that the option users of a pool names. If several pools name
 * a group, fn() is called several times for it. */
void access_groups(const struct conf *, void (*fn)(void *arg, const char *group), void *arg);

#endif
