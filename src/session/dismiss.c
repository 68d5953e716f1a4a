#include "session/dismiss.h"

#include "pool/gate.h"
#include "pool/pool.h"
#include "pool/server.h"
#include "session/end.h"
#include "session/scopes.h"
#include "session/session.h"
#include "session/site.h"

bool
dismiss_rests(const struct session *s)
{
	const struct progress *p;

	if (scopes_open(s))
		return false;
	switch (s->state) {
	case SESSION_IDLE:
		return s->block.state == BLOCK_NONE;
	case SESSION_ACTIVE:
		p = &s->hold->lease.srv->progress;
		return progress_at_rest(p) && p->status == 'I';
	default:
		return false;
	}
}

static bool
daemon_ends(const struct session *s)
{
	return s->site->phase >= SITE_DRAINING;
}

static bool
must_go(const struct session *s)
{
	return daemon_ends(s) || (s->pool && gate_of(s->pool) == POOL_DRAINED);
}

void
dismiss_now(struct session *s)
{
	struct err e;

	if (!must_go(s))
		return;
	if (daemon_ends(s))
		err_make(&e, ERR_SHUTDOWN);
	else
		err_make(&e, ERR_DRAINED, s->pool->conf->name);
	session_fail(s, &e);
	err_clear(&e);
}

void
dismiss_due(struct session *s)
{
	if (must_go(s) && dismiss_rests(s))
		dismiss_now(s);
}
