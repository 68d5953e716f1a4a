#include "session/scopes.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/pack.h"
#include "base/units.h"
#include "conf/conf.h"
#include "pool/pool.h"
#include "pool/server.h"
#include "scope/handover.h"
#include "session/begin.h"
#include "session/expiry.h"
#include "session/holds.h"
#include "session/session.h"
#include "session/site.h"
#include "session/slow.h"

void
scopes_prepare(struct session *s)
{
	if (s->rare->stack)
		return;
	session_rare(s)->stack = mem_calloc(1, sizeof *s->rare->stack);
	stack_init(s->rare->stack);
}

bool
scopes_open(const struct session *s)
{
	return s->rare->work || (s->rare->stack && s->rare->stack->frames.count > 0);
}

/* ---- which lease messages go by ---- */

void
scopes_focus(struct session *s, struct hold *h)
{
	if (s->hold == h)
		return;
	s->hold = h;
	unnamed_not_here(s->context.unnamed);
}

void
scopes_refocus(struct session *s)
{
	struct scope *f = stack_current(s->rare->stack);

	scopes_focus(s,
		     f && f->lease && f->lease->state == LEASE_HELD ? hold_of(f->lease) : s->own);
}

void
scopes_focus_pack(struct pack *p, struct session *s)
{
	uint32_t place = STACK_NOWHERE;
	struct scope *f;

	if (!pack_reading(p) && s->hold != s->own)
		place = stack_place(s->rare->stack, LIST_OBJ(s->hold, struct scope, own));
	PACK(p, place);
	if (!pack_reading(p) || place == STACK_NOWHERE || s->rare->stack == NULL)
		return;
	f = stack_at(s->rare->stack, place);
	if (f)
		s->hold = &f->own;
}

/* ---- what is open ---- */

bool
scopes_plain(const struct session *s)
{
	return s->block.state != BLOCK_NONE ||
	       (s->own->lease.state == LEASE_HELD && s->own->lease.srv->progress.status != 'I' &&
		!(s->rare->stack && stack_of_lease(s->rare->stack, &s->own->lease)));
}

bool
scopes_holds(const struct session *s)
{
	return s->rare->stack && stack_of_lease(s->rare->stack, &s->hold->lease) != NULL;
}

char
scopes_status(const struct session *s)
{
	const struct scope *f = s->rare->stack ? stack_current(s->rare->stack) : NULL;

	if (block_is_expired(&s->block))
		return 'E';
	if (f)
		return f->lease && f->lease->state == LEASE_HELD ? f->lease->srv->progress.status
								 : 'E';
	return s->own->lease.state == LEASE_HELD ? s->own->lease.srv->progress.status
						 : block_status(&s->block);
}

bool
scopes_expired(const struct session *s)
{
	/* Statements go to the innermost frame, unless USE has named one around it. */
	const struct stack *st = s->rare->stack;
	const struct scope *f = stack_innermost(st);
	struct scope *base = st->used ? scope_base(st->used) : NULL;

	if (f == NULL || f->state != SCOPE_EXPIRED)
		return false;
	return base == NULL || base->state == SCOPE_EXPIRED ||
	       stack_top_of(st, base)->state == SCOPE_EXPIRED;
}

void
scopes_expired_error(const struct scope *frame, struct err *e)
{
	const struct session *s = frame->owner;
	const struct scope *f = stack_reason(s->rare->stack, frame);
	const struct conf_pool *conf = f->pool ? f->pool->conf : NULL;
	char text[32];

	if (f->kind == SCOPE_IMPLICIT) {
		expiry_error(f->pool, f->expired_by, e);
		return;
	}
	switch (f->expired_by) {
	case ERR_SCOPE_IDLE:
		err_make(e, ERR_SCOPE_IDLE, f->name,
			 units_duration_str(conf ? conf->idle_in_scope_timeout_us : 0, text,
					    sizeof text));
		return;
	case ERR_SCOPE_QUERY:
		err_make(e, ERR_SCOPE_QUERY, f->name,
			 units_duration_str(conf ? conf->query_timeout_us : 0, text, sizeof text));
		return;
	case ERR_SCOPE_KILLED:
		err_make(e, ERR_SCOPE_KILLED, f->name);
		return;
	default:
		err_make(e, ERR_SCOPE_DEADLINE, f->name, f->deadline_text ? f->deadline_text : "");
	}
}

void
scopes_trace(const struct session *s, const struct scope *f, enum trace_scope state)
{
	if (trace_on)
		trace_add(TRACE_SCOPE, loop_now_us(s->site->loop), s->id, f->serial, state,
			  state == TRACE_ENDED ? NULL : scope_shown(f),
			  state == TRACE_ENDED ? NULL : scope_kind_name(f));
}

struct scope *
scopes_implicit(struct session *s)
{
	int64_t now = loop_now_us(s->site->loop);
	struct scope *f;

	scopes_prepare(s);
	f = stack_push(s->rare->stack, SCOPE_IMPLICIT, "",
		       s->own->lease.xact_us ? s->own->lease.xact_us : now);

	f->owner = s;
	f->lease = &holds_need(s)->lease;
	f->pool = s->own->apart ? f->lease->pool : s->pool;
	f->apart = s->own->apart;
	f->state = SCOPE_OPEN;
	f->begun = true;
	f->granted_us = f->opened_us = f->asked_us;
	if (s->rare->slow)
		f->statements_before = s->rare->slow->statements_before;
	scopes_trace(s, f, TRACE_OPEN);
	return f;
}

struct timing_row *
scopes_timing(struct session *s, const struct scope *f)
{
	/* Only names given by AS or by a definition count: keys of locks would fill the table. */
	return timing_row(&s->site->timing, f->pool ? f->pool->conf->name : "",
			  f->named ? f->name : scope_kind_name(f));
}
