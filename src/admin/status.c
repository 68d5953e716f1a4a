#include "admin/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "admin/blame.h"
#include "admin/show.h"
#include "admin/sums.h"
#include "base/mem.h"
#include "base/units.h"
#include "pool/gate.h"
#include "session/application.h"

/* ---- who ---- */

static struct status_who
who_is(const struct session *s)
{
	struct status_who who = {.session = s->id,
				 .pid = s->peer.pid,
				 .application = application_name(s),
				 .role = s->peer.role};

	show_program(s->peer.pid, who.program, sizeof who.program);
	return who;
}

static void
fill_held(struct status_held *to, const struct held *h, int64_t now_us)
{
	to->who = who_is(h->session);
	to->kind = held_kind_name(h->kind);
	to->name = h->name;
	to->pool = h->pool ? h->pool->conf->name : NULL;
	to->state = h->state;
	to->class = h->class;
	to->held_us = now_us - h->since_us;
	to->waiting = h->waiting;
	to->backend_pid = h->backend_pid;
	scopes_path(h->session, to->scopes, sizeof to->scopes);
}

/* ---- what is held ---- */

/* First what others wait for and is held by a session that waits for nothing itself, then what
 * others wait for, then the rest. -1: it is not shown. */
static int
order_of(const struct held *h, int64_t now_us)
{
	if (h->kind == HELD_PINNED)
		return -1;
	if (h->waiting > 0)
		return strcmp(h->state, "waiting") == 0;
	return now_us - h->since_us >= STATUS_HELD_US ? 2 : -1;
}

/* Of those of one order the longest come first, as in the list. */
static void
look_at_held(struct status *st, const struct blame *b)
{
	st->held = mem_calloc(STATUS_ROWS, sizeof *st->held);
	for (int order = 0; order <= 2; order++)
		for (unsigned i = 0; i < b->count; i++) {
			const struct held *h = &b->list[i];

			if (order_of(h, b->now_us) != order)
				continue;
			st->held_there++;
			if (st->nheld < STATUS_ROWS)
				fill_held(&st->held[st->nheld++], h, b->now_us);
		}
}

/* Leases that sessions keep between transactions, but for mode session, where all do. */
static void
look_at_pinned(struct status *st, const struct daemon *d)
{
	const struct lease *longest[STATUS_ROWS];
	const struct list_node *n, *m;
	struct lease *l;

	LIST_EACH (n, &d->site.pools.list)
		LIST_EACH (m, &LIST_OBJ(n, const struct pool, node)->servers[SERVER_LEASED]) {
			unsigned i = st->npinned;

			l = LIST_OBJ(m, const struct server, node)->lease;
			if (l == NULL || (hold_of(l)->pinned & ~HOLD_PIN_MODE) == 0)
				continue;
			st->pinned_there++;
			for (; i > 0 && longest[i - 1]->since_us > l->since_us; i--)
				if (i < STATUS_ROWS)
					longest[i] = longest[i - 1];
			if (i < STATUS_ROWS)
				longest[i] = l;
			st->npinned += st->npinned < STATUS_ROWS;
		}
	st->pinned = mem_calloc(STATUS_ROWS, sizeof *st->pinned);
	for (unsigned i = 0; i < st->npinned; i++)
		st->pinned[i] = (struct status_pinned){
		    .who = who_is(longest[i]->owner),
		    .pool = longest[i]->pool->conf->name,
		    .why = session_pin_word(hold_of((struct lease *)longest[i])->pinned),
		    .held_us = loop_now_us(d->site.loop) - longest[i]->since_us};
}

/* ---- who waits ---- */

/* Those that have waited longest, the longest first. */
struct waiters {
	unsigned count, there;
	struct waiter {
		const struct session *session;
		int64_t since_us;
		unsigned position;
	} list[STATUS_ROWS];
};

static void
add_waiter(struct waiters *w, const struct session *s, int64_t since_us, unsigned position)
{
	unsigned i = w->count;

	w->there++;
	if (s == NULL || (i == STATUS_ROWS && w->list[i - 1].since_us <= since_us))
		return;
	for (; i > 0 && w->list[i - 1].since_us > since_us; i--)
		if (i < STATUS_ROWS)
			w->list[i] = w->list[i - 1];
	w->list[i] = (struct waiter){s, since_us, position};
	w->count += w->count < STATUS_ROWS;
}

