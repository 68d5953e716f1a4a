#include "session/admit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/auth.h"
#include "pool/gate.h"
#include "session/session.h"
#include "session/site.h"
#include "session/users.h"

/* ---- who it is ---- */

/* Returns the groups that the client's process was in when it connected: those of SO_PEERGROUPS
 * (unix(7)) and its main one. The caller frees. */
static gid_t *
process_groups(const struct session *s, unsigned *count)
{
	socklen_t bytes = 0;
	gid_t *gids;

	/* If there is too little room, the kernel tells how much it needs. */
	getsockopt(s->stream.fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &bytes);
	gids = mem_alloc(bytes + sizeof *gids);
	if (bytes > 0 && getsockopt(s->stream.fd, SOL_SOCKET, SO_PEERGROUPS, gids, &bytes) < 0)
		bytes = 0;
	*count = bytes / sizeof *gids;
	gids[(*count)++] = s->peer.gid;
	return gids;
}

static struct access_user
known_user(const struct session *s)
{
	struct access_user u = {.uid = s->peer.uid};

	if (s->peer.user) {
		u.name = s->peer.user->name;
		u.groups = s->peer.user->groups;
		u.ngroups = s->peer.user->ngroups;
	}
	return u;
}

/* Returns what a hint tells the reader to write into a list of users: the user's name, or the uid
 * if the name would mean others there, or nobody. */
static char *
written_name(const struct session *s)
{
	const char *name = s->peer.user ? s->peer.user->name : "";

	return allow_is_user(name) ? mem_strdup(name) : mem_printf("%u", (unsigned)s->peer.uid);
}

/* ---- what it may do ---- */

/* "bob" (uid 1001) */
static char *
describe_user(const struct session *s)
{
	return s->peer.user && *s->peer.user->name
		   ? mem_printf("\"%s\" (uid %u)", s->peer.user->name, (unsigned)s->peer.uid)
		   : mem_printf("of uid %u", (unsigned)s->peer.uid);
}

static void
refuse_role(const struct session *s, const char *role, struct err *e)
{
	char *user = describe_user(s), *name = written_name(s);

	err_make(e, ERR_NOT_ALLOWED, user, role);
	err_detail(e, "everybody may come in as the role of their own name, root and the user of "
		      "pgwithd as any role, and others as the option allow says");
	if (allow_is_role(role))
		err_hint(e,
			 "connect with the user name \"%s\", or add %s:%s to the option allow in "
			 "section [pgwith] of the configuration, and reload it",
			 name, name, role);
	else
		err_hint(e, "connect with the user name \"%s\"; allow cannot name this role", name);
	free(user);
	free(name);
}

static void
refuse_pool(const struct session *s, const struct pool *group, const char *login, struct err *e)
{
	const struct conf_pool *conf = group->conf;
	const struct conf_source *from = conf->snapshot ? conf_pool_source(conf, "users") : NULL;
	bool common = from && from->file > 0 && from->inherited;
	char *user = describe_user(s), *name = written_name(s);
	char *section = common ? mem_strdup("pgwith") : mem_printf("pool %s", conf->name);

	err_make(e, ERR_NOT_A_USER, user, conf->name);
	if (allow_empty(conf->users)) {
		err_detail(e,
			   "the pool has no option users: root, the user of pgwithd and the user "
			   "\"%s\" may use it, since it logs in as the role \"%s\"",
			   login ? login : "", login ? login : "");
		err_hint(e, "write users = %s in section [%s] of the configuration, and reload it",
			 name, section);
	} else {
		err_detail(e, "the option users of the pool names neither this user nor a group of "
			      "it");
		err_hint(e,
			 "add %s to the option users in section [%s] of the configuration, and "
			 "reload it",
			 name, section);
	}
	free(user);
	free(name);
	free(section);
}

static void
refuse_role_in_pool(const struct session *s, const struct pool *group, struct err *e)
{
	const char *role = s->peer.role;

	err_make(e, ERR_ROLE_NOT_A_USER, role, group->conf->name);
	err_detail(e,
		   "who comes in by a password may use a pool that has role:%s or * in its "
		   "option users; without that option, a pool with role = client, or one that "
		   "logs in as this role",
		   role);
	if (!allow_is_role(role))
		err_hint(e, "the option users cannot name this role");
}

