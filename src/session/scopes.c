#include "session/scopes.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/units.h"
#include "conf/conf.h"
#include "pool/pool.h"
#include "pool/server.h"
#include "session/begin.h"
#include "session/expiry.h"
#include "session/session.h"
#include "session/site.h"
#include "session/slow.h"

struct scopes *
scopes_of(struct session *s)
{
	struct scopes *sc = s->scopes;

	if (sc)
		return sc;
	sc = s->scopes = mem_calloc(1, sizeof *sc);
	sc->session = s;
	stack_init(&sc->stack);
	talk_init(&sc->talk);
	named_init(&sc->named);
	buf_init(&sc->script.text, SESSION_WHOLE_MAX);
	return sc;
}

void
scopes_free(struct scopes *sc)
{
	named_clear(&sc->named);
	talk_clear(&sc->talk);
	buf_clear(&sc->script.text);
	free(sc);
}

bool
scopes_open(const struct session *s)
{
	return s->scopes && (s->scopes->stack.frames.count > 0 || s->scopes->work);
}

/* ---- which lease messages go by ---- */

void
scopes_focus(struct session *s, struct hold *h)
{
	if (s->hold == h)
		return;
	s->hold = h;
	s->context.unnamed.here = false;
}

void
scopes_refocus(struct session *s)
{
	struct scope *f = stack_current(&s->scopes->stack);

	scopes_focus(s,
		     f && f->lease && f->lease->state == LEASE_HELD ? hold_of(f->lease) : &s->own);
}

/* ---- what is open ---- */

bool
scopes_plain(const struct session *s)
{
	return s->block.state != BLOCK_NONE ||
	       (s->own.lease.state == LEASE_HELD && s->own.lease.srv->progress.status != 'I' &&
		!(s->scopes && stack_of_lease(&s->scopes->stack, &s->own.lease)));
}

bool
scopes_holds(const struct session *s)
{
	return s->scopes && stack_of_lease(&s->scopes->stack, &s->hold->lease) != NULL;
}

char
scopes_status(const struct session *s)
{
	const struct scope *f = s->scopes ? stack_current(&s->scopes->stack) : NULL;

	if (block_is_expired(&s->block))
		return 'E';
	if (f)
		return f->lease && f->lease->state == LEASE_HELD ? f->lease->srv->progress.status
								 : 'E';
	return s->own.lease.state == LEASE_HELD ? s->own.lease.srv->progress.status
						: block_status(&s->block);
}

bool
scopes_expired(const struct session *s)
{
	/* All that the client says is inside of it, unless USE has named one around it. */
	const struct stack *st = &s->scopes->stack;
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
	const struct scope *f = stack_reason(&s->scopes->stack, frame);
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

struct scope *
scopes_implicit(struct session *s)
{
	int64_t now = loop_now_us(s->site->loop);
	struct scope *f = stack_push(&scopes_of(s)->stack, SCOPE_IMPLICIT, "",
				     s->own.lease.xact_us ? s->own.lease.xact_us : now);

	f->owner = s;
	f->pool = s->pool;
	f->lease = &s->own.lease;
	f->state = SCOPE_OPEN;
	f->begun = true;
	f->granted_us = f->opened_us = f->asked_us;
	if (s->slow)
		f->statements_before = s->slow->statements_before;
	return f;
}

struct timing_row *
scopes_timing(struct scopes *sc, const struct scope *f)
{
	/* Locks that are named by what they protect would fill the table. */
	return timing_row(&sc->session->site->timing, f->pool ? f->pool->conf->name : "",
			  f->named ? f->name : scope_kind_name(f));
}
