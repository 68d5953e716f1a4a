#include "scope/waits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/fnv.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "pool/party.h"
#include "pool/pool.h"

#define NAME_MAX_SHOWN 63        /* bytes of a lock's name in a circle */
#define STEPS_SHOWN    16        /* steps of a circle that are told */
#define CIRCLE_MAX     (8 << 10) /* bytes of the text of a circle */

struct wait {
	struct hash_node hashed;
	uint64_t session;
	const struct lock_hold *hold; /* one of these two is set */
	const struct lease *lease;
	const struct pool *within; /* the joined scope that it is a member of, or NULL */
};

/* ---- the registry ---- */

static uint64_t
hash_session(uint64_t session)
{
	return fnv_bytes(FNV_SEED, &session, sizeof session);
}

static struct wait *
find_wait(const struct waits *w, uint64_t session)
{
	struct hash_node *n;

	for (n = hash_first(&w->table, hash_session(session)); n; n = hash_next(n))
		if (HASH_OBJ(n, struct wait, hashed)->session == session)
			return HASH_OBJ(n, struct wait, hashed);
	return NULL;
}

void
waits_init(struct waits *w)
{
	hash_init(&w->table);
}

static void
remove_wait(struct waits *w, struct wait *wait)
{
	hash_remove(&w->table, &wait->hashed);
	free(wait);
}

void
waits_clear(struct waits *w)
{
	struct hash_node *n;

	while ((n = hash_any(&w->table)) != NULL)
		remove_wait(w, HASH_OBJ(n, struct wait, hashed));
	hash_clear(&w->table);
}

static struct wait *
register_wait(struct waits *w, uint64_t session)
{
	struct wait *wait = find_wait(w, session);

	if (wait == NULL) {
		wait = mem_calloc(1, sizeof *wait);
		wait->session = session;
		hash_add(&w->table, &wait->hashed, hash_session(session));
	}
	wait->hold = NULL;
	wait->lease = NULL;
	wait->within = NULL;
	return wait;
}

void
waits_begin_lock(struct waits *w, uint64_t session, const struct lock_hold *hold)
{
	register_wait(w, session)->hold = hold;
}

void
waits_begin_lease(struct waits *w, uint64_t session, const struct lease *lease)
{
	register_wait(w, session)->lease = lease;
}

void
waits_within(struct waits *w, uint64_t session, const struct pool *within)
{
	struct wait *wait = find_wait(w, session);

	if (wait)
		wait->within = within;
}

void
waits_end(struct waits *w, uint64_t session)
{
	struct wait *wait = find_wait(w, session);

	if (wait)
		remove_wait(w, wait);
}

/* ---- the graph of what can be reached ---- */

/* A session; or a source, from which several sessions can give something back: a semaphore, a group
 * of pools, a cluster as one of its groups sees it, or the servers of a party. A session can go on
 * when all points that it needs can go on; a source, when enough of them can (mostly one). */
struct point {
	struct hash_node hashed;
	struct point *next;           /* the point that was found after this one */
	uint64_t session;             /* 0: a source */
	const struct lock *semaphore; /* of a source, one of these three */
	const struct pool *group;
	const struct party *party;
	const struct pools *all;       /* with `party`: where its servers are */
	const struct cluster *cluster; /* with `group`: that cluster, as the group sees it */
	const struct lock_hold *hold;  /* of a session: what it waits for, or both NULL */
	const struct lease *lease;
	struct edge *needs, *last_need;
	struct edge *needed_by;
	unsigned missing; /* so many of the points it needs must still become able to go on */
	bool can_go;
	struct point *next_to_go;
	struct point *back; /* the next point towards the asking session; NULL: not found yet */
};

/* So many of the servers of another group can come to a group by way of their cluster; the others
 * are kept by min_size. */
struct share {
	struct share *next;
	unsigned left;
};

struct edge {
	struct point *from, *to;
	struct share *share;      /* it counts as long as something is left; NULL: always */
	struct edge *next_need;   /* of `from` */
	struct edge *next_needer; /* of `to` */
};

