#include "scope/handover.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define MARK 0x73636f70u

/* ---- deferred statements ---- */

static void
deferred_pack(struct pack *p, struct deferred *d)
{
	PACK(p, d->when);
	pack_str(p, &d->sql);
	PACK(p, d->nvalues);
	PACK(p, d->used);
	if (pack_reading(p)) {
		if (d->nvalues > p->left) {
			p->failed = true;
			d->nvalues = 0;
		}
		d->values = d->nvalues ? mem_calloc(d->nvalues, sizeof *d->values) : NULL;
	}
	for (unsigned i = 0; i < d->nvalues; i++)
		pack_str(p, &d->values[i]);
}

void
deferred_list_pack(struct pack *p, struct list *l)
{
	uint32_t count = l->count;
	struct list_node *n;

	PACK(p, count);
	if (!pack_reading(p)) {
		LIST_EACH (n, l)
			deferred_pack(p, LIST_OBJ(n, struct deferred, node));
		return;
	}
	for (uint32_t i = 0; i < count && !p->failed; i++) {
		struct deferred *d = mem_calloc(1, sizeof *d);

		deferred_pack(p, d);
		if (d->sql == NULL)
			d->sql = mem_strdup("");
		list_append(l, &d->node);
	}
}

/* ---- scope statements ---- */

static void
value_pack(struct pack *p, struct grammar_value *v)
{
	pack_str(p, &v->text);
	PACK(p, v->param);
	PACK(p, v->at);
	PACK(p, v->given);
}

static void
item_pack(struct pack *p, struct grammar_item *item)
{
	PACK(p, item->kind);
	pack_str(p, &item->name);
	pack_str(p, &item->as);
	pack_str(p, &item->pool);
	value_pack(p, &item->key);
	PACK(p, item->nargs);
	if (pack_reading(p)) {
		if (item->nargs > GRAMMAR_ARGS) {
			p->failed = true;
			item->nargs = 0;
		}
		item->args = item->nargs ? mem_calloc(item->nargs, sizeof *item->args) : NULL;
	}
	for (unsigned i = 0; i < item->nargs; i++)
		value_pack(p, &item->args[i]);
	value_pack(p, &item->limit);
	value_pack(p, &item->wait);
	value_pack(p, &item->deadline);
	PACK(p, item->fresh);
	PACK(p, item->shared);
	PACK(p, item->suppress);
	PACK(p, item->isolation);
	PACK(p, item->access);
	PACK(p, item->at);
}

void
grammar_pack(struct pack *p, struct grammar **out)
{
	struct grammar *g = pack_reading(p) ? NULL : *out;
	bool there = g != NULL;

	PACK(p, there);
	*out = g;
	if (!there || p->failed)
		return;
	if (g == NULL)
		g = *out = mem_calloc(1, sizeof *g);
	PACK(p, g->verb);
	PACK(p, g->nitems);
	if (pack_reading(p)) {
		if (g->nitems > GRAMMAR_ITEMS) {
			p->failed = true;
			g->nitems = 0;
		}
		g->items = g->nitems ? mem_calloc(g->nitems, sizeof *g->items) : NULL;
	}
	for (unsigned i = 0; i < g->nitems; i++)
		item_pack(p, &g->items[i]);
	pack_str(p, &g->name);
	PACK(p, g->all);
	PACK(p, g->rollback);
	PACK(p, g->leave);
	PACK(p, g->when);
	value_pack(p, &g->sql);
	PACK(p, g->nparams);
	pack_str(p, &g->modes);
	PACK(p, g->start);
	PACK(p, g->chain);
}

/* ---- frames ---- */

struct scope *
stack_at(const struct stack *st, uint32_t place)
{
	struct list_node *n = st->frames.head.next;

	if (place >= st->frames.count)
		return NULL;
	while (place-- > 0)
		n = n->next;
	return LIST_OBJ(n, struct scope, node);
}

