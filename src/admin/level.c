#include "admin/level.h"

enum level
level_of(const struct session *s)
{
	const struct conf *conf = s->site->conf;

	/* Who has come by a password (auth_console) has the rights of the role alone. */
	bool trusted =
	    !(s->peer.marks & PEER_PROVED) && (s->peer.uid == 0 || s->peer.uid == s->site->self);

	if (trusted || conf_listed(conf->admin_users, s->peer.role))
		return LEVEL_ADMIN;
	return conf_listed(conf->stats_users, s->peer.role) ? LEVEL_STATS : LEVEL_ANY;
}

const char *
level_name(enum level level)
{
	static const char *const names[] = {"everyone", "stats", "admin"};

	return names[level];
}

const struct session *
level_own(const struct session *session, enum level level, enum level others)
{
	return level < others ? session : NULL;
}
