#include "pool/queue.h"

#include <stdlib.h>

#include "base/mem.h"
#include "pool/cluster.h"
#include "pool/pool.h"

/* Counts a lease that has entered (by = 1) or left (by = -1) the turns of a pool of the group. */
static void
count_waiting(struct pool *group, int by)
{
	if (group->cluster)
		group->cluster->waiting += (unsigned)by;
}

static struct lease *
lease_at(const struct list_node *n)
{
	return LIST_OBJ(n, struct lease, turn.node);
}

/* ---- lanes ---- */

static struct lane *
lane_need(struct party *party, struct pool *pool)
{
	struct list_node *n;
	struct lane *lane;

	LIST_EACH (n, &party->lanes)
		if (LIST_OBJ(n, struct lane, node)->pool == pool)
			return LIST_OBJ(n, struct lane, node);
	lane = mem_calloc(1, sizeof *lane);
	lane->party = party;
	lane->pool = pool;
	list_init(&lane->blocked);
	list_append(&party->lanes, &lane->node);
	return lane;
}

static void
lane_leave(struct lane *lane)
{
	if (--lane->leases > 0)
		return;
	list_remove(&lane->party->lanes, &lane->node);
	free(lane);
}

/* Would one lease more of the lane in pool->turns be one too many? */
static bool
lane_is_full(const struct lane *lane)
{
	const struct party *p = lane ? lane->party : NULL;

	return p && p->max_servers > 0 && p->servers + lane->offered >= p->max_servers;
}

/* ---- the order ---- */

static bool
is_before(const struct turn *a, const struct turn *b)
{
	return a->time_us != b->time_us ? a->time_us < b->time_us : a->number < b->number;
}

static void
insert_by_time(struct list *list, struct lease *l)
{
	struct list_node *before = list->head.prev;

	/* One that comes back stands in front of all others mostly. */
	if (list->count > 0 && is_before(&l->turn, &lease_at(list->head.next)->turn))
		before = &list->head;
	while (before != &list->head && is_before(&l->turn, &lease_at(before)->turn))
		before = before->prev;
	list_insert(list, &l->turn.node, before->next);
}

static void
add_to_turns(struct lease *l)
{
	struct turn *t = &l->turn;

	t->blocked = NULL;
	for (int i = 0; i < PARTY_KINDS; i++)
		if (t->lane[i])
			t->lane[i]->offered++;
	insert_by_time(&l->pool->turns, l);
	count_waiting(l->pool->group, 1);
}

static void
remove_from_turns(struct lease *l)
{
	struct turn *t = &l->turn;

	list_remove(&l->pool->turns, &t->node);
	for (int i = 0; i < PARTY_KINDS; i++)
		if (t->lane[i])
			t->lane[i]->offered--;
	count_waiting(l->pool->group, -1);
}

static void
block(struct lease *l, struct lane *lane)
{
	l->turn.blocked = lane;
	insert_by_time(&lane->blocked, l);
}

static void offer(struct lane *);

/* A lease has left pool->turns: others of its lanes may come there. */
static void
offer_others(const struct lease *l)
{
	for (int i = 0; i < PARTY_KINDS; i++)
		if (l->turn.lane[i])
			offer(l->turn.lane[i]);
}

/* The last lease of the full lane in pool->turns, if its turn is behind that of `l`, which has a
 * higher priority then, and could have its place; otherwise NULL. */
static struct lease *
last_behind(const struct lane *lane, const struct lease *l)
{
	struct list_node *n = lane->pool->turns.head.prev;

	if (lane->offered == 0 || party_is_full(lane->party))
		return NULL;
	for (; n != &lane->pool->turns.head && is_before(&l->turn, &lease_at(n)->turn); n = n->prev)
		if (lease_at(n)->turn.lane[lane->party->kind] == lane)
			return lease_at(n);
	return NULL;
}

/* Puts the lease where it can wait: into a lane that is full, or into pool->turns. */
static void
place(struct lease *l)
{
	struct lease *behind[PARTY_KINDS] = {NULL};

	for (int i = 0; i < PARTY_KINDS; i++) {
		struct lane *lane = l->turn.lane[i];

		if (!lane_is_full(lane))
			continue;
		behind[i] = last_behind(lane, l);
		if (behind[i] == NULL) {
			block(l, lane);
			return;
		}
	}
	for (int i = 0; i < PARTY_KINDS; i++)
		if (behind[i] && behind[i]->turn.blocked == NULL) {
			remove_from_turns(behind[i]);
			block(behind[i], l->turn.lane[i]);
		}
	add_to_turns(l);
	for (int i = 0; i < PARTY_KINDS; i++)
		if (behind[i])
			offer_others(behind[i]);
}

/* Moves leases from the lane to pool->turns, as many as may be there. A server may be idle for
 * them. */
static void
offer(struct lane *lane)
{
	struct list_node *n;

	while ((n = list_first(&lane->blocked)) != NULL) {
		struct lease *l = lease_at(n);

		if (lane_is_full(lane) && last_behind(lane, l) == NULL)
			return;
		list_remove(&lane->blocked, n);
		/* It may have to wait in the lane of its other party. */
		place(l);
		pools_serve_soon(lane->pool->all);
	}
}

/* ---- a lease ---- */

static void
enter_lanes(struct lease *l)
{
	struct turn *t = &l->turn;
	int64_t ahead_us = 0;

	for (int i = 0; i < PARTY_KINDS; i++) {
		if (t->party[i] == NULL)
			continue;
		if (t->party[i]->priority_us > ahead_us)
			ahead_us = t->party[i]->priority_us;
		t->lane[i] = lane_need(t->party[i], l->pool);
		t->lane[i]->leases++;
	}
	t->number = ++l->pool->all->arrivals;
	t->time_us = l->fresh ? INT64_MIN : l->since_us - ahead_us;
	place(l);
}

