#include "cli/admission.h"

#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/namespaces.h"
#include "conf/allow.h"
#include "conf/auth.h"
#include "pool/resolve.h"

/* Cuts the next item, without the blanks around it, off the list at *at. NULL: there is none. */
static char *
next_item(char **at)
{
	char *item;

	while ((item = strsep(at, ",")) != NULL) {
		item += strspn(item, " \t");
		item[strcspn(item, " \t")] = 0;
		if (*item)
			return item;
	}
	return NULL;
}

/* Warns if the system has no user, or group, of that name. */
static void
check_user_name(struct findings *f, const char *subject, const char *name)
{
	bool group = *name == '@';
	id_t id;

	if (strcmp(name, "*") == 0 || allow_role_item(name) || allow_number(name + group, &id) ||
	    (group ? getgrnam(name + 1) != NULL : getpwnam(name) != NULL))
		return;
	findings_add(f, FINDING_WARNING, subject, "correct the name, or take it out",
		     "users names \"%s\", and there is no such %s on this system", name,
		     group ? "group" : "user");
}

static void
check_user_names(struct findings *f, const char *subject, const char *list)
{
	char *copy = mem_strdup(list), *at = copy, *item;

	while ((item = next_item(&at)) != NULL)
		check_user_name(f, subject, item);
	free(copy);
}

/* Does `allow` let every user of this machine come in as a role that is not theirs? "*" does so,
 * and a role without USER: in front. */
static bool
allow_is_open(const char *allow)
{
	char *copy = mem_strdup(allow), *at = copy, *item;
	bool open = false;

	while ((item = next_item(&at)) != NULL)
		open |= strchr(item, ':') == NULL;
	free(copy);
	return open;
}

/* Warns if every user of this machine is an administrator of pgwithd. */
static void
check_administrators(struct findings *f, const struct conf *conf)
{
	const uid_t nobody = (uid_t)-1; /* no user has it: chown(2) */
	char *copy = mem_strdup(conf->admin_users), *at = copy, *role;

	while ((role = next_item(&at)) != NULL) {
		char *cure;

		if (allow_role(conf->allow, nobody, "", role) != ACCESS_YES)
			continue;
		cure = mem_printf("allow = USER:%s instead, if that is not meant", role);
		findings_add(f, FINDING_WARNING, "console", cure,
			     "allow = %s lets every user of this machine come in as \"%s\", which "
			     "is in admin_users: SET, KILL and SHUTDOWN are everybody's",
			     conf->allow, role);
		free(cure);
	}
	free(copy);
}

/* The same as check_peer_access() where only passwords count, so that it is no matter which user of
 * the operating system a client is. */
static void
check_proved_access(struct findings *f, const char *subject, const struct conf_pool *pool,
		    const char *login)
{
	if (pool->role != CONF_ROLE_FIXED)
		return;
	if (allow_everybody(pool->users))
		findings_add(
		    f, FINDING_NOTE, subject,
		    "users = role:ROLE, ... names roles, if not every one is meant",
		    "users = *: every role with a password here may use it, and is \"%s\" in "
		    "PostgreSQL",
		    login);
	else if (allow_empty(pool->users))
		findings_add(f, FINDING_NOTE, subject,
			     "users = role:ROLE, ... in its section lets others use it",
			     "it has no option users: only who has the password of the role \"%s\" "
			     "may use it",
			     login);
}

/* May it be meant that hardly anybody comes into the pool? Those who come by the option read_only
 * of another pool need no right to use this one. */
static bool
is_for_others(const struct conf *conf, const struct conf_pool *pool)
{
	return allow_empty(pool->users) && conf_pool_is_read_only_target(conf, pool);
}

/* Tells if every user of this machine may use the pool with rights that are not their own, or if
 * hardly anybody may use it, because it has no option users. `login`: the role that the pool logs
 * in as; NULL if it is not known. */
static void
check_peer_access(struct findings *f, const struct conf *conf, const char *subject,
		  const struct conf_pool *pool, const char *login)
{
	bool all = allow_everybody(pool->users), none = allow_empty(pool->users);
	char *cure =
	    mem_printf("users = NAME, @GROUP in [pool %s], if that is not meant", pool->name);

	if (all && pool->role == CONF_ROLE_FIXED)
		findings_add(f, FINDING_WARNING, subject, cure,
			     "users = *: every user of this machine may use it, and is \"%s\" in "
			     "PostgreSQL",
			     login ? login : "?");
	else if ((all || none) && pool->role == CONF_ROLE_CLIENT && allow_is_open(conf->allow))
		findings_add(
		    f, FINDING_WARNING, subject, cure,
		    "every user of this machine may use it, and allow = %s lets them come in "
		    "as roles that are not theirs",
		    conf->allow);
	else if (none && pool->role == CONF_ROLE_FIXED && login)
		findings_add(f, FINDING_NOTE, subject,
			     "users = NAME, @GROUP in its section lets others use it",
			     getpwnam(login)
				 ? "it has no option users: root, the user of pgwithd and the "
				   "system user \"%s\" may use it"
				 : "it has no option users: root and the user of pgwithd may "
				   "use it (a system user \"%s\" might, but there is none)",
			     login);
	free(cure);
}

static void
check_access(struct findings *f, const struct conf *conf, const struct conf_pool *pool)
{
	char *subject = mem_printf("pool %s", pool->name), why[256] = "";
	struct conninfo *ci = conninfo_new(pool->conninfo, why, sizeof why);
	const char *login = ci ? conninfo_get(ci, "user") : NULL;

	if (is_for_others(conf, pool) && pool->role == CONF_ROLE_FIXED)
		goto out;
	if (auth_methods(conf->auth) & AUTH_PEER)
		check_peer_access(f, conf, subject, pool, login);
	else
		check_proved_access(f, subject, pool, login ? login : "?");
	check_user_names(f, subject, pool->users);
out:
	conninfo_free(ci);
	free(subject);
}

/* Warns if only passwords count, and the pool's option users has none who come by one. */
static void
check_proved(struct findings *f, const struct conf *conf, const struct conf_pool *pool)
{
	char *copy = mem_strdup(pool->users), *at = copy, *item, *subject;
	bool some = allow_empty(pool->users) || allow_everybody(pool->users);

	while ((item = next_item(&at)) != NULL)
		some |= allow_role_item(item) != NULL;
	free(copy);
	if (some || auth_methods(conf->auth) & AUTH_PEER)
		return;
	subject = mem_printf("pool %s", pool->name);
	findings_add(f, FINDING_WARNING, subject,
		     "users = role:ROLE, or auth = peer, scram-sha-256",
		     "users names only users of the operating system, and with auth = "
		     "scram-sha-256 nobody is asked which one it is: nobody may use it");
	free(subject);
}

void
admission_check(struct findings *f, const struct conf *conf)
{
	if (auth_methods(conf->auth_console) & AUTH_PEER)
		check_administrators(f, conf);
	namespaces_check_lists(f, conf);
	for (unsigned i = 0; i < conf->npools; i++) {
		check_access(f, conf, &conf->pools[i]);
		check_proved(f, conf, &conf->pools[i]);
	}
}
