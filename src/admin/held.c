#include "admin/held.h"

#include <stdlib.h>
#include <string.h>

#include "admin/show.h"
#include "base/mem.h"
#include "base/units.h"
#include "scope/stack.h"
#include "session/application.h"
#include "session/doing.h"

/* A key is the id of a server with this bit, or the id of a session with the number of one of its
 * frames above it, from 1 on. */
#define OF_SERVER    (UINT64_C(1) << 63)
#define LEVEL_SHIFT  44
#define SESSION_MASK ((UINT64_C(1) << LEVEL_SHIFT) - 1)

const char *
held_kind_name(enum held_kind kind)
{
	static const char *const names[] = {
	    [HELD_TRANSACTION] = "transaction", [HELD_SCOPE] = "scope",   [HELD_LOCK] = "lock",
	    [HELD_SEMAPHORE] = "semaphore",     [HELD_PINNED] = "pinned",
	};

	return names[kind];
}

/* ---- one holding ---- */

/* What a leased server is held for. `f`: the frame of the transaction that has the lease, or NULL.
 * A pinned session keeps its server between transactions. */
static enum held_kind
kind_of(struct lease *l, struct scope *f)
{
	const struct progress *p = &l->srv->progress;

	if (f)
		return scope_is_begin(f) ? HELD_TRANSACTION : HELD_SCOPE;
	return hold_of(l)->pinned && progress_at_rest(p) && p->status == 'I' ? HELD_PINNED
									     : HELD_TRANSACTION;
}

/* Since when. A pinned session has its server from before: what is open began later. */
static int64_t
since_of(const struct lease *l, enum held_kind kind, const struct scope *f)
{
	int64_t began = kind == HELD_SCOPE         ? f->granted_us
			: kind == HELD_TRANSACTION ? l->xact_us
						   : 0;

	return began > l->since_us ? began : l->since_us;
}

/* The queue of a group of pools. */
struct queue {
	const struct pool *group;
	unsigned waiting;
};

/* How many wait for a server of the pool's group, whose pools share one size. The walk over all
 * pools is saved if `last` is the queue of that group. */
static unsigned
waiting_for(const struct pool *pool, struct queue *last)
{
	const struct pool *group = pool->group;
	struct list_node *n;

	if (group->conf->role != CONF_ROLE_CLIENT)
		return pool->waiting.count;
	if (last->group == group)
		return last->waiting;
	*last = (struct queue){.group = group};
	LIST_EACH (n, &group->all->list) {
		const struct pool *part = LIST_OBJ(n, const struct pool, node);

		if (part->group == group)
			last->waiting += part->waiting.count;
	}
	return last->waiting;
}

/* False if no session holds the server. */
static bool
held_server(const struct server *srv, struct queue *last, struct held *h)
{
	struct lease *l = srv->lease;
	const struct session *s = l ? l->owner : NULL;
	struct scope *f;

	if (s == NULL || l->state != LEASE_HELD)
		return false;
	f = s->rare->stack ? stack_of_lease(s->rare->stack, l) : NULL;
	f = f ? scope_base(f) : NULL;
	*h = (struct held){.kind = kind_of(l, f),
			   .lease = l,
			   .key = OF_SERVER | srv->id,
			   .session = s,
			   .pool = l->pool,
			   .name = l->pool->conf->name,
			   .class = doing_class(s, hold_of(l)),
			   .pinned = l == &s->hold->lease ? session_pin_name(s)
							  : session_pin_word(hold_of(l)->pinned),
			   .state = doing_state(s, srv),
			   .waiting = waiting_for(l->pool, last),
			   .backend_pid = srv->backend_pid};
	h->since_us = since_of(l, h->kind, f);
	if (h->kind == HELD_SCOPE)
		h->name = f->name;
	return true;
}

/* `level`: the number of the frame that has the lock, in its session's stack. */
static void
held_lock(const struct session *s, const struct lock_hold *hold, unsigned level, struct held *h)
{
	const struct lease *l = &s->hold->lease;

	*h = (struct held){.kind = hold->lock->semaphore ? HELD_SEMAPHORE : HELD_LOCK,
			   .key = (uint64_t)level << LEVEL_SHIFT | (s->id & SESSION_MASK),
			   .session = s,
			   .name = hold->lock->name,
			   .class = l->state == LEASE_HELD ? doing_class(s, s->hold) : NULL,
			   .state = doing_state(s, l->state == LEASE_HELD ? l->srv : NULL),
			   .since_us = hold->since_us,
			   .waiting = hold->lock->waiting.count};
}

/* ---- the list ---- */

struct holdings {
	const struct daemon *daemon;
	struct held *list;
	unsigned count, room;
};

static void
add(struct holdings *to, const struct held *h)
{
	if (to->count == to->room) {
		to->room = to->room ? 2 * to->room : 64;
		to->list = mem_realloc(to->list, to->room * sizeof *to->list);
	}
	to->list[to->count++] = *h;
}

static void
add_lock(void *arg, const struct lock *lock, const struct lock_hold *hold, unsigned position)
{
	struct holdings *to = arg;
	const struct session *s =
	    position == 0 ? idmap_get(&to->daemon->site.sessions, hold->session) : NULL;
	const struct list_node *n;
	unsigned level = 0;
	struct held h;

	if (s == NULL || s->rare->stack == NULL)
		return;
	LIST_EACH (n, &s->rare->stack->frames) {
		level++;
		if (&LIST_OBJ(n, const struct scope, node)->hold == hold)
			break;
	}
	held_lock(s, hold, level, &h);
	add(to, &h);
}