/* Looks at no more of each queue than can be shown: a queue is in the order of time. */
static void
find_waiters(struct waiters *w, const struct daemon *d)
{
	const struct list_node *n, *m;

	LIST_EACH (n, &d->site.pools.list) {
		const struct list *queue = &LIST_OBJ(n, const struct pool, node)->waiting;
		unsigned position = 0;

		LIST_EACH (m, queue) {
			const struct lease *l = LIST_OBJ(m, const struct lease, node);

			if (position == STATUS_ROWS)
				break;
			add_waiter(w, l->owner, l->since_us, ++position);
		}
		w->there += queue->count - position;
	}
	LIST_EACH (n, &d->site.locks.list) {
		const struct list *queue = &LIST_OBJ(n, const struct lock, node)->waiting;
		unsigned position = 0;

		LIST_EACH (m, queue) {
			const struct lock_hold *h = LIST_OBJ(m, const struct lock_hold, node);

			if (position == STATUS_ROWS)
				break;
			add_waiter(w, idmap_get(&d->site.sessions, h->session), h->since_us,
				   ++position);
		}
		w->there += queue->count - position;
	}
}

static void
fill_wait(struct status_wait *to, const struct blame *b, const struct waiter *w)
{
	struct doing_wait t = doing_wait(w->session);
	const struct held *h = blame_holder(b, &t, w->session);

	*to = (struct status_wait){.who = who_is(w->session),
				   .kind = blame_kind(&t),
				   .name = blame_name(&t),
				   .position = w->position,
				   .wait_us = b->now_us - w->since_us};
	if (t.lease)
		reason_say(t.lease, to->why, sizeof to->why);
	if (h == NULL)
		return;
	to->held_by = h->session->id;
	to->holder = who_is(h->session);
	to->held_us = b->now_us - h->since_us;
	to->root = !doing_waits(h->session);
}

static void
look_at_waits(struct status *st, const struct daemon *d, const struct blame *b)
{
	struct waiters w = {0};

	find_waiters(&w, d);
	st->waits = mem_calloc(STATUS_ROWS, sizeof *st->waits);
	st->nwaits = w.count;
	st->waits_there = w.there;
	for (unsigned i = 0; i < w.count; i++)
		fill_wait(&st->waits[i], b, &w.list[i]);
}

/* ---- locks ---- */

static bool
lock_goes_first(const struct lock *a, const struct lock *b)
{
	return a->waiting.count > b->waiting.count;
}

static void
fill_lock(struct status_lock *to, const struct daemon *d, const struct lock *lock)
{
	const struct lock_hold *held =
	    LIST_OBJ(list_first(&lock->holders), const struct lock_hold, node);
	const struct list_node *next = list_first(&lock->waiting);
	const struct session *s = idmap_get(&d->site.sessions, held->session);
	int64_t now_us = loop_now_us(d->site.loop);

	*to = (struct status_lock){.kind = lock->semaphore ? "semaphore" : "lock",
				   .name = lock->name,
				   .mode = lock_mode_name(held->mode),
				   .limit = lock->limit,
				   .holders = lock->holders.count,
				   .waiting = lock->waiting.count,
				   .held_us = now_us - held->since_us};
	if (s)
		to->holder = who_is(s);
	if (next) {
		const struct lock_hold *w = LIST_OBJ(next, const struct lock_hold, node);

		s = idmap_get(&d->site.sessions, w->session);
		to->wait_us = now_us - w->since_us;
		if (s)
			to->next = who_is(s);
	}
}

