#include "daemon/holding.h"

#include <stdlib.h>

#include "base/mem.h"
#include "executor/executor.h"
#include "executor/joint_pack.h"
#include "pool/handover.h"
#include "relay/prove.h"
#include "session/end.h"

/* Does the client prove its password? That takes but a moment, and its messages have to be read for
 * it. */
static bool
is_proving(const struct session *s)
{
	return s->state == SESSION_PASSWORD;
}

/* Has the session a transaction on a server that cannot be handed over? Then its client is still
 * read from, so that the transaction can end. */
static bool
must_finish(const struct session *s)
{
	const struct list_node *n;

	if (s->own->lease.state == LEASE_HELD && !server_can_move(s->own->lease.srv))
		return true;
	if (s->rare->stack == NULL)
		return false;
	LIST_EACH (n, &s->rare->stack->frames) {
		const struct scope *f = LIST_OBJ(n, const struct scope, node);

		if (f->own.lease.state == LEASE_HELD && !server_can_move(f->own.lease.srv))
			return true;
	}
	return false;
}

/* Does the session wait for an item of an ENTER? The next process waits on. */
static bool
waits_in_enter(const struct session *s)
{
	const struct work *work = s->rare->work;
	const struct scope *f = work->frame;

	return work->purpose == WORK_ENTER && work->state == WORK_WAIT && !session_ends(s) &&
	       (f->pool ? f->lease->state == LEASE_WAITING : f->hold.state == LOCK_WAITING);
}

/* Can the next process go on with the session as it is now? */
static bool
can_be_handed_over(const struct session *s)
{
	switch (s->state) {
	case SESSION_STARTUP:
	case SESSION_LOGIN:
	case SESSION_IDLE:
	case SESSION_WAITING:
	case SESSION_ACTIVE:
		return !must_finish(s) && work_purpose(s) == WORK_NONE;
	case SESSION_SCOPE:
		return !must_finish(s) && waits_in_enter(s);
	case SESSION_CONSOLE:
		return true;
	default:
		return false;
	}
}

void
holding_stop_reading(struct daemon *d)
{
	struct list_node *n;

	prove_hurry(&d->site);
	for (int i = 0; i < SESSION_CLOSING; i++)
		LIST_EACH (n, &d->site.in_state[i]) {
			struct session *s = LIST_OBJ(n, struct session, node);

			if (!s->stream.held && !must_finish(s) && !is_proving(s))
				stream_hold(&s->stream);
		}
}

bool
holding_is_ready(const struct daemon *d)
{
	const struct list_node *n;

	for (int i = 0; i < SESSION_CLOSED; i++)
		LIST_EACH (n, &d->site.in_state[i])
			if (!can_be_handed_over(LIST_OBJ(n, const struct session, node)))
				return false;
	return handover_pools_ready(&d->site.pools) && joints_can_move(&d->site);
}

void
holding_force(struct daemon *d)
{
	struct list_node *n;
	struct err e;
	/* Ending one may end others: the ids are collected first. */
	uint64_t *ids = mem_calloc(site_sessions(&d->site) + 1, sizeof *ids);
	size_t count = 0;

	for (int i = 0; i < SESSION_CLOSED; i++)
		LIST_EACH (n, &d->site.in_state[i]) {
			struct session *s = LIST_OBJ(n, struct session, node);

			if (!can_be_handed_over(s))
				ids[count++] = s->id;
		}
	err_make(&e, ERR_SHUTDOWN);
	while (count > 0) {
		struct session *s = idmap_get(&d->site.sessions, ids[--count]);

		if (s && !session_gone(s))
			session_fail(s, &e);
		else if (s && s->state == SESSION_CLOSING)
			session_close(s, CLEANUP_SHUTDOWN, "handover");
	}
	err_clear(&e);
	free(ids);
}

void
holding_read_again(struct daemon *d)
{
	struct list_node *n;

	for (int i = 0; i < SESSION_CLOSING; i++)
		LIST_EACH (n, &d->site.in_state[i])
			stream_release(&LIST_OBJ(n, struct session, node)->stream);
}