uint32_t
stack_place(const struct stack *st, const struct scope *f)
{
	const struct list_node *n;
	uint32_t place = 0;

	LIST_EACH (n, &st->frames) {
		if (LIST_OBJ(n, const struct scope, node) == f)
			return place;
		place++;
	}
	return STACK_NOWHERE;
}

static void
points_pack(struct pack *p, struct scope *f)
{
	uint32_t count = f->points.count;
	struct list_node *n = f->points.head.next;

	PACK(p, count);
	for (uint32_t i = 0; i < count && !p->failed; i++) {
		char *name = NULL;

		if (!pack_reading(p)) {
			name = (char *)scope_point_name(n);
			n = n->next;
		}
		pack_str(p, &name);
		if (pack_reading(p) && name)
			p->failed |= scope_point_add(f, name) < 0;
		if (pack_reading(p))
			free(name);
	}
}

static void
frame_values_pack(struct pack *p, struct scope *f)
{
	PACK(p, f->state);
	hold_pack(p, &f->own);
	PACK(p, f->serial);
	PACK(p, f->named);
	PACK(p, f->begun);
	PACK(p, f->suppress);
	PACK(p, f->apart);
	PACK(p, f->joinable);
	PACK(p, f->was_joined);
	PACK(p, f->failed);
	PACK(p, f->error);
	PACK(p, f->expired_by);
	PACK(p, f->expire_due);
	PACK(p, f->asked_us);
	PACK(p, f->granted_us);
	PACK(p, f->opened_us);
	PACK(p, f->deadline_us);
	pack_str(p, &f->deadline_text);
	pack_str(p, &f->modes);
	PACK(p, f->statements_before);
	PACK(p, f->hold.since_us);
	PACK(p, f->hold.limit);
	PACK(p, f->hold.mode);
	deferred_list_pack(p, &f->deferred);
	points_pack(p, f);
	PACK(p, f->points_kept);
	PACK(p, f->points_sent);
}

enum which_lease { NO_LEASE, FRAMES_OWN, SESSIONS_OWN };

static bool
frame_pack(struct pack *p, struct handed_pools *h, struct stack *st, struct scope *f,
	   struct lease *own)
{
	enum which_lease which = f->lease == NULL  ? NO_LEASE
				 : f->lease == own ? SESSIONS_OWN
						   : FRAMES_OWN;
	uint32_t base = f->base ? stack_place(st, f->base) : STACK_NOWHERE;
	bool has_pool = f->pool != NULL, good = true;

	frame_values_pack(p, f);
	PACK(p, which);
	PACK(p, base);
	PACK(p, has_pool);
	f->pool = handover_pack_pool(p, h, f->pool);
	if (which == FRAMES_OWN)
		good = handover_pack_lease(p, h, &f->own.lease);
	if (pack_reading(p)) {
		f->lease = which == NO_LEASE ? NULL : which == SESSIONS_OWN ? own : &f->own.lease;
		f->base = base == STACK_NOWHERE ? NULL : stack_at(st, base);
	}
	return good && (f->pool || !has_pool);
}

bool
stack_pack(struct pack *p, struct handed_pools *h, struct stack *st, struct lease *own,
	   const struct lease_ops *ops, void *session, uint64_t id)
{
	uint32_t count = st->frames.count,
		 used = st->used ? stack_place(st, st->used) : STACK_NOWHERE;
	bool good = true;

	PACK(p, count);
	for (uint32_t i = 0; i < count && !p->failed; i++) {
		struct scope *f = pack_reading(p) ? NULL : stack_at(st, i);
		char *name = f ? f->name : NULL;
		enum scope_kind kind = f ? f->kind : SCOPE_LOCK;

		pack_str(p, &name);
		PACK(p, kind);
		if (f == NULL) {
			/* The joint comes later, or is lost: no frame is one without. */
			if (kind == SCOPE_JOINT)
				kind = SCOPE_TRANSACTION;
			f = stack_push(st, kind, name ? name : "", 0);
			f->owner = session;
			lease_init(&f->own.lease, ops, session, id);
			free(name);
		}
		good &= frame_pack(p, h, st, f, own);
	}
	PACK(p, used);
	PACK(p, st->serial);
	if (pack_reading(p))
		st->used = stack_at(st, used);
	pack_mark(p, MARK);
	return good;
}