/* Finds the locks with the longest queues; among equals, the oldest. Returns how many. */
static unsigned
find_locks(const struct daemon *d, const struct lock *best[STATUS_ROWS])
{
	const struct list_node *n;
	unsigned count = 0;

	LIST_EACH (n, &d->site.locks.list) {
		const struct lock *lock = LIST_OBJ(n, const struct lock, node);
		unsigned i = count;

		if (i == STATUS_ROWS && !lock_goes_first(lock, best[i - 1]))
			continue;
		for (; i > 0 && lock_goes_first(lock, best[i - 1]); i--)
			if (i < STATUS_ROWS)
				best[i] = best[i - 1];
		best[i] = lock;
		count += count < STATUS_ROWS;
	}
	return count;
}

static void
look_at_locks(struct status *st, const struct daemon *d)
{
	const struct lock *best[STATUS_ROWS];

	st->nlocks = find_locks(d, best);
	st->locks_there = d->site.locks.list.count;
	st->locks = mem_calloc(STATUS_ROWS, sizeof *st->locks);
	for (unsigned i = 0; i < st->nlocks; i++)
		fill_lock(&st->locks[i], d, best[i]);
}

/* ---- pools ---- */

/* A pool, to be sorted. */
struct ranked {
	const struct sums_pool *sum;
	enum status_mood mood;
};

static int
by_rank(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->mood != y->mood)
		return x->mood > y->mood ? -1 : 1;
	return strcmp(x->sum->name, y->sum->name);
}

static struct ranked *
rank_pools(const struct daemon *d, const struct sums *sums, unsigned *count)
{
	struct health_group *all = health_all(d, count);
	struct ranked *list = mem_calloc(*count + 1, sizeof *list);

	for (unsigned i = 0; i < *count; i++) {
		const struct sums_pool *sum = sums_find(sums, all[i].group);

		list[i] = (struct ranked){sum, !all[i].health.ready ? STATUS_BAD
					       : sum->waiting > 0   ? STATUS_WAITS
								    : STATUS_GOOD};
	}
	free(all);
	qsort(list, *count, sizeof *list, by_rank);
	return list;
}

static void
fill_times(struct status_pool *to, const struct history_pool *history,
	   const struct pool_tally *tally)
{
	struct histogram h;

	history_recent_waits(history, pool_tally_times(tally, POOL_WAIT), &h);
	to->wait_p50_us = h.count ? histogram_percentile(&h, 50) : -1;
	to->wait_p99_us = h.count ? histogram_percentile(&h, 99) : -1;
	history_recent_holds(history, pool_tally_times(tally, POOL_HOLD), &h);
	to->hold_p50_us = h.count ? histogram_percentile(&h, 50) : -1;
	to->hold_p99_us = h.count ? histogram_percentile(&h, 99) : -1;
}

static void
fill_hour(struct status_pool *to, const struct history_pool *history, const struct daemon *d,
	  time_t at)
{
	int64_t now_us = loop_now_us(d->site.loop), of_minute_s = now_us % UNIT_MIN / UNIT_S;

	for (unsigned i = 0; i < HISTORY_MINUTES; i++) {
		unsigned ago = HISTORY_MINUTES - 1 - i;
		const struct history_minute *m = history_minute(history, now_us, ago);

		to->hour[i].at = at - of_minute_s - (time_t)ago * 60;
		to->hour[i].known = m != NULL;
		if (m)
			to->hour[i].m = *m;
	}
}

static void
fill_pool(struct status_pool *to, const struct daemon *d, const struct ranked *r, time_t at)
{
	const struct sums_pool *sum = r->sum;
	const struct pool *group = sum->group;
	const struct history_pool *history = history_of(group);

	*to = (struct status_pool){
	    .name = sum->name,
	    .paused = gate_paused(group),
	    .disabled = gate_of(group) != POOL_ENABLED,
	    .removed = group->removed,
	    .mood = r->mood,
	    .size = group->conf->size,
	    .max_waiting = group->conf->max_waiting,
	    .leased = sum->servers[SERVER_LEASED],
	    .idle = sum->servers[SERVER_IDLE] + sum->servers[SERVER_CHECKING],
	    .cleaning = sum->servers[SERVER_CLEANING],
	    .opening = sum->servers[SERVER_CONNECTING],
	    .pinned = sum->pinned,
	    .idle_sessions = sum->idle,
	    .waiting = sum->waiting,
	    .oldest_wait_us = sum->wait_us,
	    .recent = history_recent(history, loop_now_us(d->site.loop), &sum->stats),
	};
	fill_times(to, history, sum->tally);
	fill_hour(to, history, d, at);
}

