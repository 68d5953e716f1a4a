#include "admin/history.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/units.h"

/* If the last look was so long ago, pgwithd stood still: that time is not counted as looked at. */
#define STILL_US (5 * UNIT_S)

static int64_t
minute_of(int64_t us)
{
	return us / UNIT_MIN;
}

/* How many minutes have begun between two looks, which is at most the number of slots. */
static unsigned
minutes_between(int64_t from, int64_t to)
{
	int64_t n = to - from;

	return n < 0 ? 0 : n > HISTORY_SLOTS ? HISTORY_SLOTS : (unsigned)n;
}

static uint32_t
narrow(int64_t value)
{
	return value < 0 ? 0 : value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

/* What was added to a sum. Of a pool, a sum falls if a part of it goes away and is not added up. */
static uint32_t
added(uint64_t now, uint64_t before)
{
	uint64_t more = now > before ? now - before : 0;

	return more > UINT32_MAX ? UINT32_MAX : (uint32_t)more;
}

static void
keep_larger(uint32_t *to, uint64_t value)
{
	if (value > *to)
		*to = narrow((int64_t)value);
}

/* ---- histograms ---- */

static void
remember(struct history_buckets *to, const struct histogram *h)
{
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		to->list[i] = (uint32_t)h->buckets[i];
}

static void
since(const struct history_buckets *before, const struct histogram *now, struct histogram *out)
{
	int64_t low;

	memset(out, 0, sizeof *out);
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		uint32_t count = (uint32_t)now->buckets[i] - before->list[i];

		out->buckets[i] = count;
		out->count += count;
		if (count)
			histogram_bounds(i, &low, &out->max_us);
	}
	/* The last bucket has no upper bound: what is longer than an hour is counted there. */
	if (out->max_us > now->max_us)
		out->max_us = now->max_us;
}

void
history_recent_waits(const struct history_pool *h, const struct histogram *now,
		     struct histogram *out)
{
	if (h && h->looked_us)
		since(&h->wait[1], now, out);
	else
		memset(out, 0, sizeof *out);
}

void
history_recent_holds(const struct history_pool *h, const struct histogram *now,
		     struct histogram *out)
{
	if (h && h->looked_us)
		since(&h->hold[1], now, out);
	else
		memset(out, 0, sizeof *out);
}

/* ---- the minutes of a pool ---- */

static struct history_minute *
newest(struct history_pool *h)
{
	return &h->slots[h->minute % HISTORY_SLOTS];
}

/* The newest minute ends, or is looked at: what needs the whole of it. */
static void
note_waits(struct history_pool *h, const struct history_look *look)
{
	struct history_minute *m = newest(h);
	struct histogram added_now;

	since(&h->wait[0], look->wait, &added_now);
	m->wait_p99_us = narrow(histogram_percentile(&added_now, 99));
	m->wait_mean_us =
	    added_now.count
		? narrow((look->stats.wait_us - h->minute_began.wait_us) / (int64_t)added_now.count)
		: 0;
}

/* Makes room for the minutes that have begun since the last look. */
static void
turn(struct history_pool *h, int64_t minute, const struct history_look *look)
{
	unsigned begun = minutes_between(h->minute, minute);

	for (unsigned i = 0; i < begun; i++)
		h->slots[(minute - i) % HISTORY_SLOTS] = (struct history_minute){0};
	h->minute = minute;
	h->minute_began = h->before;
	h->wait[1] = h->wait[0];
	h->hold[1] = h->hold[0];
	remember(&h->wait[0], look->wait);
	remember(&h->hold[0], look->hold);
}

static void
first_look(struct history_pool *h, int64_t now_us, const struct history_look *look)
{
	h->minute = minute_of(now_us);
	h->before = h->minute_began = look->stats;
	remember(&h->wait[0], look->wait);
	remember(&h->hold[0], look->hold);
	h->wait[1] = h->wait[0];
	h->hold[1] = h->hold[0];
}

/* Adds what has happened since the last look to the newest minute. What happened in the last
 * instants of the minute before, between two looks, is counted there, too, and so is the time. */