static int
longest_first(const void *a, const void *b)
{
	const struct held *x = a, *y = b;

	return (x->since_us > y->since_us) - (x->since_us < y->since_us);
}

struct held *
held_all(const struct daemon *d, unsigned *count)
{
	struct holdings to = {.daemon = d};
	struct queue last = {0};
	struct list_node *n, *m;
	struct held h;

	LIST_EACH (n, &d->site.pools.list)
		LIST_EACH (m, &LIST_OBJ(n, struct pool, node)->servers[SERVER_LEASED])
			if (held_server(LIST_OBJ(m, const struct server, node), &last, &h))
				add(&to, &h);
	locks_each(&d->site.locks, add_lock, &to);
	*count = to.count;
	return to.list;
}

struct held *
held_list(const struct daemon *d, unsigned *count)
{
	struct held *list = held_all(d, count);

	if (*count > 0)
		qsort(list, *count, sizeof *list, longest_first);
	return list;
}

/* ---- who is alike ---- */

void
held_alike_init(struct held_alike *a, const struct session *s, const char *state)
{
	*a = (struct held_alike){.session = s, .state = state};
}

static bool
same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

void
held_alike_add(struct held_alike *a, const struct session *s, const char *state)
{
	if (s == a->session || strcmp(state, a->state) != 0 ||
	    !same_text(s->peer.role, a->session->peer.role) ||
	    !same_text(application_name(s), application_name(a->session)))
		return;
	if (a->count == a->room) {
		a->room = a->room ? 2 * a->room : 32;
		a->ids = mem_realloc(a->ids, a->room * sizeof *a->ids);
	}
	a->ids[a->count++] = s->id;
}

static int
by_id(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

unsigned
held_alike_count(struct held_alike *a)
{
	unsigned count = 0;

	if (a->count > 0)
		qsort(a->ids, a->count, sizeof *a->ids, by_id);
	for (unsigned i = 0; i < a->count; i++)
		count += i == 0 || a->ids[i] != a->ids[i - 1];
	free(a->ids);
	*a = (struct held_alike){0};
	return count;
}

/* ---- SHOW HELD ---- */

static const struct column held_columns[] = {
    {"session", COLUMN_BIGINT}, {"pool", COLUMN_TEXT},       {"role", COLUMN_TEXT},
    {"pid", COLUMN_INT},        {"program", COLUMN_TEXT},    {"application_name", COLUMN_TEXT},
    {"scopes", COLUMN_TEXT},    {"kind", COLUMN_TEXT},       {"name", COLUMN_TEXT},
    {"class", COLUMN_TEXT},     {"state", COLUMN_TEXT},      {"held_ms", COLUMN_BIGINT},
    {"waiting", COLUMN_INT},    {"backend_pid", COLUMN_INT}, {"pinned", COLUMN_TEXT},
};

static void
held_row(const struct held *h, int64_t now_us, struct rows *r)
{
	const struct session *s = h->session;
	char path[SCOPES_PATH_MAX], program[64];

	rows_begin(r);
	rows_number(r, (int64_t)s->id);
	rows_text(r, h->pool ? h->pool->conf->name : NULL);
	rows_text(r, s->peer.role);
	rows_number(r, s->peer.pid);
	rows_text(r, show_program(s->peer.pid, program, sizeof program));
	rows_text(r, application_name(s));
	rows_text(r, scopes_path(s, path, sizeof path));
	rows_text(r, held_kind_name(h->kind));
	rows_text(r, h->name);
	rows_text(r, h->class);
	rows_text(r, h->state);
	rows_number(r, (now_us - h->since_us) / UNIT_MS);
	rows_number(r, h->waiting);
	if (h->backend_pid)
		rows_number(r, h->backend_pid);
	else
		rows_null(r);
	rows_text(r, h->pinned);
	rows_end(r);
}

static void
list_held(const struct daemon *d, const struct session *own, struct show_ids *ids)
{
	unsigned count;
	struct held *list = held_list(d, &count);

	for (unsigned i = 0; i < count; i++)
		if (show_is_own(own, list[i].session))
			show_ids_add(ids, list[i].key);
	free(list);
}

/* The lock that the session holds by the frame of this number, or NULL. */
static const struct lock_hold *
find_lock(const struct session *s, uint64_t level)
{
	const struct list_node *n;

	if (s->rare->stack)
		LIST_EACH (n, &s->rare->stack->frames) {
			const struct scope *f = LIST_OBJ(n, const struct scope, node);

			if (--level == 0)
				return f->hold.state == LOCK_HELD ? &f->hold : NULL;
		}
	return NULL;
}

/* Adds a row, if the holding of this key has not ended by now. */
static void
each_held(const struct daemon *d, uint64_t key, struct rows *r)
{
	const struct lock_hold *hold;
	const struct session *s;
	const struct server *srv;
	struct queue last = {0};
	struct held h;

	if (key & OF_SERVER) {
		srv = idmap_get(&d->site.pools.servers, key & ~OF_SERVER);
		if (srv == NULL || !held_server(srv, &last, &h))
			return;
	} else {
		s = idmap_get(&d->site.sessions, key & SESSION_MASK);
		hold = s ? find_lock(s, key >> LEVEL_SHIFT) : NULL;
		if (hold == NULL)
			return;
		held_lock(s, hold, (unsigned)(key >> LEVEL_SHIFT), &h);
	}
	held_row(&h, loop_now_us(d->site.loop), r);
}

const struct show show_held = SHOW_LIST(held_columns, list_held, each_held);
