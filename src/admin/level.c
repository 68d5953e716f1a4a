#include "admin/level.h"

#include "admin/command.h"
#include "admin/show.h"

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

static const struct column level_columns[] = {
    {"role", COLUMN_TEXT},
    {"level", COLUMN_TEXT},
};

/* Its row is added by level_show(). */
const struct show show_level = SHOW_TABLE(level_columns, NULL);

int
level_show(const struct command_call *call, struct err *e)
{
	rows_begin(call->rows);
	rows_text(call->rows, call->session->peer.role);
	rows_text(call->rows, level_name(call->level));
	rows_end(call->rows);
	return 0;
}