static void
add_up(struct history_pool *h, int64_t now_us, const struct history_look *look)
{
	const struct pool_stats *now = &look->stats, *before = &h->before;
	struct history_minute *m = newest(h);
	int64_t elapsed = now_us - h->looked_us, of_minute = now_us - h->minute * UNIT_MIN;

	if (elapsed > STILL_US && elapsed > of_minute)
		elapsed = of_minute;
	/* At least 1: the minute is known from now on. */
	m->covered_ms = narrow(m->covered_ms + (elapsed < UNIT_MS ? UNIT_MS : elapsed) / UNIT_MS);
	m->xacts = narrow((int64_t)m->xacts + added(now->xacts, before->xacts));
	m->queries = narrow((int64_t)m->queries + added(now->queries, before->queries));
	m->waits = narrow((int64_t)m->waits + added(now->waits, before->waits));
	m->wait_fails = narrow((int64_t)m->wait_fails + added(now->wait_fails, before->wait_fails));
	m->open_fails = narrow((int64_t)m->open_fails + added(now->open_fails, before->open_fails));
	m->broken = narrow((int64_t)m->broken + added(now->broken, before->broken));
	keep_larger(&m->leased, look->leased);
	keep_larger(&m->waiting, look->waiting);
	keep_larger(&m->oldest_wait_ms, (uint64_t)look->oldest_wait_us / UNIT_MS);
}

static void
add_point(struct history_pool *h, int64_t now_us, const struct pool_stats *s)
{
	if (h->points[h->newest].at_us && now_us - h->points[h->newest].at_us < HISTORY_STEP_US)
		return;
	h->newest = (h->newest + 1) % HISTORY_POINTS;
	h->points[h->newest] = (struct history_point){
	    now_us, s->xacts, s->queries, s->xact_us, s->query_us,
	};
}

void
history_look(struct history_pool *h, int64_t now_us, const struct history_look *look)
{
	if (h->looked_us == 0) {
		first_look(h, now_us, look);
	} else {
		if (minute_of(now_us) > h->minute) {
			note_waits(h, look);
			turn(h, minute_of(now_us), look);
		}
		add_up(h, now_us, look);
	}
	add_point(h, now_us, &look->stats);
	h->before = look->stats;
	h->looked_us = now_us;
}

const struct history_minute *
history_minute(const struct history_pool *h, int64_t now_us, unsigned ago)
{
	int64_t minute = minute_of(now_us) - ago;
	const struct history_minute *m;

	if (h == NULL || h->looked_us == 0 || ago > HISTORY_MINUTES || minute < 0 ||
	    minute > h->minute || minute <= h->minute - HISTORY_SLOTS)
		return NULL;
	m = &h->slots[minute % HISTORY_SLOTS];
	return m->covered_ms ? m : NULL;
}

/* The newest point that is at least HISTORY_STEP_US old; if there is none, the oldest; or NULL. */
static const struct history_point *
recent_point(const struct history_pool *h, int64_t now_us)
{
	const struct history_point *p = NULL;

	for (unsigned i = 0; i < HISTORY_POINTS; i++) {
		const struct history_point *q =
		    &h->points[(h->newest + HISTORY_POINTS - i) % HISTORY_POINTS];

		if (q->at_us == 0)
			return p;
		p = q;
		if (now_us - p->at_us >= HISTORY_STEP_US)
			return p;
	}
	return p;
}

struct history_recent
history_recent(const struct history_pool *h, int64_t now_us, const struct pool_stats *now)
{
	const struct history_point *p = h ? recent_point(h, now_us) : NULL;

	if (p == NULL || now_us <= p->at_us)
		return (struct history_recent){0};
	return (struct history_recent){
	    .us = now_us - p->at_us,
	    .xacts = added(now->xacts, p->xacts),
	    .queries = added(now->queries, p->queries),
	    .xact_us = now->xact_us - p->xact_us,
	    .query_us = now->query_us - p->query_us,
	};
}

/* ---- errors ---- */

void
history_look_errors(struct history_errors *h, int64_t now_us, const struct error_count now[ERR_N])
{
	int64_t minute = minute_of(now_us);
	unsigned begun = h->looked_us ? minutes_between(h->minute, minute) : 0;
	bool point = h->looked_us == 0 || now_us - h->points_us[h->newest] >= HISTORY_STEP_US;

	for (unsigned i = 0; i < begun; i++)
		memset(h->slots[(minute - i) % HISTORY_SLOTS], 0, sizeof *h->slots);
	h->minute = minute;
	if (point) {
		h->newest = (h->newest + 1) % HISTORY_POINTS;
		h->points_us[h->newest] = now_us;
	}
	for (int id = 0; id < ERR_N; id++) {
		uint32_t *slot = &h->slots[minute % HISTORY_SLOTS][id];

		if (h->looked_us)
			*slot = narrow((int64_t)*slot + added(now[id].count, h->before[id]));
		h->before[id] = now[id].count;
		if (point)
			h->points[h->newest][id] = now[id].count;
	}
	h->looked_us = now_us;
}