static void
look_at_pools(struct status *st, const struct daemon *d, const struct ranked *list, unsigned count)
{
	st->pools_there = count;
	st->npools = count < STATUS_POOLS ? count : STATUS_POOLS;
	st->pools = mem_calloc(st->npools + 1, sizeof *st->pools);
	for (unsigned i = 0; i < st->npools; i++) {
		unsigned known = 0;

		fill_pool(&st->pools[i], d, &list[i], st->at);
		for (unsigned k = 0; k < HISTORY_MINUTES; k++)
			known += st->pools[i].hour[k].known;
		if (known > st->known)
			st->known = known;
	}
}

/* ---- verdicts ---- */

static struct status_verdict *
new_verdict(struct status *st, enum status_mood mood)
{
	struct status_verdict *v;

	st->verdicts_there++;
	if (st->nverdicts == STATUS_POOLS)
		return NULL;
	v = &st->verdicts[st->nverdicts++];
	v->mood = mood;
	return v;
}

/* Names who is behind it, unless nobody is because the queue moves. `h`: the longest holding of
 * what is waited for, or NULL. */
static void
name_culprit(struct status_verdict *v, const struct blame *b, const struct held *h)
{
	h = v->moves ? NULL : blame_root(b, h);
	if (h == NULL)
		return;
	v->known = true;
	fill_held(&v->culprit, h, b->now_us);
	v->culprit.alike = blame_alike(b, h);
}

/* Since when the server is leased that is leased longest; 0: none is. A session that is pinned may
 * have begun a transaction later. */
static int64_t
longest_leased(const struct pool *group)
{
	const struct list_node *n;
	int64_t since = 0;

	LIST_EACH (n, &group->all->list) {
		const struct pool *part = LIST_OBJ(n, const struct pool, node);
		const struct list_node *first = list_first(&part->servers[SERVER_LEASED]);
		const struct lease *l =
		    first ? LIST_OBJ(first, const struct server, node)->lease : NULL;

		if (part->group == group && l && (since == 0 || l->since_us < since))
			since = l->since_us;
	}
	return since;
}

/* Is the pool only too small? All its servers are open, and each has come back since the first in
 * the queue began to wait. */
static bool
is_too_small(const struct sums_pool *sum, int64_t now_us)
{
	int64_t since = longest_leased(sum->group);

	return since > 0 && now_us - since < sum->wait_us &&
	       sum->servers[SERVER_CONNECTING] + sum->servers[SERVER_CLEANING] == 0;
}

static void
judge_pool(struct status *st, const struct daemon *d, const struct blame *b, const struct ranked *r)
{
	struct status_verdict *v = new_verdict(st, r->mood);
	struct health h;

	if (v == NULL)
		return;
	health_of(d, r->sum->group, &h);
	memcpy(v->text, h.verdict, sizeof v->text);
	if (r->mood == STATUS_GOOD || gate_paused(r->sum->group))
		return;
	v->moves = is_too_small(r->sum, b->now_us);
	name_culprit(v, b, blame_pool(b, r->sum->group));
}

/* A lock that somebody waits for. */
static void
judge_lock(struct status *st, const struct blame *b, const struct lock *lock)
{
	struct status_verdict *v = new_verdict(st, STATUS_WAITS);
	const struct held *h = blame_lock(b, lock);
	const struct lock_hold *first =
	    LIST_OBJ(list_first(&lock->waiting), const struct lock_hold, node);
	char wait[32], holder[256] = "";

	if (v == NULL)
		return;
	if (h)
		health_say_holder(h->session, blame_alike(b, h), b->now_us - h->since_us, h->state,
				  holder, sizeof holder);
	snprintf(v->text, sizeof v->text, "%s %s: %u waiting, oldest %s%s",
		 lock->semaphore ? "semaphore" : "lock", lock->name, lock->waiting.count,
		 units_elapsed_str(b->now_us - first->since_us, wait, sizeof wait), holder);
	v->moves = h && h->since_us > first->since_us;
	name_culprit(v, b, h);
}

