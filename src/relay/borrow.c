#include "relay/borrow.h"

#include "executor/joint.h"
#include "executor/joint_outside.h"
#include "relay/setup.h"
#include "session/context.h"
#include "session/holds.h"
#include "session/readonly.h"
#include "session/sequences.h"
#include "session/slow.h"
#include "session/telling.h"

int
borrow_ask(struct session *s, struct err *e)
{
	struct pool *pool;
	struct lease *l;
	int r;

	/* The server of a login is for the parameters alone, and the session may still join. */
	if (s->state != SESSION_LOGIN)
		joint_outside_note(s);
	holds_need(s);
	l = &s->hold->lease;
	pool = s->pool->reads ? readonly_pool(s) : s->pool;
	if (s->rare->stack)
		pool = joint_current(s, pool);
	r = s->context.wants_fresh ? lease_enter_fresh(l, pool, e) : lease_enter(l, pool, e);
	l->hasty = r == -E_AGAIN && pool != s->pool && s->pool->conf->read_only_fallback;
	return r;
}

void
borrow_begin(struct session *s)
{
	session_begin_lease(s);
	if (slow_wanted(s->pool))
		slow_watch(s);
	if (s->rare->slow)
		slow_begin(s);
	/* If the server may refuse the session's parameters, they are given to it alone, and its
	 * answer is waited for: another server can still be tried then. That is so, too, if no
	 * server was asked about them at login. Otherwise they go ahead of the first message, in
	 * the same write. */
	if (s->context.refused || s->context.probes || s->context.unproven ||
	    context_is_doubtful(s)) {
		setup_begin(s);
		return;
	}
	s->context.wants_fresh = false;
	session_set_state(s, SESSION_ACTIVE);
	context_apply(s);
	sequences_begin(s);
	telling_send(s);
}