uint64_t
history_errors_minute(const struct history_errors *h, int64_t now_us,
		      const struct error_count now[ERR_N], int id)
{
	uint64_t before = now[id].count;

	for (unsigned i = 0; h && i < HISTORY_POINTS; i++) {
		unsigned at = (h->newest + HISTORY_POINTS - i) % HISTORY_POINTS;

		if (h->points_us[at] == 0)
			break;
		before = h->points[at][id];
		if (now_us - h->points_us[at] >= UNIT_MIN)
			break;
	}
	return added(now[id].count, before);
}

uint64_t
history_errors_hour(const struct history_errors *h, int64_t now_us,
		    const struct error_count now[ERR_N], int id)
{
	int64_t last = minute_of(now_us);
	uint64_t sum;

	if (h == NULL || h->looked_us == 0)
		return 0;
	sum = added(now[id].count, h->before[id]);
	for (int64_t minute = last < HISTORY_MINUTES ? 0 : last - HISTORY_MINUTES; minute <= last;
	     minute++)
		if (minute <= h->minute && minute > h->minute - HISTORY_SLOTS)
			sum += h->slots[minute % HISTORY_SLOTS][id];
	return sum;
}

/* ---- of the daemon ---- */

static bool
is_wanted(const struct daemon *d)
{
	return *d->site.conf->metrics_listen != '\0';
}

static void
drop_all(struct daemon *d)
{
	struct list_node *n;

	if (d->site.history == NULL)
		return;
	LIST_EACH (n, &d->site.pools.list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);

		free(pool->history);
		pool->history = NULL;
	}
	free(d->site.history);
	d->site.history = NULL;
}

static void
look_at_part(struct history_look *look, const struct pool *part, int64_t now_us)
{
	int64_t since_us = lease_oldest_wait(part);

	pool_stats_add(&look->stats, &part->stats);
	look->leased += part->servers[SERVER_LEASED].count;
	look->waiting += part->waiting.count;
	if (since_us && now_us - since_us > look->oldest_wait_us)
		look->oldest_wait_us = now_us - since_us;
}

/* A pool in which nothing happens is looked at once a second. */
static bool
is_due(const struct history_pool *h, int64_t now_us)
{
	return h->looked_us == 0 || h->look.leased + h->look.waiting > 0 ||
	       now_us - h->looked_us >= UNIT_S;
}

/* Looks at each pool of all pools; those of single roles are added up in their group's. */
static void
look_at_pools(struct daemon *d, int64_t now_us)
{
	struct list_node *n;

	LIST_EACH (n, &d->site.pools.list) {
		struct pool *pool = LIST_OBJ(n, struct pool, node);
		struct history_pool *h = pool->history;

		if (pool->group != pool)
			continue;
		if (h == NULL)
			h = pool->history = mem_calloc(1, sizeof *h);
		h->look = (struct history_look){.wait = pool_tally_times(&pool->tally, POOL_WAIT),
						.hold = pool_tally_times(&pool->tally, POOL_HOLD)};
	}
	LIST_EACH (n, &d->site.pools.list) {
		const struct pool *part = LIST_OBJ(n, const struct pool, node);
		struct history_pool *h = part->group->history;

		if (h)
			look_at_part(&h->look, part, now_us);
	}
	LIST_EACH (n, &d->site.pools.list) {
		struct history_pool *h = LIST_OBJ(n, const struct pool, node)->history;

		if (h && is_due(h, now_us))
			history_look(h, now_us, &h->look);
	}
}

void
history_sweep(struct daemon *d)
{
	int64_t now_us = loop_now_us(d->site.loop);

	if (!is_wanted(d)) {
		drop_all(d);
		return;
	}
	if (d->site.history == NULL)
		d->site.history = mem_calloc(1, sizeof(struct history_errors));
	history_look_errors(d->site.history, now_us, d->site.errors);
	look_at_pools(d, now_us);
}

const struct history_pool *
history_of(const struct pool *pool)
{
	return pool->group->history;
}

const struct history_errors *
history_errors_of(const struct daemon *d)
{
	return d->site.history;
}

unsigned
history_pools(const struct daemon *d)
{
	const struct list_node *n;
	unsigned count = 0;

	LIST_EACH (n, &d->site.pools.list)
		count += LIST_OBJ(n, const struct pool, node)->history != NULL;
	return count;
}

size_t
history_bytes(const struct daemon *d)
{
	return (d->site.history ? sizeof(struct history_errors) : 0) +
	       history_pools(d) * sizeof(struct history_pool);
}