void
queue_enter(struct lease *l)
{
	enter_lanes(l);
}

static void
leave_lanes(struct lease *l)
{
	struct turn *t = &l->turn;
	struct lane *lane[PARTY_KINDS];

	if (!list_linked(&t->node))
		return;
	if (t->blocked)
		list_remove(&t->blocked->blocked, &t->node);
	else
		remove_from_turns(l);
	t->blocked = NULL;
	for (int i = 0; i < PARTY_KINDS; i++) {
		lane[i] = t->lane[i];
		t->lane[i] = NULL;
	}
	for (int i = 0; i < PARTY_KINDS; i++)
		if (lane[i]) {
			offer(lane[i]);
			lane_leave(lane[i]);
		}
}

void
queue_leave(struct lease *l)
{
	leave_lanes(l);
}

const struct party *
queue_full_party(const struct lease *l)
{
	for (int i = 0; i < PARTY_KINDS; i++)
		if (party_is_full(l->turn.party[i]))
			return l->turn.party[i];
	return NULL;
}

/* The servers of another pool have used up what the party may have: takes all its leases out of
 * pool->turns, so that they keep their order. */
static void
withdraw(struct pool *pool, const struct party *party)
{
	struct list_node *n, *after;
	struct list out;

	list_init(&out);
	LIST_EACH_SAFE (n, after, &pool->turns)
		if (lease_at(n)->turn.party[party->kind] == party) {
			remove_from_turns(lease_at(n));
			list_append(&out, n);
		}
	while ((n = list_first(&out)) != NULL) {
		list_remove(&out, n);
		block(lease_at(n), lease_at(n)->turn.lane[party->kind]);
		/* It took the place of another one of its other party. */
		offer_others(lease_at(n));
	}
}

struct lease *
queue_next(struct pool *pool, const struct server *srv)
{
	struct list_node *n = pool->turns.head.next;

	while (n != &pool->turns.head) {
		struct lease *l = lease_at(n);
		const struct party *full = queue_full_party(l);

		if (full) {
			withdraw(pool, full);
			n = pool->turns.head.next;
			continue;
		}
		if (srv->leases == 0 || !l->fresh)
			return l;
		n = n->next;
	}
	return NULL;
}

const struct lease *
queue_at(const struct pool *pool, unsigned n)
{
	const struct list_node *at;

	LIST_EACH (at, &pool->turns)
		if (n-- == 0)
			return lease_at(at);
	return NULL;
}

/* ---- servers of parties ---- */

void
queue_count_server(struct pools *all, struct turn *t, int by)
{
	struct list_node *n, *after;

	/* Both are counted before others are moved: while one of them still seems to be full, all
	 * who wait in a lane of the other would move to its own. */
	for (int i = 0; i < PARTY_KINDS; i++)
		if (t->party[i])
			t->party[i]->servers += (unsigned)by;
	for (int i = 0; i < PARTY_KINDS; i++) {
		if (by > 0 || t->party[i] == NULL || t->party[i]->lanes.count == 0)
			continue;
		LIST_EACH_SAFE (n, after, &t->party[i]->lanes)
			offer(LIST_OBJ(n, struct lane, node));
		pools_serve_soon(all);
	}
}

void
queue_leave_parties(struct pools *all, struct turn *t)
{
	for (int i = 0; i < PARTY_KINDS; i++) {
		struct party *p = t->party[i];

		t->party[i] = NULL;
		if (p)
			party_drop_if_unused(&all->parties, p);
	}
}

/* ---- other limits ---- */

static void
for_each_waiting(struct pools *all, void (*fn)(struct lease *))
{
	struct list_node *n, *m;

	LIST_EACH (n, &all->list)
		LIST_EACH (m, &LIST_OBJ(n, struct pool, node)->waiting)
			fn(LIST_OBJ(m, struct lease, node));
}

static void
for_each_held(struct pools *all, void (*fn)(struct lease *))
{
	static const enum server_state states[] = {SERVER_LEASED, SERVER_CLEANING};
	struct list_node *n, *m;

	LIST_EACH (n, &all->list)
		for (unsigned i = 0; i < sizeof states / sizeof *states; i++)
			LIST_EACH (m, &LIST_OBJ(n, struct pool, node)->servers[states[i]]) {
				struct lease *l = LIST_OBJ(m, struct server, node)->lease;

				if (l)
					fn(l);
			}
}

static void
forget_parties(struct lease *l)
{
	for (int i = 0; i < PARTY_KINDS; i++)
		l->turn.party[i] = NULL;
}

static void
find_parties(struct lease *l)
{
	if (l->ops->parties)
		l->ops->parties(l, l->turn.party);
}

static void
wait_again(struct lease *l)
{
	find_parties(l);
	enter_lanes(l);
}

static void
hold_again(struct lease *l)
{
	find_parties(l);
	for (int i = 0; i < PARTY_KINDS; i++)
		if (l->turn.party[i])
			l->turn.party[i]->servers++;
}

void
queues_forget(struct pools *all)
{
	for_each_waiting(all, leave_lanes);
	for_each_waiting(all, forget_parties);
	for_each_held(all, forget_parties);
}

void
queues_again(struct pools *all)
{
	for_each_held(all, hold_again);
	for_each_waiting(all, wait_again);
	pools_serve_soon(all);
}
