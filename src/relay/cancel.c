#include "relay/cancel.h"

#include "executor/executor.h"
#include "pool/pool.h"
#include "pool/server.h"
#include "session/channels.h"
#include "session/session.h"
#include "session/site.h"
#include "session/waiting.h"

/* Does the server work at a statement of ours first? A cancel would hit that one, and the client
 * must not notice it. */
static bool
runs_our_statement(const struct session *s)
{
	return session_in_setup(s) || s->hold->lease.srv->progress.own_syncs > 0;
}

bool
cancel_statement(struct session *s, uint64_t requester)
{
	if (runs_our_statement(s)) {
		s->hold->cancel_due = true;
		return false;
	}
	if (!progress_busy(&s->hold->lease.srv->progress))
		return false;
	/* To a cancel of the client's own, the error is PostgreSQL's. */
	if (requester)
		progress_tell_as_said(&s->hold->lease.srv->progress);
	lease_cancel(&s->hold->lease, requester);
	return true;
}

void
cancel_send_kept(struct session *s)
{
	if (!s->hold->cancel_due || s->hold->lease.state != LEASE_HELD || runs_our_statement(s))
		return;
	s->hold->cancel_due = false;
	cancel_statement(s, 0);
}

bool
cancel_session(struct session *s, uint64_t requester)
{
	struct err e;

	if (s->rare->listening && s->rare->listening->state == LISTENING_ASKED) {
		err_make(&e, ERR_CANCELED_WAITING, s->pool->conf->name);
		channels_give_up(s, &e);
		err_clear(&e);
		return false;
	}
	switch (s->state) {
	case SESSION_GREETING:
	case SESSION_SETUP:
	case SESSION_ACTIVE:
		return cancel_statement(s, requester);
	case SESSION_SCOPE:
		return executor_cancel(s, requester);
	case SESSION_WAITING:
		err_make(&e, ERR_CANCELED_WAITING, s->pool->conf->name);
		waiting_give_up(s, &e);
		err_clear(&e);
		return false;
	case SESSION_CONSOLE_BUSY:
		s->site->console->cancelled(s);
		return false;
	default:
		return false;
	}
}
