#include "conf/access.h"

#include <string.h>

static bool
is_own_name(const struct access_user *u, const char *role)
{
	return u->name && *u->name && strcmp(u->name, role) == 0;
}

enum access
access_role(const struct conf *c, uid_t self, const struct access_user *u, const char *role)
{
	enum access r;

	if (u->uid == 0 || u->uid == self || is_own_name(u, role))
		return ACCESS_YES;
	r = allow_role(c->allow, u->uid, u->name, role);
	/* Without a name it is not known whether `role` is the user's own. */
	return r == ACCESS_NO && u->name == NULL ? ACCESS_ASK : r;
}

static bool
has_gid(const struct access_user *u, gid_t gid)
{
	for (unsigned i = 0; i < u->ngids; i++)
		if (u->gids[i] == gid)
			return true;
	return false;
}

static enum access
in_group(void *arg, const char *group)
{
	const struct access_user *u = arg;
	id_t gid;

	if (allow_number(group, &gid) && has_gid(u, gid))
		return ACCESS_YES;
	for (unsigned i = 0; i < u->ngroups; i++) {
		const struct access_group *g = &u->groups[i];

		if (strcmp(g->name, group) == 0)
			return g->member || (g->gid != (gid_t)-1 && has_gid(u, g->gid)) ? ACCESS_YES
											: ACCESS_NO;
	}
	return ACCESS_ASK;
}

enum access
access_pool(const struct conf_pool *pool, const char *login, uid_t self,
	    const struct access_user *u)
{
	if (u->uid == 0 || u->uid == self)
		return ACCESS_YES;
	if (!allow_empty(pool->users))
		return allow_user(pool->users, u->uid, u->name, in_group, (void *)u);
	if (pool->role == CONF_ROLE_CLIENT)
		return ACCESS_YES;
	if (login == NULL)
		return ACCESS_NO;
	return u->name == NULL ? ACCESS_ASK : is_own_name(u, login) ? ACCESS_YES : ACCESS_NO;
}

bool
access_pool_role(const struct conf_pool *pool, const char *login, const char *role)
{
	if (!allow_empty(pool->users))
		return allow_proved(pool->users, role);
	return pool->role == CONF_ROLE_CLIENT || (login && strcmp(login, role) == 0);
}

void
access_groups(const struct conf *c, void (*fn)(void *arg, const char *group), void *arg)
{
	for (unsigned i = 0; i < c->npools; i++)
		allow_groups(c->pools[i].users, fn, arg);
}