struct graph {
	const struct waits *waits;
	struct hash table; /* struct point */
	struct point *first, *last;
	/* points that can go on; those who need them are still to be counted */
	struct point *to_go;
	struct share *shares; /* all, to be freed */
	/* Of the asking session: the end of a joined scope that it is a member of ends the session,
	 * too, so for it the scope's server is as one of its own. */
	uint64_t asking;
	const struct pool *within;
};

/* Whose is the lease, to the asking session? */
static uint64_t
holder_of(const struct graph *g, const struct lease *l)
{
	for (const struct pool *pool = g->within; pool && pool->joined; pool = pool->of_scope)
		if (pool->joined->lease == l)
			return g->asking;
	return l->session;
}

static struct point *
find_or_add(struct graph *g, const struct point *key, bool *added)
{
	uint64_t hash = hash_session(key->session);
	struct hash_node *n;
	struct point *p;

	hash = fnv_bytes(hash, &key->semaphore, sizeof key->semaphore);
	hash = fnv_bytes(hash, &key->group, sizeof key->group);
	hash = fnv_bytes(hash, &key->party, sizeof key->party);
	hash = fnv_bytes(hash, &key->cluster, sizeof key->cluster);
	*added = false;
	for (n = hash_first(&g->table, hash); n; n = hash_next(n)) {
		p = HASH_OBJ(n, struct point, hashed);
		if (p->session == key->session && p->semaphore == key->semaphore &&
		    p->group == key->group && p->party == key->party && p->cluster == key->cluster)
			return p;
	}
	p = mem_calloc(1, sizeof *p);
	*p = *key;
	hash_add(&g->table, &p->hashed, hash);
	if (g->last)
		g->last->next = p;
	else
		g->first = p;
	g->last = p;
	*added = true;
	return p;
}

/* `queued`: the hold of the session that was found in a queue; it counts if the session is not
 * registered. Or NULL. */
static struct point *
add_session(struct graph *g, uint64_t session, const struct lock_hold *queued)
{
	const struct wait *wait;
	bool added;
	struct point *p = find_or_add(g, &(struct point){.session = session}, &added);

	if (!added)
		return p;
	wait = find_wait(g->waits, session);
	if (wait && wait->hold && wait->hold->state == LOCK_WAITING)
		p->hold = wait->hold;
	else if (wait && wait->lease && wait->lease->state == LEASE_WAITING)
		p->lease = wait->lease;
	else
		p->hold = queued;
	return p;
}

static struct point *
add_source(struct graph *g, struct point key)
{
	bool added;

	key.missing = 1;
	return find_or_add(g, &key, &added);
}

static struct edge *
add_need(struct point *from, struct point *to)
{
	struct edge *e = mem_calloc(1, sizeof *e);

	e->from = from;
	e->to = to;
	if (from->last_need)
		from->last_need->next_need = e;
	else
		from->needs = e;
	from->last_need = e;
	e->next_needer = to->needed_by;
	to->needed_by = e;
	if (from->session != 0)
		from->missing++;
	return e;
}

static void
add_needs_of_lock(struct graph *g, struct point *p)
{
	const struct lock_hold *ahead = lock_ahead(p->hold);
	const struct list_node *n;

	if (ahead) {
		add_need(p, add_session(g, ahead->session, ahead));
		return;
	}
	LIST_EACH (n, &p->hold->lock->holders) {
		const struct lock_hold *held = LIST_OBJ(n, const struct lock_hold, node);

		if (lock_conflicts(p->hold, held))
			add_need(p, add_session(g, held->session, NULL));
	}
}

static void
add_needs_of_semaphore(struct graph *g, struct point *p)
{
	const struct list_node *n;

	LIST_EACH (n, &p->semaphore->holders)
		add_need(p,
			 add_session(g, LIST_OBJ(n, const struct lock_hold, node)->session, NULL));
}