/* ---- locks ---- */

static void
holder_pack(struct pack *p, struct lock *lock, struct lock_hold *hold, enum lock_state state,
	    const char *name, const struct locks_ties *ties)
{
	uint64_t session = hold ? hold->session : 0;
	bool upgrade = hold && hold->upgrade;
	struct stack *st;
	struct scope *f;
	uint32_t place = STACK_NOWHERE;

	if (hold && (st = ties->stack(ties->arg, session)) != NULL)
		place = stack_place(st, LIST_OBJ(hold, struct scope, hold));
	PACK(p, session);
	PACK(p, place);
	PACK(p, upgrade);
	if (!pack_reading(p) || p->failed)
		return;
	st = ties->stack(ties->arg, session);
	f = st ? stack_at(st, place) : NULL;
	if (f && f->hold.state == LOCK_NONE)
		lock_adopt(lock->all, &f->hold, name, f->hold.mode, f->hold.limit, session,
			   ties->ops, f, state, upgrade);
}

static void
holds_pack(struct pack *p, struct locks *all, struct list *l, enum lock_state state,
	   const char *name, const struct locks_ties *ties)
{
	uint32_t count = l ? l->count : 0;
	struct list_node *n = l ? l->head.next : NULL;
	struct lock none = {.all = all};

	PACK(p, count);
	for (uint32_t i = 0; i < count && !p->failed; i++) {
		struct lock_hold *hold = NULL;

		if (n) {
			hold = LIST_OBJ(n, struct lock_hold, node);
			n = n->next;
		}
		holder_pack(p, &none, hold, state, name, ties);
	}
}

void
locks_pack(struct pack *p, struct locks *all, const struct locks_ties *ties)
{
	uint32_t count = all->list.count;
	struct list_node *n = all->list.head.next;

	PACK(p, count);
	for (uint32_t i = 0; i < count && !p->failed; i++) {
		struct lock *lock = NULL;
		char *name = NULL;

		if (!pack_reading(p)) {
			lock = LIST_OBJ(n, struct lock, node);
			name = lock->name;
			n = n->next;
		}
		pack_str(p, &name);
		holds_pack(p, all, lock ? &lock->holders : NULL, LOCK_HELD, name ? name : "", ties);
		holds_pack(p, all, lock ? &lock->waiting : NULL, LOCK_WAITING, name ? name : "",
			   ties);
		if (pack_reading(p))
			free(name);
	}
	pack_mark(p, MARK);
}

/* ---- timings ---- */

static void
row_pack(struct pack *p, struct timing_row *row)
{
	PACK(p, row->outcomes);
	for (int i = 0; i < TIMING_NPHASES; i++) {
		bool there = row->phases[i] != NULL;

		PACK(p, there);
		if (!there || p->failed)
			continue;
		if (row->phases[i] == NULL)
			row->phases[i] = mem_calloc(1, sizeof *row->phases[i]);
		PACK(p, *row->phases[i]);
	}
}

void
timing_pack(struct pack *p, struct timing *t)
{
	uint32_t count = t->rows.count;
	struct list_node *n = t->rows.head.next;

	PACK(p, count);
	for (uint32_t i = 0; i < count && !p->failed; i++) {
		struct timing_row *row = NULL;
		char *pool = NULL, *scope = NULL;

		if (!pack_reading(p)) {
			row = LIST_OBJ(n, struct timing_row, node);
			pool = row->pool;
			scope = row->scope;
			n = n->next;
		}
		pack_str(p, &pool);
		pack_str(p, &scope);
		if (row == NULL) {
			row = timing_row(t, pool ? pool : "", scope ? scope : "");
			free(pool);
			free(scope);
		}
		row_pack(p, row);
	}
	row_pack(p, &t->others);
	pack_mark(p, MARK);
}
