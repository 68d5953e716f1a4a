#include "admin/held.h"

#include <stdlib.h>
#include <string.h>

#include "admin/show.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "scope/stack.h"
#include "session/application.h"
#include "session/slow.h"

#define PATH_MAX_BYTES 256 /* bytes of the names of a session's scopes */

const char *
held_kind_name(enum held_kind kind)
{
	static const char *const names[] = {
	    [HELD_TRANSACTION] = "transaction", [HELD_SCOPE] = "scope",   [HELD_LOCK] = "lock",
	    [HELD_SEMAPHORE] = "semaphore",     [HELD_PINNED] = "pinned",
	};

	return names[kind];
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

/* Does the session wait for a server or a lock, while it holds what it has? */
static bool
is_waiting(const struct session *s)
{
	const struct scope *f = s->rare->stack ? stack_innermost(s->rare->stack) : NULL;

	return s->own->lease.state == LEASE_WAITING ||
	       (f && (f->own.lease.state == LEASE_WAITING || f->hold.state == LOCK_WAITING));
}

/* What the session does. `srv`: the server that is looked at, or NULL. */
static const char *
doing(const struct session *s, const struct server *srv)
{
	if (is_waiting(s))
		return "waiting";
	if (srv == NULL)
		return "idle";
	if (progress_busy(&srv->progress))
		return "running";
	return srv->progress.status == 'I' ? "idle" : "idle in transaction";
}

static void
add_server(struct holdings *to, const struct server *srv)
{
	struct lease *l = srv->lease;
	const struct session *s = l ? l->owner : NULL;
	struct scope *f;
	struct held h;

	if (s == NULL || l->state != LEASE_HELD)
		return;
	f = s->rare->stack ? stack_of_lease(s->rare->stack, l) : NULL;
	f = f ? scope_base(f) : NULL;
	h = (struct held){.kind = HELD_TRANSACTION,
			  .session = s,
			  .pool = l->pool,
			  .name = l->pool->conf->name,
			  .state = doing(s, srv),
			  .since_us = l->since_us,
			  .waiting = l->pool->waiting.count,
			  .backend_pid = srv->backend_pid};
	if (f && !scope_is_begin(f)) {
		h.kind = HELD_SCOPE;
		h.name = f->name;
	} else if (f == NULL && hold_of(l)->pinned && progress_at_rest(&srv->progress) &&
		   srv->progress.status == 'I') {
		h.kind = HELD_PINNED;
	} else if (l->xact_us > h.since_us) {
		/* A pinned session keeps its server; what is open began later. */
		h.since_us = l->xact_us;
	}
	add(to, &h);
}

static void
add_lock(void *arg, const struct lock *lock, const struct lock_hold *hold, unsigned position)
{
	struct holdings *to = arg;
	const struct session *s = idmap_get(&to->daemon->site.sessions, hold->session);
	const struct lease *l = s ? &s->hold->lease : NULL;

	if (position > 0 || s == NULL)
		return;
	add(to, &(struct held){.kind = lock->semaphore ? HELD_SEMAPHORE : HELD_LOCK,
			       .session = s,
			       .name = lock->name,
			       .state = doing(s, l->state == LEASE_HELD ? l->srv : NULL),
			       .since_us = hold->since_us,
			       .waiting = lock->waiting.count});
}

static int
longest_first(const void *a, const void *b)
{
	const struct held *x = a, *y = b;

	return (x->since_us > y->since_us) - (x->since_us < y->since_us);
}

struct held *
held_list(const struct daemon *d, unsigned *count)
{
	struct holdings to = {.daemon = d};
	struct list_node *n, *m;

	LIST_EACH (n, &d->site.pools.list)
		LIST_EACH (m, &LIST_OBJ(n, struct pool, node)->servers[SERVER_LEASED])
			add_server(&to, LIST_OBJ(m, const struct server, node));
	locks_each(&d->site.locks, add_lock, &to);
	if (to.count > 0)
		qsort(to.list, to.count, sizeof *to.list, longest_first);
	*count = to.count;
	return to.list;
}

/* ---- the log ---- */

/* What was logged, and has not ended. */
struct logged {
	uint64_t session;
	int64_t since_us;
	int backend_pid;
	enum held_kind kind;
	bool seen; /* in this sweep: it has not ended */
	char name[64];
};

struct logged_list {
	unsigned count, room;
	struct logged list[];
};

static const struct pool *
pool_of(const struct held *h)
{
	return h->pool ? h->pool : h->session->pool;
}

static bool
is_too_long(const struct held *h, int64_t now_us)
{
	int64_t limit = pool_of(h) ? pool_of(h)->conf->log_held_longer_than_us : 0;

	return limit && h->kind != HELD_PINNED && now_us - h->since_us >= limit;
}

static struct logged *
find_logged(struct logged_list *all, const struct held *h)
{
	for (unsigned i = 0; i < all->count; i++) {
		struct logged *l = &all->list[i];

		if (l->session == h->session->id && l->since_us == h->since_us &&
		    l->backend_pid == h->backend_pid)
			return l;
	}
	return NULL;
}

static void
log_held(const struct held *h, int64_t now_us)
{
	const struct session *s = h->session;
	const struct slow *slow = pool_of(h)->conf->log_scope_statements ? s->rare->slow : NULL;
	const struct list_node *n, *last = NULL;
	char path[PATH_MAX_BYTES], program[64];
	const char *scopes = scopes_path(s, path, sizeof path);
	const char *name = show_program(s->peer.pid, program, sizeof program);

	if (slow)
		LIST_EACH (n, &slow->done)
			last = n;
	log_info("session", s->id, "holds for long", LOG_QUOTED("kind", held_kind_name(h->kind)),
		 LOG_QUOTED("name", h->name), LOG_TEXT("pool", h->pool ? h->pool->conf->name : ""),
		 LOG_TEXT("role", s->peer.role), LOG_NUMBER("pid", s->peer.pid),
		 LOG_QUOTED("program", name ? name : ""),
		 LOG_QUOTED("application_name", application_name(&s->context)),
		 LOG_QUOTED("scopes", scopes ? scopes : ""), LOG_QUOTED("state", h->state),
		 LOG_MS("held", now_us - h->since_us), LOG_NUMBER("waiting", h->waiting));
	if (last)
		log_info("session", s->id, "its last statement",
			 LOG_QUOTED("sql", LIST_OBJ(last, const struct slow_note, node)->text));
}

/* Returns the list, which may have moved. */
static struct logged_list *
note_logged(struct logged_list *all, const struct held *h)
{
	struct logged *l;

	if (all->count == all->room) {
		all->room = all->room ? 2 * all->room : 16;
		all = mem_realloc(all, sizeof *all + all->room * sizeof *all->list);
	}
	l = &all->list[all->count++];
	*l = (struct logged){.session = h->session->id,
			     .since_us = h->since_us,
			     .backend_pid = h->backend_pid,
			     .kind = h->kind,
			     .seen = true};
	strncpy(l->name, h->name, sizeof l->name - 1);
	return all;
}

/* Logs the end of what was not seen in this sweep, and forgets it. */
static void
log_ends(struct logged_list *all, int64_t now_us)
{
	unsigned left = 0;

	for (unsigned i = 0; i < all->count; i++) {
		const struct logged *l = &all->list[i];

		if (l->seen)
			all->list[left++] = *l;
		else
			log_info("session", l->session, "holds no longer",
				 LOG_QUOTED("kind", held_kind_name(l->kind)),
				 LOG_QUOTED("name", l->name), LOG_MS("held", now_us - l->since_us));
	}
	all->count = left;
}

static bool
is_wanted(const struct daemon *d)
{
	struct list_node *n;

	LIST_EACH (n, &d->site.pools.list)
		if (LIST_OBJ(n, const struct pool, node)->conf->log_held_longer_than_us)
			return true;
	return false;
}

void
held_sweep(struct daemon *d)
{
	struct logged_list *all = d->site.held_logged;
	int64_t now_us = loop_now_us(d->site.loop);
	bool first = all == NULL;
	struct held *list;
	unsigned count;

	if (first)
		all = mem_calloc(1, sizeof *all);
	d->site.held_logged = all;
	if (all->count == 0 && !is_wanted(d))
		return;
	for (unsigned i = 0; i < all->count; i++)
		all->list[i].seen = false;
	list = held_list(d, &count);
	for (unsigned i = 0; i < count; i++) {
		struct logged *l = find_logged(all, &list[i]);

		if (l) {
			l->seen = true;
		} else if (is_too_long(&list[i], now_us)) {
			if (!first)
				log_held(&list[i], now_us);
			all = note_logged(all, &list[i]);
		}
	}
	free(list);
	log_ends(all, now_us);
	d->site.held_logged = all;
}

/* ---- SHOW HELD ---- */

static const struct column held_columns[] = {
    {"session", COLUMN_BIGINT},  {"pool", COLUMN_TEXT},      {"role", COLUMN_TEXT},
    {"pid", COLUMN_INT},         {"program", COLUMN_TEXT},   {"application_name", COLUMN_TEXT},
    {"scopes", COLUMN_TEXT},     {"kind", COLUMN_TEXT},      {"name", COLUMN_TEXT},
    {"state", COLUMN_TEXT},      {"held_ms", COLUMN_BIGINT}, {"waiting", COLUMN_INT},
    {"backend_pid", COLUMN_INT},
};

static void
held_row(const struct held *h, int64_t now_us, struct rows *r)
{
	const struct session *s = h->session;
	char path[PATH_MAX_BYTES], program[64];

	rows_begin(r);
	rows_number(r, (int64_t)s->id);
	rows_text(r, h->pool ? h->pool->conf->name : NULL);
	rows_text(r, s->peer.role);
	rows_number(r, s->peer.pid);
	rows_text(r, show_program(s->peer.pid, program, sizeof program));
	rows_text(r, application_name(&s->context));
	rows_text(r, scopes_path(s, path, sizeof path));
	rows_text(r, held_kind_name(h->kind));
	rows_text(r, h->name);
	rows_text(r, h->state);
	rows_number(r, (now_us - h->since_us) / UNIT_MS);
	rows_number(r, h->waiting);
	if (h->backend_pid)
		rows_number(r, h->backend_pid);
	else
		rows_null(r);
	rows_end(r);
}

static void
fill_held(const struct daemon *d, struct rows *r)
{
	unsigned count;
	struct held *list = held_list(d, &count);

	for (unsigned i = 0; i < count; i++)
		held_row(&list[i], loop_now_us(d->site.loop), r);
	free(list);
}

const struct show show_held = SHOW_TABLE(held_columns, fill_held);