/* How many servers of the pool are leased? All others are free, or will be without a session. */
static unsigned
count_leased(const struct pool *pool)
{
	const struct list_node *n;
	unsigned count = 0;

	/* A server in this list that has no lease is about to go to cleanup. */
	LIST_EACH (n, &pool->servers[SERVER_LEASED])
		count += LIST_OBJ(n, const struct server, node)->lease != NULL;
	return count;
}

/* The first pool of the group behind `n`, which is a node of the list of all pools or its head. */
static const struct pool *
next_of_group(const struct pool *group, const struct list_node *n)
{
	for (n = n->next; n != &group->all->list.head; n = n->next)
		if (LIST_OBJ(n, const struct pool, node)->group == group)
			return LIST_OBJ(n, const struct pool, node);
	return NULL;
}

static void
add_needs_of_group(struct graph *g, struct point *p)
{
	const struct list_node *head = &p->group->all->list.head, *n;
	const struct pool *pool;
	int64_t count = 0;

	for (pool = next_of_group(p->group, head); pool;
	     pool = next_of_group(p->group, &pool->node))
		count += count_leased(pool);
	if (count < p->group->conf->size) {
		p->missing = 0;
		return;
	}
	/* More than one if `size` was lowered: the first servers that come back are closed. */
	p->missing = (unsigned)(count - p->group->conf->size + 1);
	for (pool = next_of_group(p->group, head); pool;
	     pool = next_of_group(p->group, &pool->node))
		LIST_EACH (n, &pool->servers[SERVER_LEASED]) {
			const struct lease *l = LIST_OBJ(n, const struct server, node)->lease;

			if (l)
				add_need(p, add_session(g, holder_of(g, l), NULL));
		}
}

/* The leased servers of the group. */
static unsigned
count_leased_of_group(const struct pool *group)
{
	const struct pool *pool;
	unsigned count = 0;

	for (pool = next_of_group(group, &group->all->list.head); pool;
	     pool = next_of_group(group, &pool->node))
		count += count_leased(pool);
	return count;
}

static struct share *
add_share(struct graph *g, unsigned servers)
{
	struct share *share = mem_calloc(1, sizeof *share);

	share->left = servers;
	share->next = g->shares;
	g->shares = share;
	return share;
}

/* All who have leased a server of the group. `share`: or NULL. */
static void
add_needs_of_holders(struct graph *g, struct point *p, const struct pool *group,
		     struct share *share)
{
	const struct pool *pool;
	const struct list_node *n;

	for (pool = next_of_group(group, &group->all->list.head); pool;
	     pool = next_of_group(group, &pool->node))
		LIST_EACH (n, &pool->servers[SERVER_LEASED]) {
			const struct lease *l = LIST_OBJ(n, const struct server, node)->lease;

			if (l)
				add_need(p, add_session(g, holder_of(g, l), NULL))->share = share;
		}
}

/* Is it the own pool of another group of the point's cluster? */
static bool
is_other_group(const struct point *p, const struct pool *pool)
{
	return pool->group == pool && pool->cluster == p->cluster && pool != p->group;
}

/* A server of the cluster for one of its groups: idle servers of the others are closed for it, down
 * to what their min_size keeps. */
static void
add_needs_of_cluster(struct graph *g, struct point *p)
{
	unsigned own = count_leased_of_group(p->group), can_come = own;
	int64_t taken = own;
	const struct list_node *n;

	LIST_EACH (n, &p->group->all->list) {
		const struct pool *other = LIST_OBJ(n, const struct pool, node);
		unsigned leased = is_other_group(p, other) ? count_leased_of_group(other) : 0;

		if (!is_other_group(p, other))
			continue;
		taken += leased > other->reserved ? leased : other->reserved;
		can_come += leased > other->reserved ? leased - other->reserved : 0;
	}
	p->missing = taken < p->cluster->limit ? 0 : (unsigned)(taken - p->cluster->limit + 1);
	/* The others keep more than the limit leaves: no session can help that. */
	if (can_come < p->missing)
		p->missing = 0;
	if (p->missing == 0)
		return;
	add_needs_of_holders(g, p, p->group, NULL);
	LIST_EACH (n, &p->group->all->list) {
		const struct pool *other = LIST_OBJ(n, const struct pool, node);
		unsigned leased = is_other_group(p, other) ? count_leased_of_group(other) : 0;

		if (leased > other->reserved)
			add_needs_of_holders(g, p, other, add_share(g, leased - other->reserved));
	}
}

