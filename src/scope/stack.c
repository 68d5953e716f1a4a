#include "scope/stack.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

/* One of the client's own savepoints, in scope->points. */
struct point {
	struct list_node node;
	char name[];
};

void
stack_init(struct stack *st)
{
	*st = (struct stack){0};
	list_init(&st->frames);
}

/* ---- frames ---- */

struct scope *
stack_push(struct stack *st, enum scope_kind kind, const char *name, int64_t now_us)
{
	struct scope *f = mem_calloc(1, sizeof *f);

	f->kind = kind;
	f->name = mem_strdup(name);
	f->asked_us = now_us;
	f->serial = ++st->serial;
	list_init(&f->deferred);
	list_init(&f->points);
	list_append(&st->frames, &f->node);
	return f;
}

void
stack_pop(struct stack *st, struct scope *f)
{
	if (f != stack_innermost(st))
		log_fatal("", LOG_ALONE, "a scope ends that is not the innermost",
			  LOG_TEXT("name", f->name));
	if (st->used == f)
		st->used = NULL;
	list_remove(&st->frames, &f->node);
}

void
deferred_free(struct deferred *d)
{
	for (unsigned i = 0; i < d->nvalues; i++)
		free(d->values[i]);
	free(d->values);
	free(d->sql);
	free(d);
}

void
scope_deferred_forget(struct scope *f)
{
	struct list_node *n;

	while ((n = list_first(&f->deferred)) != NULL) {
		list_remove(&f->deferred, n);
		deferred_free(LIST_OBJ(n, struct deferred, node));
	}
}

void
scope_free(void *frame)
{
	struct scope *f = frame;

	scope_deferred_forget(f);
	scope_points_keep(f, 0);
	hold_clear(&f->own);
	free(f->deadline_text);
	free(f->modes);
	free(f->name);
	free(f);
}

static struct scope *
scope_of(struct list_node *n)
{
	return n ? LIST_OBJ(n, struct scope, node) : NULL;
}

struct scope *
stack_innermost(const struct stack *st)
{
	return scope_of(list_last(&st->frames));
}

struct scope *
stack_outermost(const struct stack *st)
{
	return scope_of(list_first(&st->frames));
}

struct scope *
stack_find(const struct stack *st, const char *name)
{
	struct list_node *n;

	LIST_EACH (n, &st->frames)
		if (strcmp(scope_of(n)->name, name) == 0)
			return scope_of(n);
	return NULL;
}

struct scope *
stack_outside(const struct stack *st, const struct scope *f)
{
	return f->node.prev == &st->frames.head ? NULL : scope_of(f->node.prev);
}

struct scope *
stack_inside(const struct stack *st, const struct scope *f)
{
	return f->node.next == &st->frames.head ? NULL : scope_of(f->node.next);
}

bool
scope_is_transaction(const struct scope *f)
{
	return f->kind == SCOPE_TRANSACTION || f->kind == SCOPE_IMPLICIT;
}

bool
scope_is_savepoint(const struct scope *f)
{
	return f->kind == SCOPE_SAVEPOINT || f->kind == SCOPE_BLOCK;
}

bool
scope_is_begin(const struct scope *f)
{
	return f->kind == SCOPE_IMPLICIT || f->kind == SCOPE_BLOCK;
}

struct scope *
scope_base(struct scope *f)
{
	return scope_is_transaction(f) ? f : f->base;
}

/* ---- questions about the order ---- */

struct scope *
stack_current(const struct stack *st)
{
	struct scope *f;

	if (st->used)
		return scope_base(st->used);
	for (f = stack_innermost(st); f; f = stack_outside(st, f))
		if (scope_base(f))
			return scope_base(f);
	return NULL;
}

struct scope *
stack_transaction_on(const struct stack *st, const struct pool *pool)
{
	struct scope *f;

	for (f = stack_innermost(st); f; f = stack_outside(st, f))
		if (scope_is_transaction(f) && f->pool == pool && f->state == SCOPE_OPEN)
			return f;
	return NULL;
}

struct scope *
stack_top_of(const struct stack *st, const struct scope *base)
{
	struct scope *f;

	for (f = stack_innermost(st); f; f = stack_outside(st, f))
		if (scope_base(f) == base)
			return f;
	return NULL;
}

struct scope *
stack_of_lease(const struct stack *st, const struct lease *l)
{
	struct scope *f;

	for (f = stack_innermost(st); f; f = stack_outside(st, f))
		if (scope_base(f) && scope_base(f)->lease == l)
			return f;
	return NULL;
}

struct scope *
stack_begin(const struct stack *st)
{
	struct scope *f;

	for (f = stack_innermost(st); f; f = stack_outside(st, f))
		if (scope_is_begin(f))
			return f;
	return NULL;
}