/* Decides by what is known so far. `role` or `group` may be NULL: then it is not looked at. */
static enum access
decide(struct session *s, const char *role, const struct pool *group, struct err *e)
{
	uid_t self = s->site->self;
	struct access_user u = known_user(s);
	enum access as_role = ACCESS_YES, in_pool = ACCESS_YES;
	const char *login = NULL;
	gid_t *gids = NULL;

	if (s->peer.uid == 0 || s->peer.uid == self)
		return ACCESS_YES;
	if (role)
		as_role = access_role(s->site->conf, self, &u, role);
	if (group) {
		if (group->conf->role == CONF_ROLE_FIXED)
			login = conninfo_get(group->conninfo, "user");
		if (strchr(group->conf->users, '@'))
			u.gids = gids = process_groups(s, &u.ngids);
		in_pool = access_pool(group->conf, login, self, &u);
		free(gids);
	}
	if (as_role == ACCESS_NO)
		refuse_role(s, role, e);
	else if (in_pool == ACCESS_NO)
		refuse_pool(s, group, login, e);
	return as_role == ACCESS_NO || in_pool == ACCESS_NO     ? ACCESS_NO
	       : as_role == ACCESS_ASK || in_pool == ACCESS_ASK ? ACCESS_ASK
								: ACCESS_YES;
}

/* May the session, which has proved its password, use the group because of its role? */
static bool
role_may_use(const struct session *s, const struct pool *group)
{
	const char *login =
	    group->conf->role == CONF_ROLE_FIXED ? conninfo_get(group->conninfo, "user") : NULL;

	return access_pool_role(group->conf, login, s->peer.role);
}

/* With auth = peer, ..., a client that has proved its password also still is a user of the
 * operating system. */
static bool
is_user_too(const struct session *s)
{
	return auth_methods(s->site->conf->auth) & AUTH_PEER;
}

/* Decides. If that needs a look-up, it is started; if its answer is kept already, that is used. */
static enum access
decide_or_ask(struct session *s, const char *role, const struct pool *group, struct err *e)
{
	struct site *site = s->site;
	enum access r = decide(s, role, group, e);
	struct user *user;
	int found;

	if (r != ACCESS_ASK)
		return r;
	found = users_find(site->users, s->peer.uid, site->conf, &user);
	if (found == 0) {
		user_drop(s->peer.user);
		s->peer.user = user;
		return decide(s, role, group, e);
	}
	if (found == -E_AGAIN)
		return ACCESS_ASK;
	err_make(e, ERR_USER_LOOKUP, (unsigned)s->peer.uid,
		 "it is asked for too many users already");
	return ACCESS_NO;
}

enum access
admit_login(struct session *s, const char *role, const char *database, struct err *e)
{
	const struct pool *group = gate_find(&s->site->pools, database);
	enum access r = decide_or_ask(s, role, group && !group->removed ? group : NULL, e);

	if (r == ACCESS_ASK && s->state != SESSION_LOOKUP) {
		session_set_state(s, SESSION_LOOKUP);
		session_begins_to_wait(s);
	}
	return r;
}

bool
admit_proved(struct session *s, const char *database, struct err *e)
{
	const struct pool *group = gate_find(&s->site->pools, database);
	enum access r = ACCESS_ASK;

	if (group == NULL || group->removed || role_may_use(s, group))
		return true;
	/* The system was asked before the client was, if that was needed for this pool. */
	if (is_user_too(s))
		r = decide(s, NULL, group, e);
	if (r == ACCESS_YES)
		return true;
	if (r == ACCESS_NO)
		err_clear(e);
	refuse_role_in_pool(s, group, e);
	return false;
}

enum access
admit_pool(struct session *s, const struct pool *group, struct err *e)
{
	bool proved = s->peer.marks & PEER_PROVED;
	enum access r = ACCESS_NO;

	if (proved && role_may_use(s, group))
		return ACCESS_YES;
	/* The session may have been in for long, and its user may have left a group since. */
	if (s->peer.user && !users_is_fresh(s->site->users, s->peer.user)) {
		user_drop(s->peer.user);
		s->peer.user = NULL;
	}
	if (!proved || is_user_too(s))
		r = decide_or_ask(s, NULL, group, e);
	if (proved && r == ACCESS_NO) {
		if (is_user_too(s))
			err_clear(e);
		refuse_role_in_pool(s, group, e);
	}
	return r;
}

void
admit_too_late(const struct session *s, int64_t limit_us, struct err *e)
{
	char why[64], text[32];

	snprintf(why, sizeof why, "no answer within %s",
		 units_duration_str(limit_us, text, sizeof text));
	err_make(e, ERR_USER_LOOKUP, (unsigned)s->peer.uid, why);
}
