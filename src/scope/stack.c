#include "scope/stack.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* A savepoint of the client. */
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

struct frame *
stack_push(struct stack *st, enum frame_kind kind, const char *name, int64_t now_us)
{
	struct frame *f = mem_calloc(1, sizeof *f);

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
stack_pop(struct stack *st, struct frame *f)
{
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
frame_free(void *frame)
{
	struct frame *f = frame;
	struct list_node *n;

	while ((n = list_first(&f->deferred)) != NULL) {
		list_remove(&f->deferred, n);
		deferred_free(LIST_OBJ(n, struct deferred, node));
	}
	frame_points_forget(f);
	free(f->deadline_text);
	free(f->name);
	free(f);
}

static struct frame *
frame_of(struct list_node *n)
{
	return n ? LIST_OBJ(n, struct frame, node) : NULL;
}

struct frame *
stack_innermost(const struct stack *st)
{
	return frame_of(list_last(&st->frames));
}

struct frame *
stack_outermost(const struct stack *st)
{
	return frame_of(list_first(&st->frames));
}

struct frame *
stack_find(const struct stack *st, const char *name)
{
	struct list_node *n;

	LIST_EACH (n, &st->frames)
		if (strcmp(frame_of(n)->name, name) == 0)
			return frame_of(n);
	return NULL;
}

struct frame *
stack_outside(const struct stack *st, const struct frame *f)
{
	return f->node.prev == &st->frames.head ? NULL : frame_of(f->node.prev);
}

struct frame *
stack_inside(const struct stack *st, const struct frame *f)
{
	return f->node.next == &st->frames.head ? NULL : frame_of(f->node.next);
}

bool
frame_is_transaction(const struct frame *f)
{
	return f->kind == FRAME_TRANSACTION || f->kind == FRAME_IMPLICIT;
}

struct frame *
frame_base(struct frame *f)
{
	return frame_is_transaction(f) ? f : f->base;
}

/* ---- questions about the order ---- */

struct frame *
stack_current(const struct stack *st)
{
	struct frame *f;

	if (st->used)
		return frame_base(st->used);
	for (f = stack_innermost(st); f; f = stack_outside(st, f))
		if (frame_base(f))
			return frame_base(f);
	return NULL;
}

struct frame *
stack_transaction_on(const struct stack *st, const struct pool *pool)
{
	struct frame *f;

	for (f = stack_innermost(st); f; f = stack_outside(st, f))
		if (frame_is_transaction(f) && f->pool == pool && f->state == FRAME_OPEN)
			return f;
	return NULL;
}

struct frame *
stack_top_of(const struct stack *st, const struct frame *base)
{
	struct frame *f;

	for (f = stack_innermost(st); f; f = stack_outside(st, f))
		if (frame_base(f) == base)
			return f;
	return NULL;
}

struct frame *
stack_of_lease(const struct stack *st, const struct lease *l)
{
	struct frame *f;

	for (f = stack_innermost(st); f; f = stack_outside(st, f))
		if (frame_base(f) && frame_base(f)->lease == l)
			return f;
	return NULL;
}

struct frame *
stack_loser(const struct stack *st, const struct frame *f)
{
	struct frame *out;

	for (out = stack_outside(st, f); out; out = stack_outside(st, out))
		if (frame_base(out))
			return out;
	return NULL;
}

bool
stack_within(const struct stack *st, const struct frame *inner, const struct frame *f)
{
	for (; inner; inner = stack_outside(st, inner))
		if (inner == f)
			return true;
	return false;
}

const struct frame *
stack_reason(const struct stack *st, const struct frame *f)
{
	const struct frame *reason = f;

	while (reason->expired_by == ERR_NONE && stack_outside(st, reason))
		reason = stack_outside(st, reason);
	return reason;
}

void
frame_fail(struct frame *f, const char *sqlstate)
{
	f->failed = true;
	if (f->error[0] == 0)
		memcpy(f->error, sqlstate, sizeof f->error);
}

/* ---- what they leave behind ---- */

void
frame_defer(struct frame *f, enum deferred_when when, const char *sql, const char *const *values,
	    unsigned nvalues, uint64_t used)
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
	list_append(&f->deferred, &d->node);
}

/* ---- the client's savepoints ---- */

int
frame_point_add(struct frame *f, const char *name)
{
	size_t bytes = strlen(name) + 1;
	struct point *p;

	if (f->points.count >= FRAME_POINTS_MAX)
		return -E_TOOBIG;
	p = mem_calloc(1, sizeof *p + bytes);
	memcpy(p->name, name, bytes);
	list_append(&f->points, &p->node);
	return 0;
}

static struct point *
last_point(const struct frame *f, const char *name)
{
	for (struct list_node *n = list_last(&f->points); n && n != &f->points.head; n = n->prev)
		if (strcmp(LIST_OBJ(n, struct point, node)->name, name) == 0)
			return LIST_OBJ(n, struct point, node);
	return NULL;
}

bool
frame_point_has(const struct frame *f, const char *name)
{
	return last_point(f, name) != NULL;
}

void
frame_point_cut(struct frame *f, const char *name, bool itself)
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
frame_points_forget(struct frame *f)
{
	struct list_node *n;

	while ((n = list_first(&f->points)) != NULL) {
		list_remove(&f->points, n);
		free(LIST_OBJ(n, struct point, node));
	}
}

/* ---- names for people ---- */

const char *
frame_kind_name(const struct frame *f)
{
	static const char *const names[] = {
	    [FRAME_TRANSACTION] = "transaction", [FRAME_SAVEPOINT] = "savepoint",
	    [FRAME_LOCK] = "lock",		 [FRAME_SHARED_LOCK] = "shared lock",
	    [FRAME_SEMAPHORE] = "semaphore",	 [FRAME_IMPLICIT] = "implicit",
	};

	return names[f->kind];
}

const char *
frame_state_name(const struct frame *f)
{
	switch (f->state) {
	case FRAME_ENTERING:
		return "entering";
	case FRAME_EXPIRED:
		return "expired";
	default:
		return f->failed ? "failed" : "open";
	}
}
