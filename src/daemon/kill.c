#include "daemon/kill.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "executor/expire.h"
#include "executor/listing.h"
#include "relay/limits.h"
#include "session/begin.h"
#include "session/channels.h"
#include "session/end.h"
#include "session/expiry.h"
#include "session/waiting.h"

void
kill_session(struct session *s)
{
	struct err e;

	err_make(&e, ERR_KILLED);
	session_fail(s, &e);
	err_clear(&e);
}

/* ---- scopes ---- */

static int
refuse_kill(const struct session *s, const char *why, struct err *e)
{
	char text[96];

	snprintf(text, sizeof text, "session %llu %s", (unsigned long long)s->id, why);
	err_make(e, ERR_CONSOLE_STATE, text);
	return -E_STATE;
}

/* Returns the scope of that name, or NULL. A transaction of BEGIN has the name of its pool, as in
 * SHOW SCOPES. */
static struct scope *
find_named(struct session *s, const char *name)
{
	struct scope *f = s->rare->stack && *name ? stack_find(s->rare->stack, name) : NULL;
	struct list_node *n;

	if (f == NULL && s->rare->stack)
		LIST_EACH (n, &s->rare->stack->frames) {
			f = LIST_OBJ(n, struct scope, node);
			if (f->kind == SCOPE_IMPLICIT && strcmp(f->pool->conf->name, name) == 0)
				return f;
			f = NULL;
		}
	return f;
}

/* Its LISTEN, or the COMMIT behind one, waits for the connection that listens: ends that wait.
 * Returns false if there is none. */
static bool
kill_listen(struct session *s)
{
	struct err e;
	bool waited;

	err_make(&e, ERR_STATEMENT_KILLED, s->pool->conf->name);
	waited = channels_give_up(s, &e);
	err_clear(&e);
	return waited;
}

static int
kill_named(struct session *s, const char *name, struct err *e)
{
	struct scope *f = find_named(s, name);
	char what[SCOPE_NAME_MAX + 64];
	struct scope_view v;

	if (f == NULL && listing_view_plain(s, &v) && strcmp(v.name, name) == 0)
		return kill_scope(s, NULL, e);
	if (f == NULL) {
		snprintf(what, sizeof what, "\"%s\" open in session %llu", name,
			 (unsigned long long)s->id);
		err_make(e, ERR_CONSOLE_UNKNOWN, "scope", what);
		return -E_NOTFOUND;
	}
	if (f->state == SCOPE_EXPIRED)
		return refuse_kill(s, "has that scope ended already, and has only to exit it", e);
	expire_scope(s, f, ERR_SCOPE_KILLED);
	return 0;
}

/* Ends a transaction whose BEGIN no server has got yet. */
static void
kill_begun(struct session *s)
{
	struct err e;

	block_expire(&s->block, s->id, ERR_SCOPE_KILLED);
	if (s->state != SESSION_WAITING)
		return;
	expiry_error(s->pool, ERR_SCOPE_KILLED, &e);
	waiting_give_up(s, &e);
	err_clear(&e);
}

static void
kill_waiting(struct session *s)
{
	struct err e;

	err_make(&e, ERR_STATEMENT_KILLED, s->pool->conf->name);
	waiting_give_up(s, &e);
	err_clear(&e);
}

static struct scope *
innermost_transaction(const struct session *s)
{
	struct scope *f = s->rare->stack ? stack_innermost(s->rare->stack) : NULL;

	while (f && f->kind != SCOPE_TRANSACTION && f->kind != SCOPE_JOINT &&
	       f->kind != SCOPE_IMPLICIT)
		f = stack_outside(s->rare->stack, f);
	return f;
}

/* Is a transaction open on the session's own lease that is no frame of its stack? */
static bool
has_unframed_transaction(const struct session *s)
{
	return s->own->lease.state == LEASE_HELD && s->own->lease.srv->progress.status != 'I' &&
	       !(s->rare->stack && stack_of_lease(s->rare->stack, &s->own->lease));
}

