#include "executor/joint_context.h"

#include "executor/joint_inside.h"
#include "executor/work.h"
#include "session/application.h"
#include "session/params.h"
#include "session/site.h"

/* Is the server being given the session's parameters, or asked for them? */
static bool
is_moving(const struct session *s)
{
	const struct work *work = s->rare->work;

	switch ((enum session_state)s->state) {
	case SESSION_GREETING:
	case SESSION_SETUP:
	case SESSION_SAVING:
		return true;
	default:
		return work && (work->state == WORK_SETUP || work->state == WORK_SAVE ||
				work->state == WORK_CLEAN);
	}
}

static void
add_context(const struct server *srv, struct buf *sql)
{
	buf_add_fmt(sql, "%s", srv->context ? srv->context : "");
	buf_add_fmt(sql, sql->len ? ", " : "SELECT ");
}

/* The member is gone, and texts that it has sent before may still run: they are its own, so its
 * parameters are still to be there, until cleanup resets them. */
static bool
of_one_that_is_gone(const struct server *srv, struct buf *sql)
{
	const char *application = told_get(srv->told, "application_name");

	if (srv->context_changed || srv->cleanup.state >= CLEANUP_RESTORING)
		return false;
	add_context(srv, sql);
	buf_add_fmt(sql, "pg_catalog.set_config('application_name',");
	params_bytes_literal(sql, application ? application : "");
	buf_add_fmt(sql, ",false)");
	return true;
}

bool
joint_context_(void *arg, struct buf *sql)
{
	const struct joint *j = arg;
	const struct server *srv = joint_member_server_(j);
	const struct session *s;
	const struct hold *h;

	if (srv && srv->state == SERVER_CLEANING)
		return of_one_that_is_gone(srv, sql);
	if (srv == NULL || srv->state != SERVER_LEASED || srv->lease == NULL)
		return false;
	h = hold_of(srv->lease);
	s = idmap_get(&j->site->sessions, srv->lease->session);
	if (s == NULL || s->hold != h || h->changed || (h->pinned & HOLD_PIN_SETTING) ||
	    is_moving(s))
		return false;
	add_context(srv, sql);
	application_call(s, sql);
	return true;
}
