/* SHOW WAITS: who waits, for what, and who holds it.
 *
 * The table stays bounded: with 20 servers leased and 1,000 sessions that wait, all pairs would be
 * 20,000 rows. Therefore the first in a queue has a row for each hold of what it waits for, the
 * longest held first; each session behind it has one row, with the hold that is oldest. So the
 * first names everybody who holds up the queue, and the table has no more rows than there are holds
 * and waiters. (With role = client each role has a queue, and so a first, of its own.) A session
 * does not hold up itself: its own holds are left out.
 *
 * Nobody holds up a session for which there is a place in the pool: its server is being opened,
 * checked or cleaned up, or cannot be opened. If there are three places, the fourth in the queue is
 * the first that holders hold up.
 *
 * Those who hold up a session are the holders of its pool's servers; of all pools of the cluster,
 * if that is full and the pool is not; or those of its own role or uid, by max_servers. */
#include "admin/show.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/units.h"
#include "pool/reason.h"
#include "session/application.h"
#include "session/doing.h"

static const struct column waits_columns[] = {
    {"session", COLUMN_BIGINT}, {"pid", COLUMN_INT},
    {"program", COLUMN_TEXT},   {"application_name", COLUMN_TEXT},
    {"role", COLUMN_TEXT},      {"kind", COLUMN_TEXT},
    {"name", COLUMN_TEXT},      {"position", COLUMN_INT},
    {"wait_ms", COLUMN_BIGINT}, {"held_by", COLUMN_BIGINT},
    {"held_ms", COLUMN_BIGINT}, {"root", COLUMN_BOOL},
    {"reason", COLUMN_TEXT},
};

/* ---- the list ---- */

/* An entry of the list has the session's id, and above it the position in the queue when the list
 * was made: each() would have to walk the queue for each session. */
#define POSITION_SHIFT 44
#define POSITION_MAX   ((UINT64_C(1) << (64 - POSITION_SHIFT)) - 1)
#define SESSION_MASK   ((UINT64_C(1) << POSITION_SHIFT) - 1)

static void
add_waiter(const struct daemon *d, const struct session *own, struct show_ids *ids,
	   uint64_t session, uint64_t position)
{
	const struct session *s = idmap_get(&d->site.sessions, session);

	if (s == NULL || !show_is_own(own, s) || session > SESSION_MASK)
		return;
	if (position > POSITION_MAX)
		position = POSITION_MAX;
	show_ids_add(ids, position << POSITION_SHIFT | session);
}

static void
list_waits(const struct daemon *d, const struct session *own, struct show_ids *ids)
{
	const struct list_node *n, *m;
	uint64_t position;

	LIST_EACH (n, &d->site.pools.list) {
		const struct pool *pool = LIST_OBJ(n, const struct pool, node);

		position = 0;
		LIST_EACH (m, &pool->turns)
			add_waiter(d, own, ids, LIST_OBJ(m, const struct lease, turn.node)->session,
				   ++position);
		/* Behind them those whom a limit of their role or uid keeps from it. */
		LIST_EACH (m, &pool->waiting)
			if (LIST_OBJ(m, const struct lease, node)->turn.blocked)
				add_waiter(d, own, ids,
					   LIST_OBJ(m, const struct lease, node)->session,
					   ++position);
	}
	LIST_EACH (n, &d->site.locks.list) {
		position = 0;
		LIST_EACH (m, &LIST_OBJ(n, const struct lock, node)->waiting)
			add_waiter(d, own, ids, LIST_OBJ(m, const struct lock_hold, node)->session,
				   ++position);
	}
}

/* ---- the rows ---- */

/* One session that waits, whose rows are being added. */
struct waiter {
	const struct daemon *daemon;
	const struct session *session;
	struct doing_wait target;
	uint64_t position;
	enum reason reason; /* of one that waits for a server */
	bool first;         /* of those who are held up for that reason */
	struct rows *rows;
	const char *program;
	char room[64]; /* for the name of the program */
};

/* Adds a row. `held_by`: a session, or 0 if no session holds it. */
static void
wait_row(const struct waiter *w, uint64_t held_by, int64_t held_since_us)
{
	const struct lease *l = w->target.lease;
	const struct lock *lock = l ? NULL : w->target.lock->lock;
	const struct session *s = w->session;
	const struct session *holder = idmap_get(&w->daemon->site.sessions, held_by);
	int64_t now = loop_now_us(w->daemon->site.loop);
	struct rows *r = w->rows;
	char why[REASON_TEXT];

	rows_begin(r);
	rows_number(r, (int64_t)s->id);
	rows_number(r, s->peer.pid);
	rows_text(r, w->program);
	rows_text(r, application_name(s));
	rows_text(r, s->peer.role);
	rows_text(r, l ? "server" : lock->semaphore ? "semaphore" : "lock");
	rows_text(r, l ? l->pool->conf->name : lock->name);
	rows_number(r, (int64_t)w->position);
	rows_number(r, (now - (l ? l->since_us : w->target.lock->since_us)) / UNIT_MS);
	if (holder) {
		rows_number(r, (int64_t)held_by);
		rows_number(r, (now - held_since_us) / UNIT_MS);
	} else {
		rows_null(r);
		rows_null(r);
	}
	rows_bool(r, holder && !doing_waits(holder));
	if (l)
		reason_say(l, why, sizeof why);
	rows_text(r, l ? why : NULL);
	rows_end(r);
}

