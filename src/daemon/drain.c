#include "daemon/drain.h"

#include "pool/gate.h"
#include "session/dismiss.h"
#include "session/end.h"

void
drain_state(struct daemon *d, enum session_state state)
{
	struct list_node *n, *after;
	struct err e;

	err_make(&e, ERR_SHUTDOWN);
	LIST_EACH_SAFE (n, after, &d->site.in_state[state])
		session_fail(LIST_OBJ(n, struct session, node), &e);
	err_clear(&e);
}

void
drain_all(struct daemon *d)
{
	static const enum session_state order[] = {
	    SESSION_STARTUP, SESSION_LOOKUP,  SESSION_PASSWORD, SESSION_LOGIN,
	    SESSION_IDLE,    SESSION_WAITING, SESSION_GREETING, SESSION_SETUP,
	    SESSION_SAVING,  SESSION_ACTIVE,  SESSION_SCOPE,
	};

	for (unsigned i = 0; i < sizeof order / sizeof *order; i++)
		drain_state(d, order[i]);
}

void
drain_resting(struct daemon *d)
{
	static const enum session_state resting[] = {SESSION_IDLE, SESSION_ACTIVE};
	struct list_node *n, *after;

	/* While there is a socket, new connections may be meant for the console. */
	if (d->site.listen == NULL) {
		drain_state(d, SESSION_STARTUP);
		drain_state(d, SESSION_LOOKUP);
		drain_state(d, SESSION_PASSWORD);
	}
	LIST_EACH_SAFE (n, after, &d->site.in_state[SESSION_LOGIN])
		dismiss_now(LIST_OBJ(n, struct session, node));
	for (unsigned i = 0; i < sizeof resting / sizeof *resting; i++)
		LIST_EACH_SAFE (n, after, &d->site.in_state[resting[i]])
			dismiss_due(LIST_OBJ(n, struct session, node));
}

void
drain_sweep(struct daemon *d)
{
	bool wanted = d->site.phase == SITE_DRAINING;
	struct list_node *n;

	LIST_EACH (n, &d->site.pools.list)
		wanted |= gate_of(LIST_OBJ(n, struct pool, node)) == POOL_DRAINED;
	if (wanted)
		drain_resting(d);
}

unsigned
drain_at_work(const struct daemon *d)
{
	unsigned count =
	    d->site.in_state[SESSION_WAITING].count + d->site.in_state[SESSION_GREETING].count +
	    d->site.in_state[SESSION_SETUP].count + d->site.in_state[SESSION_SAVING].count +
	    d->site.in_state[SESSION_ACTIVE].count + d->site.in_state[SESSION_SCOPE].count +
	    d->site.in_state[SESSION_LEAVING].count;
	const struct list_node *n;

	LIST_EACH (n, &d->site.in_state[SESSION_IDLE])
		count += !dismiss_rests(LIST_OBJ(n, const struct session, node));
	return count;
}

unsigned
drain_users(const struct daemon *d, const struct pool *pool)
{
	const struct list_node *n, *m;
	unsigned count = 0;

	for (int i = 0; i < SESSION_CLOSED; i++)
		LIST_EACH (n, &d->site.in_state[i]) {
			const struct session *s = LIST_OBJ(n, const struct session, node);

			count += s->pool && s->pool->group == pool->group;
		}
	LIST_EACH (n, &d->site.pools.list) {
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
