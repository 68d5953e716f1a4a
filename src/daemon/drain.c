#include "daemon/drain.h"

#include "executor/executor.h"
#include "pool/gate.h"
#include "session/end.h"

bool
dismiss_rests(const struct session *s)
{
	const struct progress *p;

	if (scopes_open(s))
		return false;
	switch (s->state) {
	case SESSION_IDLE:
		return s->begun == BEGUN_NOT;
	case SESSION_ACTIVE:
		p = &s->lease->srv->progress;
		return progress_at_rest(p) && p->status == 'I';
	default:
		return false;
	}
}

static bool
must_go(const struct session *s, struct err *e)
{
	if (s->daemon->phase >= DAEMON_DRAINING)
		err_make(e, ERR_SHUTDOWN);
	else if (s->pool && gate_of(s->pool) == POOL_DRAINED)
		err_make(e, ERR_DRAINED, s->pool->conf->name);
	else
		return false;
	return true;
}

static void
tell(struct session *s)
{
	struct err e;

	if (!must_go(s, &e))
		return;
	session_fail(s, &e);
	err_clear(&e);
}

void
dismiss_due(struct session *s)
{
	if (dismiss_rests(s))
		tell(s);
}

void
dismiss_state(struct daemon *d, enum session_state state)
{
	struct list_node *n, *after;
	struct err e;

	err_make(&e, ERR_SHUTDOWN);
	LIST_EACH_SAFE (n, after, &d->in_state[state])
		session_fail(LIST_OBJ(n, struct session, node), &e);
	err_clear(&e);
}

void
dismiss_all(struct daemon *d)
{
	static const enum session_state order[] = {
	    SESSION_STARTUP, SESSION_LOOKUP, SESSION_LOGIN,  SESSION_IDLE,  SESSION_WAITING,
	    SESSION_SETUP,   SESSION_SAVING, SESSION_ACTIVE, SESSION_SCOPE,
	};

	for (unsigned i = 0; i < sizeof order / sizeof *order; i++)
		dismiss_state(d, order[i]);
}

void
dismiss_resting(struct daemon *d)
{
	static const enum session_state resting[] = {SESSION_IDLE, SESSION_ACTIVE};
	struct list_node *n, *after;

	/* While there is a socket, those who come may be for the console. */
	if (d->listen == NULL) {
		dismiss_state(d, SESSION_STARTUP);
		dismiss_state(d, SESSION_LOOKUP);
	}
	LIST_EACH_SAFE (n, after, &d->in_state[SESSION_LOGIN])
		tell(LIST_OBJ(n, struct session, node));
	for (unsigned i = 0; i < sizeof resting / sizeof *resting; i++)
		LIST_EACH_SAFE (n, after, &d->in_state[resting[i]])
			dismiss_due(LIST_OBJ(n, struct session, node));
}

void
dismiss_sweep(struct daemon *d)
{
	bool wanted = d->phase == DAEMON_DRAINING;
	struct list_node *n;

	LIST_EACH (n, &d->pools.list)
		wanted |= gate_of(LIST_OBJ(n, struct pool, node)) == POOL_DRAINED;
	if (wanted)
		dismiss_resting(d);
}

unsigned
dismiss_at_work(const struct daemon *d)
{
	unsigned count = d->in_state[SESSION_WAITING].count + d->in_state[SESSION_SETUP].count +
			 d->in_state[SESSION_SAVING].count + d->in_state[SESSION_ACTIVE].count +
			 d->in_state[SESSION_SCOPE].count + d->in_state[SESSION_LEAVING].count;
	const struct list_node *n;

	LIST_EACH (n, &d->in_state[SESSION_IDLE])
		count += !dismiss_rests(LIST_OBJ(n, const struct session, node));
	return count;
}

unsigned
dismiss_users(const struct daemon *d, const struct pool *pool)
{
	const struct list_node *n, *m;
	unsigned count = 0;

	for (int i = 0; i < SESSION_CLOSED; i++)
		LIST_EACH (n, &d->in_state[i]) {
			const struct session *s = LIST_OBJ(n, const struct session, node);

			count += s->pool && s->pool->group == pool->group;
		}
	LIST_EACH (n, &d->pools.list) {
		const struct pool *part = LIST_OBJ(n, const struct pool, node);

		if (part->group != pool->group)
			continue;
		LIST_EACH (m, &part->servers[SERVER_LEASED]) {
			const struct server *srv = LIST_OBJ(m, const struct server, node);
			const struct session *s = srv->lease->owner;

			count += s->pool->group != pool->group;
		}
	}
	return count;
}