struct holds {
	struct holding {
		uint64_t session;
		int64_t since_us;
	} * list;
	unsigned count, room;
};

static void
holds_add(struct holds *h, uint64_t session, int64_t since_us)
{
	if (h->count == h->room) {
		h->room = h->room ? 2 * h->room : 32;
		h->list = mem_realloc(h->list, h->room * sizeof *h->list);
	}
	h->list[h->count++] = (struct holding){session, since_us};
}

/* How many of the queue are held up by nobody: there is a place for them. */
static uint64_t
count_places(const struct waiter *w, unsigned leased)
{
	const struct pool *group = w->target.lease->pool->group;
	int64_t most = w->reason == REASON_CLUSTER ? group->cluster->limit : group->conf->size;

	return most > leased ? (uint64_t)(most - leased) : 0;
}

/* The sessions that have leased servers for which the waiter waits. In a paused pool nobody holds
 * up anybody: the administrator does. */
static void
add_leases(struct holds *h, struct waiter *w)
{
	const struct lease *waiting = w->target.lease;
	const struct list_node *n, *m;
	unsigned leased = 0;
	uint64_t places;

	w->reason = reason_of(waiting);
	if (w->reason == REASON_PAUSED || w->reason == REASON_HANDING)
		return;
	LIST_EACH (n, &waiting->pool->all->list)
		LIST_EACH (m, &LIST_OBJ(n, const struct pool, node)->servers[SERVER_LEASED]) {
			const struct lease *l = LIST_OBJ(m, const struct server, node)->lease;

			if (l == NULL || !reason_is_held(waiting, l))
				continue;
			leased++;
			if (l->session != w->session->id)
				holds_add(h, l->session, l->since_us);
		}
	if (w->reason == REASON_PARTY) {
		w->first = list_first(&waiting->turn.blocked->blocked) == &waiting->turn.node;
		return;
	}
	places = count_places(w, leased);
	w->first = w->position == places + 1;
	if (w->position <= places)
		h->count = 0;
}

static void
add_holders(struct holds *h, struct waiter *w)
{
	const struct lock *lock = w->target.lock->lock;
	const struct list_node *n;

	w->first = w->position == 1;
	LIST_EACH (n, &lock->holders) {
		const struct lock_hold *held = LIST_OBJ(n, const struct lock_hold, node);

		if (held->session != w->session->id)
			holds_add(h, held->session, held->since_us);
	}
}

static int
compare_holds(const void *a, const void *b)
{
	const struct holding *x = a, *y = b;

	return (x->since_us > y->since_us) - (x->since_us < y->since_us);
}

/* The first that is held up has a row for each hold; another one has a row for the oldest. */
static void
show_holds(const struct waiter *w, struct holds *h)
{
	const struct holding *oldest = h->list;

	if (w->first) {
		qsort(h->list, h->count, sizeof *h->list, compare_holds);
		for (unsigned i = 0; i < h->count; i++)
			wait_row(w, h->list[i].session, h->list[i].since_us);
		return;
	}
	for (unsigned i = 1; i < h->count; i++)
		if (h->list[i].since_us < oldest->since_us)
			oldest = &h->list[i];
	wait_row(w, oldest->session, oldest->since_us);
}

static void
each_wait(const struct daemon *d, uint64_t id, struct rows *r)
{
	struct waiter w = {.daemon = d,
			   .session = idmap_get(&d->site.sessions, id & SESSION_MASK),
			   .position = id >> POSITION_SHIFT,
			   .rows = r};
	struct holds h = {0};

	if (w.session == NULL)
		return;
	w.target = doing_wait(w.session);
	if (w.target.lease)
		add_leases(&h, &w);
	else if (w.target.lock)
		add_holders(&h, &w);
	else
		return;
	w.program = show_program(w.session->peer.pid, w.room, sizeof w.room);
	if (h.count == 0)
		wait_row(&w, 0, 0);
	else
		show_holds(&w, &h);
	free(h.list);
}

const struct show show_waits = SHOW_LIST(waits_columns, list_waits, each_wait);