bool
stack_is_joinable(const struct stack *st)
{
	struct scope *f = stack_innermost(st);

	while (f && f->kind != SCOPE_JOINT)
		f = stack_outside(st, f);
	return f != NULL;
}

struct scope *
stack_loser(const struct stack *st, const struct scope *f)
{
	struct scope *out;

	for (out = stack_outside(st, f); out; out = stack_outside(st, out)) {
		if (scope_base(out))
			return out;
		if (out->suppress)
			return NULL;
	}
	return NULL;
}

bool
stack_within(const struct stack *st, const struct scope *inner, const struct scope *f)
{
	for (; inner; inner = stack_outside(st, inner))
		if (inner == f)
			return true;
	return false;
}

const struct scope *
stack_reason(const struct stack *st, const struct scope *f)
{
	const struct scope *reason = f;

	while (reason->expired_by == ERR_NONE && stack_outside(st, reason))
		reason = stack_outside(st, reason);
	return reason;
}

void
scope_fail(struct scope *f, const char *sqlstate)
{
	f->failed = true;
	if (f->error[0] == 0)
		memcpy(f->error, sqlstate, sizeof f->error);
}

/* ---- deferred statements ---- */

struct deferred *
deferred_new(enum deferred_when when, const char *sql, const char *const *values, unsigned nvalues,
	     uint64_t used)
{
	struct deferred *d = mem_calloc(1, sizeof *d);

	d->when = when;
	d->sql = mem_strdup(sql);
	d->nvalues = nvalues;
	d->used = used;
	if (nvalues > 0)
		d->values = mem_calloc(nvalues, sizeof *d->values);
	for (unsigned i = 0; i < nvalues; i++)
		d->values[i] = values[i] ? mem_strdup(values[i]) : NULL;
	return d;
}

void
scope_defer(struct scope *f, enum deferred_when when, const char *sql, const char *const *values,
	    unsigned nvalues, uint64_t used)
{
	list_append(&f->deferred, &deferred_new(when, sql, values, nvalues, used)->node);
}

/* ---- the client's savepoints ---- */

int
scope_point_add(struct scope *f, const char *name)
{
	size_t bytes = strlen(name) + 1;
	struct point *p;

	if (f->points.count >= SCOPE_POINTS_MAX)
		return -E_TOOBIG;
	p = mem_calloc(1, sizeof *p + bytes);
	memcpy(p->name, name, bytes);
	list_append(&f->points, &p->node);
	return 0;
}

const char *
scope_point_name(const struct list_node *n)
{
	return LIST_OBJ(n, const struct point, node)->name;
}

static struct point *
last_point(const struct scope *f, const char *name)
{
	for (struct list_node *n = list_last(&f->points); n && n != &f->points.head; n = n->prev)
		if (strcmp(LIST_OBJ(n, struct point, node)->name, name) == 0)
			return LIST_OBJ(n, struct point, node);
	return NULL;
}

bool
scope_point_has(const struct scope *f, const char *name)
{
	return last_point(f, name) != NULL;
}

void
scope_point_cut(struct scope *f, const char *name, bool itself)
{
	struct point *upto = last_point(f, name), *p;

	while (upto && (p = LIST_OBJ(list_last(&f->points), struct point, node)) != upto) {
		list_remove(&f->points, &p->node);
		free(p);
	}
	if (upto && itself) {
		list_remove(&f->points, &upto->node);
		free(upto);
	}
}

void
scope_points_keep(struct scope *f, unsigned n)
{
	while (f->points.count > n) {
		struct list_node *last = list_last(&f->points);

		list_remove(&f->points, last);
		free(LIST_OBJ(last, struct point, node));
	}
}

/* ---- names for people ---- */

const char *
scope_kind_word(enum scope_kind kind)
{
	static const char *const names[] = {
	    [SCOPE_TRANSACTION] = "transaction",
	    [SCOPE_SAVEPOINT] = "savepoint",
	    [SCOPE_LOCK] = "lock",
	    [SCOPE_SHARED_LOCK] = "shared lock",
	    [SCOPE_SEMAPHORE] = "semaphore",
	    [SCOPE_IMPLICIT] = "implicit",
	    [SCOPE_BLOCK] = "block",
	    [SCOPE_JOINT] = "joinable",
	};

	return names[kind];
}

const char *
scope_kind_name(const struct scope *f)
{
	return scope_kind_word(f->kind);
}

const char *
scope_shown(const struct scope *f)
{
	return scope_is_begin(f) ? "BEGIN" : f->name;
}

const char *
scope_state_name(const struct scope *f)
{
	switch (f->state) {
	case SCOPE_ENTERING:
		return "entering";
	case SCOPE_EXPIRED:
		return "expired";
	default:
		return f->failed ? "failed" : "open";
	}
}
