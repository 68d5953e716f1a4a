#include "relay/setup.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "pool/pool.h"
#include "session/context.h"
#include "session/end.h"
#include "session/inquiry.h"
#include "session/params.h"
#include "session/readonly.h"
#include "session/sequences.h"
#include "session/telling.h"

#define QUESTION_MAX (1024 * 1024) /* bytes of what gives a server the parameters */

/* ---- what the server says ---- */

/* Makes the error of a server that has refused the session's parameters, with its own words and
 * SQLSTATE. */
static void
make_refusal(const struct session *s, struct err *e)
{
	const char *text = inquiry_error_field(s, 'M');

	err_make(e,
		 session_was_let_in(s) && !s->context.unproven ? ERR_SETTINGS_REFUSED
							       : ERR_STARTUP_REFUSED,
		 text ? text : "the server gives no reason");
	snprintf(e->sqlstate, sizeof e->sqlstate, "%s", inquiry_sqlstate(s));
	if ((text = inquiry_error_field(s, 'D')) != NULL)
		err_detail(e, "%s", text);
	else if (session_was_let_in(s))
		err_detail(e,
			   "The server of pool \"%s\" was to get the parameters of this session.",
			   s->pool->conf->name);
	if ((text = inquiry_error_field(s, 'H')) != NULL)
		err_hint(e, "%s", text);
	else if (session_was_let_in(s))
		err_hint(e, "RESET ALL, or SET anew what is refused.");
}

/* Returns a server that has refused the session's parameters, of which it may have set some. */
static void
return_refusing(struct session *s)
{
	s->context.wants_fresh = s->context.probes = false;
	session_set_state(s, SESSION_IDLE);
	lease_return(&s->hold->lease, true);
}

/* The server has refused what the session has set. The reason may be this very server: something
 * that cannot be undone in it (temporary tables fix temp_buffers), or the role of the session
 * before, which is gone. So a new connection is tried. If that refuses it too, the client gets the
 * error. */
static enum setup_outcome
settings_refused(struct session *s, struct err *e)
{
	make_refusal(s, e);
	telling_unlearn(s);
	inquiry_forget(s);
	if (s->state != SESSION_SETUP) {
		err_clear(e);
		return SETUP_WAITS;
	}
	if (readonly_leaves_other(s)) {
		err_clear(e);
		return_refusing(s);
		return SETUP_OWN_POOL;
	}
	if (context_may_be_taken(s)) {
		lease_close(&s->hold->lease, "it refused the parameters of a session");
		err_clear(e);
		return SETUP_TRY_FRESH;
	}
	if (s->context.unproven) {
		/* These are startup parameters: PostgreSQL would not have let the client in. */
		session_fail(s, e);
		err_clear(e);
		return SETUP_WAITS;
	}
	/* What a standby refuses, the session's own pool may accept: it keeps that. */
	s->context.refused = !s->hold->apart;
	return_refusing(s);
	return SETUP_REFUSED;
}

static enum setup_outcome
parameters_refused(struct session *s, struct err *e)
{
	if (session_was_let_in(s))
		return settings_refused(s, e);
	/* If others have used this server, a new one may accept them: see settings_refused(). */
	if (s->hold->lease.srv->leases > 1 && context_may_be_taken(s)) {
		inquiry_forget(s);
		s->context.wants_fresh = true;
		lease_close(&s->hold->lease, "it refused the startup parameters of a session");
		return SETUP_LOGIN_AGAIN;
	}
	make_refusal(s, e);
	session_fail(s, e);
	err_clear(e);
	return SETUP_WAITS;
}

/* The server has accepted the parameters, and a message of the client waits for it. */
static enum setup_outcome
parameters_accepted(struct session *s)
{
	context_taken(s);
	if (sequences_due(s))
		sequences_gone(s);
	if (s->context.unproven)
		telling_learn(s);
	session_set_state(s, SESSION_ACTIVE);
	telling_send(s);
	return s->state == SESSION_ACTIVE ? SETUP_TAKEN : SETUP_WAITS;
}

/* The server has accepted the parameters of a session that logs in. */
static enum setup_outcome
login_parameters_accepted(struct session *s)
{
	if (s->hold->lease.srv->retiring) {
		context_applied(s);
		lease_return(&s->hold->lease, false);
		return SETUP_LOGIN_AGAIN;
	}
	context_taken(s);
	telling_learn(s);
	lease_return(&s->hold->lease, false);
	return SETUP_KNOWN;
}

static void send_parameters(struct session *s);

enum setup_outcome
setup_answered(struct session *s, struct err *e)
{
	enum inquiry_state how = inquiry_take(s);

	if (how == INQUIRY_FAILED)
		return parameters_refused(s, e);
	if (!session_in_setup(s))
		return SETUP_WAITS;
	if (how == INQUIRY_CUT_SHORT) {
		send_parameters(s);
		return SETUP_WAITS;
	}
	inquiry_forget(s);
	return s->state == SESSION_SETUP ? parameters_accepted(s) : login_parameters_accepted(s);
}

/* ---- giving ---- */

/* Does the server accept another temp_buffers? Two values are tried, as it may have one of them. */
static const char temp_buffers_probe[] =
    "; SELECT pg_catalog.set_config('temp_buffers', '111', true), "
    "pg_catalog.set_config('temp_buffers', '112', true)";

static void
send_parameters(struct session *s)
{
	bool let_in = session_was_let_in(s);
	struct buf sql;

	buf_init(&sql, QUESTION_MAX);
	if (let_in && sequences_due(s))
		buf_add_fmt(&sql, "DISCARD SEQUENCES; ");
	if (context_repeated_bytes(&s->context) > 0)
		params_check(context_repeated(&s->context), context_repeated_bytes(&s->context),
			     s->pool, &sql);
	context_change(s, &sql);
	if (s->context.probes)
		buf_add_fmt(&sql, "%s", temp_buffers_probe);
	buf_add_u8(&sql, 0);
	/* It may be asked again. */
	if (!session_in_setup(s))
		session_set_state(s, let_in ? SESSION_SETUP : SESSION_GREETING);
	stream_pause(&s->stream);
	inquiry_ask(s, (char *)buf_data(&sql),
		    let_in ? INQUIRY_PASSES_NOTIFICATIONS_AT_END : INQUIRY_PASSES_NOTHING,
		    INQUIRY_AGAIN);
	buf_clear(&sql);
}

void
setup_begin(struct session *s)
{
	send_parameters(s);
}

void
setup_abandon(struct session *s)
{
	inquiry_forget(s);
	lease_end(&s->hold->lease, CLEANUP_TIME_LIMIT);
}