/* Is the leased server one of the party's? */
static bool
is_of_party(const struct lease *l, const struct party *party)
{
	return l &&
	       (l->turn.party[CONF_PARTY_ROLE] == party || l->turn.party[CONF_PARTY_UID] == party);
}

/* Walks over the leases of the party: adds a need of each if `g` is not NULL. Returns their number,
 * or if `session` is not 0, how many of them that session has. */
static unsigned
walk_party(struct graph *g, struct point *p, const struct pools *all, const struct party *party,
	   uint64_t session)
{
	const struct list_node *n, *m;
	unsigned count = 0;

	LIST_EACH (n, &all->list)
		LIST_EACH (m, &LIST_OBJ(n, const struct pool, node)->servers[SERVER_LEASED]) {
			const struct lease *l = LIST_OBJ(m, const struct server, node)->lease;

			if (!is_of_party(l, party))
				continue;
			count += session == 0 || l->session == session;
			if (g)
				add_need(p, add_session(g, holder_of(g, l), NULL));
		}
	return count;
}

static void
add_needs_of_party(struct graph *g, struct point *p)
{
	unsigned leased = walk_party(NULL, NULL, p->all, p->party, 0);

	if (leased < p->party->max_servers) {
		p->missing = 0;
		return;
	}
	p->missing = (unsigned)(leased - p->party->max_servers + 1);
	walk_party(g, p, p->all, p->party, 0);
}

/* A server of its pool; one of the cluster; and one that its parties may have. */
static void
add_needs_of_lease(struct graph *g, struct point *p)
{
	const struct pool *group = p->lease->pool->group;

	add_need(p, add_source(g, (struct point){.group = group}));
	if (group->cluster)
		add_need(p,
			 add_source(g, (struct point){.group = group, .cluster = group->cluster}));
	for (int i = 0; i < PARTY_KINDS; i++) {
		const struct party *party = p->lease->turn.party[i];

		if (party && party->max_servers > 0)
			add_need(p,
				 add_source(g, (struct point){.party = party, .all = group->all}));
	}
}

static void
add_needs(struct graph *g, struct point *p)
{
	if (p->semaphore)
		add_needs_of_semaphore(g, p);
	else if (p->cluster)
		add_needs_of_cluster(g, p);
	else if (p->group)
		add_needs_of_group(g, p);
	else if (p->party)
		add_needs_of_party(g, p);
	else if (p->lease)
		add_needs_of_lease(g, p);
	else if (p->hold && p->hold->lock->semaphore)
		add_need(p, add_source(g, (struct point){.semaphore = p->hold->lock}));
	else if (p->hold)
		add_needs_of_lock(g, p);
}

static void
mark_can_go(struct graph *g, struct point *p)
{
	p->can_go = true;
	p->next_to_go = g->to_go;
	g->to_go = p;
}

/* Finds all points that can go on, until nothing changes. */
static void
find_who_can_go(struct graph *g)
{
	struct point *p;
	struct edge *e;

	for (p = g->first; p; p = p->next)
		if (p->missing == 0)
			mark_can_go(g, p);
	while ((p = g->to_go) != NULL) {
		g->to_go = p->next_to_go;
		for (e = p->needed_by; e; e = e->next_needer) {
			if (e->share && e->share->left == 0)
				continue;
			if (e->share)
				e->share->left--;
			if (e->from->missing > 0 && --e->from->missing == 0)
				mark_can_go(g, e->from);
		}
	}
}

