#include "admin/overdue.h"

#include <stdlib.h>
#include <string.h>

#include "admin/held.h"
#include "admin/show.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "session/application.h"
#include "session/slow.h"

#define NAME_MAX_BYTES 63 /* of the name of a holding, in the line about its end */
#define LINES_MAX      50 /* holdings that one sweep logs; the others are logged by the next ones */

/* A holding that was logged, and has not ended. */
struct logged {
	uint64_t key; /* held.key */
	int64_t since_us;
	uint64_t session;
	enum held_kind kind;
	bool seen; /* in this sweep: it has not ended */
	char name[NAME_MAX_BYTES + 1];
};

/* All of them, sorted by compare_logged() between two sweeps. */
struct logged_list {
	unsigned count, room;
	struct logged list[];
};

/* ---- what was logged ---- */

static int
compare_logged(const void *a, const void *b)
{
	const struct logged *x = a, *y = b;

	if (x->key != y->key)
		return x->key > y->key ? 1 : -1;
	return (x->since_us > y->since_us) - (x->since_us < y->since_us);
}

/* Looks among the first `sorted` entries. */
static struct logged *
find_logged(struct logged_list *all, unsigned sorted, const struct held *h)
{
	struct logged wanted = {.key = h->key, .since_us = h->since_us};

	return sorted ? bsearch(&wanted, all->list, sorted, sizeof wanted, compare_logged) : NULL;
}

/* Adds an entry at the end. Returns the list, which may have moved. */
static struct logged_list *
note_logged(struct logged_list *all, const struct held *h)
{
	struct logged *l;

	if (all->count == all->room) {
		all->room = all->room ? 2 * all->room : 16;
		all = mem_realloc(all, sizeof *all + all->room * sizeof *all->list);
	}
	l = &all->list[all->count++];
	*l = (struct logged){.key = h->key,
			     .since_us = h->since_us,
			     .session = h->session->id,
			     .kind = h->kind,
			     .seen = true};
	memcpy(l->name, h->name, utf8_fit(h->name, strlen(h->name), NAME_MAX_BYTES));
	return all;
}

/* ---- lines ---- */

static const struct pool *
pool_of(const struct held *h)
{
	return h->pool ? h->pool : h->session->pool;
}

/* Is it held for longer than `limit_us` (0: no limit)? A pinned session at rest is not meant. */
static bool
is_overdue(const struct held *h, int64_t limit_us, int64_t now_us)
{
	return limit_us && h->kind != HELD_PINNED && now_us - h->since_us >= limit_us;
}

/* The text of the session's last statement, if the options of the pool have it logged; otherwise
 * NULL. */
static const char *
text_to_log(const struct held *h)
{
	const struct slow *slow = h->session->rare->slow;
	const struct list_node *last = NULL;

	if (slow && pool_of(h)->conf->log_scope_statements)
		last = list_last(&slow->done);
	return last ? LIST_OBJ(last, const struct slow_note, node)->text : NULL;
}

static void
log_held(const struct held *h, int64_t now_us)
{
	const struct session *s = h->session;
	const char *sql = text_to_log(h);
	char path[SCOPES_PATH_MAX], program[64];
	const char *scopes = scopes_path(s, path, sizeof path);
	const char *name = show_program(s->peer.pid, program, sizeof program);

	log_info("session", s->id, "holds for long", LOG_QUOTED("kind", held_kind_name(h->kind)),
		 LOG_QUOTED("name", h->name), LOG_TEXT("pool", h->pool ? h->pool->conf->name : ""),
		 LOG_TEXT("role", s->peer.role), LOG_NUMBER("pid", s->peer.pid),
		 LOG_QUOTED("program", name ? name : ""),
		 LOG_QUOTED("application_name", application_name(s)),
		 LOG_QUOTED("scopes", scopes ? scopes : ""),
		 LOG_QUOTED("class", h->class ? h->class : ""), LOG_QUOTED("state", h->state),
		 LOG_MS("held", now_us - h->since_us), LOG_NUMBER("waiting", h->waiting));
	if (sql)
		log_info("session", s->id, "its last statement", LOG_QUOTED("sql", sql));
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

/* ---- the sweep ---- */

static bool
is_wanted(const struct daemon *d)
{
	struct list_node *n;

	LIST_EACH (n, &d->site.pools.list)
		if (LIST_OBJ(n, const struct pool, node)->conf->log_held_longer_than_us)
			return true;
	return false;
}

/* Logs what has become overdue and marks what was logged before and lasts. `quiet`: the process
 * before has logged it. Returns the list, which may have moved. */
static struct logged_list *
look_at(struct logged_list *all, const struct held *list, unsigned count, bool quiet,
	int64_t now_us)
{
	unsigned sorted = all->count, lines = 0;

	for (unsigned i = 0; i < sorted; i++)
		all->list[i].seen = false;
	for (unsigned i = 0; i < count; i++) {
		const struct held *h = &list[i];
		const struct pool *pool = pool_of(h);
		struct logged *l = h->kind == HELD_PINNED ? NULL : find_logged(all, sorted, h);

		if (l) {
			l->seen = true;
		} else if (pool && is_overdue(h, pool->conf->log_held_longer_than_us, now_us) &&
			   (quiet || lines < LINES_MAX)) {
			if (!quiet)
				log_held(h, now_us);
			lines++;
			all = note_logged(all, h);
		}
	}
	return all;
}

void
overdue_sweep(struct daemon *d)
{
	struct logged_list *all = d->site.overdue;
	int64_t now_us = loop_now_us(d->site.loop);
	bool first = all == NULL;
	struct held *list;
	unsigned count;

	if (first)
		all = d->site.overdue = mem_calloc(1, sizeof *all);
	if (all->count == 0 && !is_wanted(d))
		return;
	list = held_all(d, &count);
	all = look_at(all, list, count, first, now_us);
	free(list);
	log_ends(all, now_us);
	qsort(all->list, all->count, sizeof *all->list, compare_logged);
	d->site.overdue = all;
}
