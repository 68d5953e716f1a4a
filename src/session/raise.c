#include "session/raise.h"

#include "pool/pool.h"
#include "session/batch.h"
#include "session/context.h"
#include "session/params.h"
#include "session/script.h"
#include "wire/frame.h"
#include "wire/msg.h"

enum verdict
raise_error(struct session *s, struct message *m, const struct err *e)
{
	struct progress *p = &s->hold->lease.srv->progress;
	struct buf *out = batch_for(s), sql;

	buf_init(&sql, 4096);
	buf_add_fmt(
	    &sql, "DO $pgwith$BEGIN RAISE EXCEPTION USING ERRCODE = '%s', MESSAGE = ", e->sqlstate);
	params_literal(&sql, e->message);
	if (e->hint) {
		buf_add_fmt(&sql, ", HINT = ");
		params_literal(&sql, e->hint);
	}
	buf_add_str(&sql, "; END$pgwith$");
	if (m->type == 'Q') {
		msg_query(out, (char *)buf_data(&sql));
		script_query_sent(s);
	} else {
		context_own(p, (char *)buf_data(&sql), out);
		/* As in PostgreSQL, the Parse has dropped the statement before it failed. */
		if (m->type == 'P' && message_is_unnamed(m))
			unnamed_forget(s->context.unnamed, &s->hold->lease.srv->prepared.tracked);
		else
			unnamed_not_here(s->context.unnamed);
	}
	buf_clear(&sql);
	m->used = FRAME_HEADER + m->bytes;
	return REPLACE;
}

enum verdict
raise_pin_off(struct session *s, struct message *m, unsigned why)
{
	enum verdict v;
	struct err e;

	if (s->hold->apart)
		err_make(&e, ERR_PIN_APART, s->hold->lease.pool->conf->name, session_pin_word(why));
	else
		err_make(&e, ERR_PIN_OFF, s->pool->conf->name, session_pin_word(why));
	v = raise_error(s, m, &e);
	err_clear(&e);
	return v;
}