static struct point *
graph_make(struct graph *g, const struct waits *w, uint64_t session)
{
	const struct wait *wait = find_wait(w, session);
	struct point *p, *asking;

	*g = (struct graph){.waits = w, .asking = session, .within = wait ? wait->within : NULL};
	hash_init(&g->table);
	asking = add_session(g, session, NULL);
	/* The list grows in this loop: new points are added at its end. */
	for (p = g->first; p; p = p->next)
		add_needs(g, p);
	find_who_can_go(g);
	return asking;
}

static void
graph_clear(struct graph *g)
{
	struct share *share;
	struct point *p;
	struct edge *e;

	while ((share = g->shares) != NULL) {
		g->shares = share->next;
		free(share);
	}
	while ((p = g->first) != NULL) {
		g->first = p->next;
		while ((e = p->needs) != NULL) {
			p->needs = e->next_need;
			free(e);
		}
		free(p);
	}
	hash_clear(&g->table);
}

/* ---- the circle in words ---- */

/* Points that cannot go on, each waiting for the next; the last one is met for the second time. */
struct way {
	const struct point **points;
	size_t count;
};

static void
way_add(struct way *way, const struct point *p)
{
	way->points = mem_realloc(way->points, (way->count + 1) * sizeof *way->points);
	way->points[way->count++] = p;
}

/* Finds the shortest way from the asking session back to it. The way is empty if there is none. */
static void
find_way_back(struct point *asking, struct way *way)
{
	struct point *queue = asking, *last = asking, *p;
	struct edge *e;

	/* A breadth-first search. Its queue is linked by `next_to_go`, which is free for it now. */
	asking->back = asking;
	asking->next_to_go = NULL;
	for (; queue; queue = queue->next_to_go)
		for (e = queue->needs; e; e = e->next_need) {
			if (e->to == asking)
				goto found;
			if (e->to->can_go || e->to->back)
				continue;
			e->to->back = queue;
			e->to->next_to_go = NULL;
			last->next_to_go = e->to;
			last = e->to;
		}
	return;
found:
	way_add(way, asking);
	for (p = queue; p != asking; p = p->back)
		way_add(way, p);
	way_add(way, asking);
	for (size_t i = 0, j = way->count - 1; i < j; i++, j--) {
		const struct point *swap = way->points[i];

		way->points[i] = way->points[j];
		way->points[j] = swap;
	}
}

/* The asking session waits for a circle of others, which was there before. Finds some way into that
 * circle, up to a session that is met for the second time. find_way_back() has set `back` of all
 * points that are met; it is cleared here to mark a session that has been met. */
static void
find_other_circle(struct point *asking, struct way *way)
{
	struct point *p = asking;
	const struct edge *e;

	for (;;) {
		way_add(way, p);
		if (p->session != 0) {
			if (p->back == NULL)
				return;
			p->back = NULL;
		}
		for (e = p->needs; e->to->can_go;)
			e = e->next_need;
		p = e->to;
	}
}

/* Does the session wait for a lock behind another session that waits? */
static bool
is_queued(const struct point *p)
{
	return p->hold && !p->hold->lock->semaphore && lock_ahead(p->hold);
}

static void
add_name(struct buf *b, const char *kind, const char *name)
{
	size_t bytes = strlen(name), shown = utf8_fit(name, bytes, NAME_MAX_SHOWN);

	buf_add_fmt(b, "%s \"", kind);
	buf_add_clean(b, name, shown);
	buf_add_fmt(b, "%s\"", shown < bytes ? "..." : "");
}

static unsigned
holds_of(const struct lock *lock, uint64_t session)
{
	const struct list_node *n;
	unsigned count = 0;

	LIST_EACH (n, &lock->holders)
		count += LIST_OBJ(n, const struct lock_hold, node)->session == session;
	return count;
}

