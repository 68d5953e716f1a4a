#include "relay/saving.h"

#include "pool/server.h"
#include "session/context.h"
#include "session/end.h"
#include "session/inquiry.h"
#include "session/resets.h"
#include "session/scopes.h"

#define QUESTION_MAX (1024 * 1024) /* bytes of a statement */

static void
ask(struct session *s, const char *sql, unsigned options)
{
	session_set_state(s, SESSION_SAVING);
	stream_pause(&s->stream);
	inquiry_ask(s, sql, INQUIRY_PASSES_AT_END, options);
}

void
saving_begin(struct session *s)
{
	struct buf sql;

	buf_init(&sql, QUESTION_MAX);
	context_ask(s, inquiry_state(s) == INQUIRY_CUT_SHORT, &sql);
	ask(s, (char *)buf_data(&sql), INQUIRY_ROWS | INQUIRY_AGAIN);
	buf_clear(&sql);
}

bool
saving_answered(struct session *s)
{
	enum inquiry_state how = inquiry_take(s);
	bool good;

	if (s->state != SESSION_SAVING)
		return false;
	if (how == INQUIRY_CUT_SHORT) {
		session_set_state(s, SESSION_ACTIVE);
		saving_begin(s);
		return false;
	}
	good = how == INQUIRY_ANSWERED && context_take(s, inquiry_rows(s));
	if (!good && !s->hold->pins_doubtful && !s->context.pin) {
		session_fail_setup(
		    s, "what the session has set cannot be kept, and the pool has pin = off");
		return false;
	}
	if (!good)
		context_untold(s, inquiry_sqlstate(s));
	inquiry_forget(s);
	s->hold->changed = s->hold->pins_doubtful = false;
	session_set_state(s, SESSION_ACTIVE);
	return true;
}

bool
saving_reset_again(struct session *s)
{
	const struct progress *p = &s->hold->lease.srv->progress;
	struct buf sql;
	bool asked;

	/* Elsewhere the next lease has them; a DISCARD ALL that has let it go, too. */
	if (p->status == 'I' && !(s->stack && scopes_holds(s)) &&
	    (s->hold->pinned == 0 || s->hold->discard_all_sent))
		return false;
	buf_init(&sql, QUESTION_MAX);
	asked = resets_sql(s, &sql);
	if (asked) {
		buf_add_u8(&sql, 0);
		s->context.resetting = true;
		ask(s, (char *)buf_data(&sql), 0);
	}
	buf_clear(&sql);
	return asked;
}

bool
saving_reset_answered(struct session *s)
{
	inquiry_take(s);
	if (s->state != SESSION_SAVING)
		return false;
	session_set_state(s, SESSION_ACTIVE);
	/* The role in force may not set what the login has set: the transaction must not fail by
	 * it. */
	if (s->hold->lease.srv->progress.status == 'E') {
		ask(s, "ROLLBACK TO SAVEPOINT pgwith_startup; RELEASE SAVEPOINT pgwith_startup", 0);
		return false;
	}
	inquiry_forget(s);
	s->context.resetting = false;
	return true;
}