int
kill_scope(struct session *s, const char *name, struct err *e)
{
	struct scope *f = innermost_transaction(s);
	bool open = s->state == SESSION_IDLE || s->state == SESSION_ACTIVE, listens;

	if (name)
		return kill_named(s, name, e);
	listens = kill_listen(s);
	if (s->block.state == BLOCK_BEGUN &&
	    (s->state == SESSION_IDLE || s->state == SESSION_WAITING))
		kill_begun(s);
	else if (block_is_expired(&s->block) || s->block.state == BLOCK_FAILED ||
		 (f && f->state == SCOPE_EXPIRED))
		return refuse_kill(s, "has its transaction ended already, and has only to say so",
				   e);
	else if (has_unframed_transaction(s) && open)
		expire_scope(s, scopes_implicit(s), ERR_SCOPE_KILLED);
	else if (f)
		expire_scope(s, f, ERR_SCOPE_KILLED);
	else if (s->state == SESSION_WAITING)
		kill_waiting(s);
	else if (session_in_setup(s) ||
		 (s->state == SESSION_ACTIVE && progress_busy(&s->hold->lease.srv->progress)))
		limits_cancel(s, ERR_SCOPE_KILLED);
	else if (!listens)
		return refuse_kill(s, "has no transaction open", e);
	return 0;
}

/* ---- servers and pools ---- */

void
kill_server(struct server *srv)
{
	static const char why[] = "killed by an administrator";

	if (srv->state == SERVER_CONNECTING) {
		server_give_up(srv, why);
		return;
	}
	if (srv->state != SERVER_IDLE && progress_busy(&srv->progress))
		server_cancel(srv, 0);
	server_close(srv, why);
}

/* Is a transaction of BEGIN open on this lease, which the option read_only has brought here? */
static bool
may_expire(const struct session *s, const struct lease *l)
{
	return l == &s->own->lease && s->state == SESSION_ACTIVE &&
	       (l->srv->progress.status != 'I' ||
		(progress_exchange(&l->srv->progress) & PROGRESS_BEGINS));
}

/* Ends the scope of a session of another pool that has entered this one. Returns false if there is
 * none. Ending one scope may end others, so each call looks anew. */
static bool
kill_visitor(const struct daemon *d, const struct pool *pool)
{
	struct list_node *n, *m;

	LIST_EACH (n, &d->site.pools.list) {
		struct pool *part = LIST_OBJ(n, struct pool, node);

		if (part->group != pool->group)
			continue;
		LIST_EACH (m, &part->servers[SERVER_LEASED]) {
			struct lease *l = LIST_OBJ(m, struct server, node)->lease;
			struct session *s = l->owner;
			struct scope *f = s->rare->stack ? stack_of_lease(s->rare->stack, l) : NULL;
			struct scope *base = f ? scope_base(f) : NULL;

			if (l->ops != s->site->ops->lease) {
				/* A joined scope. */
				base = LIST_OBJ(hold_of(l), struct scope, own);
			} else if (base == NULL && s->pool->group != pool->group &&
				   may_expire(s, l))
				base = scopes_implicit(s);
			if (s->pool->group == pool->group || base == NULL || base->expire_due ||
			    base->state == SCOPE_EXPIRED || s->state == SESSION_LEAVING)
				continue;
			expire_scope(s, base, ERR_SCOPE_KILLED);
			return true;
		}
	}
	return false;
}

unsigned
kill_pool(struct daemon *d, struct pool *pool)
{
	uint64_t *ids = mem_calloc(d->site.sessions.count + 1, sizeof *ids);
	unsigned count = 0, told = 0;
	struct list_node *n;

	for (int i = 0; i < SESSION_CLOSED; i++)
		LIST_EACH (n, &d->site.in_state[i]) {
			const struct session *s = LIST_OBJ(n, struct session, node);

			if (s->pool && s->pool->group == pool->group && !session_gone(s))
				ids[count++] = s->id;
		}
	for (unsigned i = 0; i < count; i++) {
		struct session *s = idmap_get(&d->site.sessions, ids[i]);

		if (s && !session_gone(s)) {
			kill_session(s);
			told++;
		}
	}
	free(ids);
	while (kill_visitor(d, pool))
		told++;
	return told;
}