static unsigned
servers_of(const struct pool *group, uint64_t session)
{
	const struct pool *pool = next_of_group(group, &group->all->list.head);
	const struct list_node *n;
	unsigned count = 0;

	for (; pool; pool = next_of_group(group, &pool->node))
		LIST_EACH (n, &pool->servers[SERVER_LEASED])
			count += LIST_OBJ(n, const struct server, node)->lease->session == session;
	return count;
}

static unsigned
servers_in_cluster(const struct cluster *c, uint64_t session)
{
	const struct list_node *n;
	unsigned count = 0;

	LIST_EACH (n, &c->all->list) {
		const struct pool *pool = LIST_OBJ(n, const struct pool, node);

		if (pool->group == pool && pool->cluster == c)
			count += servers_of(pool, session);
	}
	return count;
}

/* Writes what a source is, and how much of it the session holds. */
static void
add_source_words(struct buf *b, const struct point *source, uint64_t session)
{
	unsigned holds;
	int64_t of;

	if (source->semaphore) {
		add_name(b, "semaphore", source->semaphore->name);
		holds = holds_of(source->semaphore, session);
		of = source->semaphore->limit;
	} else if (source->party) {
		buf_add_fmt(b, "a server of ");
		add_name(b, conf_party_name(source->party->kind), source->party->name);
		holds = walk_party(NULL, NULL, source->all, source->party, session);
		of = source->party->max_servers;
	} else {
		add_name(b, "pool", source->group->conf->name);
		holds = servers_of(source->group, session);
		of = source->group->conf->size;
	}
	if (source->cluster) {
		buf_add_fmt(b, " in ");
		add_name(b, "cluster", source->cluster->name);
		holds = servers_in_cluster(source->cluster, session);
		of = source->cluster->limit;
	}
	buf_add_fmt(b, ", of which session %" PRIu64 " holds %u of %lld", session, holds,
		    (long long)of);
}

/* Writes why `p` waits for `next`: by way of `source`, or directly (NULL). */
static void
add_step(struct buf *b, const struct point *p, const struct point *source, const struct point *next)
{
	buf_add_fmt(b, "session %" PRIu64 " waits for ", p->session);
	if (source) {
		add_source_words(b, source, next->session);
		return;
	}
	add_name(b, "lock", p->hold->lock->name);
	buf_add_fmt(b, ", %s session %" PRIu64, is_queued(p) ? "behind" : "held by", next->session);
}

static char *
way_text(const struct way *way)
{
	const struct point *end = way->points[way->count - 1];
	struct buf b;
	size_t i = 0;
	char *text;

	buf_init(&b, CIRCLE_MAX);
	for (unsigned steps = 0; i + 1 < way->count; steps++) {
		const struct point *p = way->points[i++], *source = NULL;

		if (steps == STEPS_SHOWN) {
			buf_add_fmt(&b, "; and so on");
			break;
		}
		if (way->points[i]->session == 0)
			source = way->points[i++];
		/* Of sessions that stand behind each other in one queue, only the last and the
		 * first are told, and the one where the circle closes. */
		while (is_queued(p) && way->points[i] != end && is_queued(way->points[i]) &&
		       way->points[i]->hold->lock == p->hold->lock)
			i++;
		buf_add_fmt(&b, "%s", steps > 0 ? "; " : "");
		add_step(&b, p, source, way->points[i]);
	}
	text = mem_strndup((char *)buf_data(&b), b.len);
	buf_clear(&b);
	return text;
}

static char *
circle_text(struct point *asking)
{
	struct way way = {0};
	char *text;

	find_way_back(asking, &way);
	if (way.count == 0)
		find_other_circle(asking, &way);
	text = way_text(&way);
	free(way.points);
	return text;
}

bool
waits_closed(const struct waits *w, uint64_t session, char **circle)
{
	struct graph g;
	struct point *asking = graph_make(&g, w, session);
	bool closed = !asking->can_go;

	if (circle)
		*circle = closed ? circle_text(asking) : NULL;
	graph_clear(&g);
	return closed;
}
