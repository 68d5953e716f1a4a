#include "relay/turn.h"

#include "executor/executor.h"
#include "relay/borrow.h"
#include "relay/cancel.h"
#include "relay/inbound.h"
#include "relay/login.h"
#include "relay/outbound.h"
#include "session/batch.h"
#include "session/notifying.h"
#include "session/session.h"

/* If the session has got the server that it waited for, begins with it. */
static void
begin_lease(struct session *s)
{
	if (s->hold->lease.state != LEASE_HELD)
		return;
	switch (s->state) {
	case SESSION_LOGIN:
		login_granted(s);
		return;
	case SESSION_WAITING:
	case SESSION_IDLE:
		borrow_begin(s);
		if (s->state == SESSION_ACTIVE)
			stream_resume(&s->stream);
		return;
	default:
		return;
	}
}

/* One turn of a session. If it can go on only after another session's, it is woken again then. */
static void
turn(struct session *s)
{
	begin_lease(s);
	if (s->rare->stack)
		executor_go(s);
	switch (s->state) {
	case SESSION_IDLE:
	case SESSION_ACTIVE:
	case SESSION_CONSOLE:
		inbound_go_on(s);
		/* A cancel that came while the server worked at a statement of ours. */
		cancel_send_kept(s);
		break;
	default:
		break;
	}
	if (s->rare->listening)
		notifying_turn(s);
	batch_check(s);
	inbound_check(s);
}

void
turn_all(void *arg)
{
	struct site *site = arg;
	struct list_node *n;

	while ((n = list_first(&site->woken)) != NULL) {
		list_remove(&site->woken, n);
		turn(LIST_OBJ(n, struct session, woken));
	}
}

const struct session_ops turn_session_ops = {
    .stream = &inbound_stream_ops,
    .lease = &outbound_lease_ops,
};