/* Pools in trouble, then locks with queues, then pools without trouble. */
static void
judge(struct status *st, const struct daemon *d, const struct blame *b, const struct ranked *list,
      unsigned count)
{
	const struct lock *best[STATUS_ROWS];
	unsigned locks = find_locks(d, best), i = 0;

	st->verdicts = mem_calloc(STATUS_POOLS, sizeof *st->verdicts);
	for (; i < count && list[i].mood != STATUS_GOOD; i++)
		judge_pool(st, d, b, &list[i]);
	for (unsigned k = 0; k < locks && best[k]->waiting.count > 0; k++)
		judge_lock(st, b, best[k]);
	for (; i < count; i++)
		judge_pool(st, d, b, &list[i]);
}

/* ---- errors ---- */

static bool
error_goes_first(const struct status_error *a, const struct status_error *b)
{
	return a->hour != b->hour ? a->hour > b->hour : a->ago_us < b->ago_us;
}

static void
look_at_errors(struct status *st, const struct daemon *d)
{
	const struct history_errors *history = history_errors_of(d);
	int64_t now_us = loop_now_us(d->site.loop);

	st->errors = mem_calloc(STATUS_ROWS, sizeof *st->errors);
	for (int id = ERR_NONE + 1; id < ERR_N; id++) {
		const struct error_count *c = &d->site.errors[id];
		struct status_error e = {
		    .name = err_kind(id)->name,
		    .sqlstate = err_kind(id)->sqlstate,
		    .minute = history_errors_minute(history, now_us, d->site.errors, id),
		    .hour = history_errors_hour(history, now_us, d->site.errors, id),
		    .ever = c->count,
		    .ago_us = now_us - c->last_us};
		unsigned i = st->nerrors;

		if (e.minute + e.hour == 0)
			continue;
		st->errors_there++;
		if (i == STATUS_ROWS && !error_goes_first(&e, &st->errors[i - 1]))
			continue;
		for (; i > 0 && error_goes_first(&e, &st->errors[i - 1]); i--)
			if (i < STATUS_ROWS)
				st->errors[i] = st->errors[i - 1];
		st->errors[i] = e;
		st->nerrors += st->nerrors < STATUS_ROWS;
	}
}

/* ---- all of it ---- */

static void
look_at_daemon(struct status *st, const struct daemon *d)
{
	const struct list *in = d->site.in_state;
	struct utsname u;

	st->at = time(NULL);
	if (uname(&u) == 0)
		snprintf(st->host, sizeof st->host, "%.64s", u.nodename);
	st->phase = daemon_phase_name(d);
	st->uptime_s = st->at - d->started_at;
	st->sessions = site_sessions(&d->site);
	st->idle = in[SESSION_IDLE].count;
	st->max_sessions = d->max_sessions < d->site.conf->max_clients ? d->max_sessions
								       : d->site.conf->max_clients;
	process_look(&st->process);
}

void
status_look(struct status *st, const struct daemon *d)
{
	struct blame b;
	struct sums sums;
	struct ranked *list;
	unsigned count;

	*st = (struct status){0};
	look_at_daemon(st, d);
	blame_take(&b, d);
	sums_take(&sums, d);
	list = rank_pools(d, &sums, &count);
	for (unsigned i = 0; i < count; i++) {
		st->active += list[i].sum->servers[SERVER_LEASED];
		st->pools_bad += list[i].mood == STATUS_BAD;
	}
	look_at_pools(st, d, list, count);
	judge(st, d, &b, list, count);
	look_at_held(st, &b);
	look_at_waits(st, d, &b);
	look_at_locks(st, d);
	look_at_pinned(st, d);
	look_at_errors(st, d);
	st->waiting = st->waits_there;
	free(list);
	sums_clear(&sums);
	blame_clear(&b);
}

void
status_clear(struct status *st)
{
	free(st->pools);
	free(st->verdicts);
	free(st->held);
	free(st->waits);
	free(st->locks);
	free(st->pinned);
	free(st->errors);
	*st = (struct status){0};
}
