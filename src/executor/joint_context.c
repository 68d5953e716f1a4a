#include "executor/joint_context.h"

#include "executor/joint_inside.h"
#include "executor/work.h"
#include "session/application.h"
#include "session/site.h"

/* Is the server being given the session's parameters, or asked for them? */
static bool
is_moving(const struct session *s)
{
	const struct work *work = s->rare->work;

	switch ((enum session_state)s->state) {
	case SESSION_ACTIVE:
		return false;
	case SESSION_SCOPE:
		return work && (work->state == WORK_SETUP || work->state == WORK_SAVE ||
				work->state == WORK_CLEAN);
	default:
		return true;
	}
}

bool
joint_context_(void *arg, struct buf *sql)
{
	const struct joint *j = arg;
	const struct server *srv = joint_member_server_(j);
	const struct session *s;
	const struct hold *h;

	if (srv == NULL || srv->state != SERVER_LEASED || srv->lease == NULL)
		return false;
	h = hold_of(srv->lease);
	s = idmap_get(&j->site->sessions, srv->lease->session);
	if (s == NULL || s->hold != h || h->changed || (h->pinned & HOLD_PIN_SETTING) ||
	    is_moving(s))
		return false;
	buf_add_fmt(sql, "%s", srv->context ? srv->context : "");
	buf_add_fmt(sql, sql->len ? ", " : "SELECT ");
	application_call(s, sql);
	return true;
}
