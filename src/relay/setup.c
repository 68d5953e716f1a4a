#include "relay/setup.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "pool/pool.h"
#include "session/context.h"
#include "session/end.h"
#include "session/inquiry.h"
#include "session/params.h"
#include "session/sequences.h"
#include "session/telling.h"
#include "wire/msg.h"

static void give(struct session *s);

/* The server has refused the session's parameters: its words, and SQLSTATE. */
static void
make_refusal(const struct session *s, const uint8_t *report, size_t bytes, struct err *e)
{
	const char *text = msg_report_field(report, bytes, 'M');

	err_make(e, s->let_in && !s->context.unproven ? ERR_SETTINGS_REFUSED : ERR_STARTUP_REFUSED,
		 text ? text : "the server gives no reason");
	snprintf(e->sqlstate, sizeof e->sqlstate, "%s", s->hold->lease.srv->progress.error);
	if ((text = msg_report_field(report, bytes, 'D')) != NULL)
		err_detail(e, "%s", text);
	else if (s->let_in)
		err_detail(e,
			   "The server of pool \"%s\" was to get the parameters of this session.",
			   s->pool->conf->name);
	if ((text = msg_report_field(report, bytes, 'H')) != NULL)
		err_hint(e, "%s", text);
	else if (s->let_in)
		err_hint(e, "RESET ALL, or SET anew what is refused.");
}

static void
end_refused(struct session *s, const uint8_t *report, size_t bytes)
{
	struct err e;

	make_refusal(s, report, bytes, &e);
	session_fail(s, &e);
	err_clear(&e);
}

/* The server has refused what the session has set. What cannot be undone in a backend (temporary
 * tables fix temp_buffers), or what has gone since (a role that the session before had), another
 * one may not have; if a new one refuses it too, the client is told. */
static enum setup_outcome
settings_refused(struct session *s, const uint8_t *report, size_t bytes, struct err *e)
{
	make_refusal(s, report, bytes, e);
	telling_unlearn(s);
	inquiry_pass_on(s);
	inquiry_forget(s);
	if (s->state != SESSION_SETUP) {
		err_clear(e);
		return SETUP_WAITS;
	}
	if (context_may_be_taken(s)) {
		lease_close(&s->hold->lease, "it refused the parameters of a session");
		err_clear(e);
		return SETUP_TRY_FRESH;
	}
	if (s->context.unproven) {
		/* PostgreSQL would not have let it in. */
		session_fail(s, e);
		err_clear(e);
		return SETUP_WAITS;
	}
	s->context.wants_fresh = s->context.probes = false;
	s->context.refused = true;
	session_set_state(s, SESSION_IDLE);
	lease_return(&s->hold->lease, true);
	return SETUP_REFUSED;
}

enum setup_outcome
setup_answered(struct session *s, struct err *e)
{
	size_t refused_bytes = 0;
	const uint8_t *refused = inquiry_error(s, &refused_bytes);

	if (strcmp(s->hold->lease.srv->progress.error, "57014") == 0 &&
	    s->asks < INQUIRY_ASKS_MAX) {
		inquiry_pass_on(s);
		inquiry_forget(s);
		if (s->state == SESSION_SETUP) {
			session_set_state(s, SESSION_ACTIVE);
			give(s);
		}
		return SETUP_WAITS;
	}
	if (refused && s->hold->lease.srv->progress.error[0] && s->let_in)
		return settings_refused(s, refused, refused_bytes, e);
	/* What cannot be undone in a backend: see settings_refused(). */
	if (refused && s->hold->lease.srv->leases > 1 && context_may_be_taken(s)) {
		inquiry_forget(s);
		s->context.wants_fresh = true;
		lease_close(&s->hold->lease, "it refused the startup parameters of a session");
		return SETUP_LOGIN_AGAIN;
	}
	if (refused && s->hold->lease.srv->progress.error[0]) {
		end_refused(s, refused, refused_bytes);
		return SETUP_WAITS;
	}
	if (s->hold->lease.srv->progress.error[0]) {
		inquiry_fail(s, "it gives no reason");
		return SETUP_WAITS;
	}
	if (s->let_in) {
		inquiry_pass_on(s);
		inquiry_forget(s);
		if (s->state != SESSION_SETUP)
			return SETUP_WAITS;
		context_taken(s);
		if (sequences_due(s))
			sequences_gone(s);
		if (s->context.unproven)
			telling_learn(s);
		session_set_state(s, SESSION_ACTIVE);
		telling_send(s);
		return s->state == SESSION_ACTIVE ? SETUP_TAKEN : SETUP_WAITS;
	}
	if (s->hold->lease.srv->retiring) {
		inquiry_forget(s);
		context_applied(s);
		lease_return(&s->hold->lease, false);
		return SETUP_LOGIN_AGAIN;
	}
	inquiry_forget(s);
	context_taken(s);
	telling_learn(s);
	lease_return(&s->hold->lease, false);
	return SETUP_KNOWN;
}

/* Two values, as one of them may be what the server has. */
static const char temp_buffers_probe[] =
    "; SELECT pg_catalog.set_config('temp_buffers', '111', true), "
    "pg_catalog.set_config('temp_buffers', '112', true)";

static void
give(struct session *s)
{
	struct buf sql;

	s->asks++;
	buf_init(&sql, INQUIRY_ANSWER_MAX);
	if (s->let_in && sequences_due(s))
		buf_add_fmt(&sql, "DISCARD SEQUENCES; ");
	if (s->context.repeated_bytes > 0)
		params_check(s->context.repeated, s->context.repeated_bytes, s->pool, &sql);
	context_change(s, &sql);
	if (s->context.probes)
		buf_add_fmt(&sql, "%s", temp_buffers_probe);
	buf_add_u8(&sql, 0);
	inquiry_ask(s, SESSION_SETUP, (char *)buf_data(&sql));
	buf_clear(&sql);
}

void
setup_begin(struct session *s)
{
	s->asks = 0;
	give(s);
}

void
setup_abandon(struct session *s)
{
	inquiry_forget(s);
	lease_end(&s->hold->lease, CLEANUP_TIME_LIMIT);
}
