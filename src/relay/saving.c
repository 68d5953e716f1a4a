#include "relay/saving.h"

#include <string.h>

#include "pool/server.h"
#include "session/context.h"
#include "session/inquiry.h"
#include "session/resets.h"
#include "session/scopes.h"

static void
save(struct session *s)
{
	struct buf sql;

	buf_init(&sql, INQUIRY_ANSWER_MAX);
	context_ask(s, s->asks++ > 0, &sql);
	inquiry_ask(s, SESSION_SAVING, (char *)buf_data(&sql));
	buf_clear(&sql);
}

void
saving_begin(struct session *s)
{
	s->asks = 0;
	save(s);
}

bool
saving_answered(struct session *s)
{
	const char *error = s->hold->lease.srv->progress.error;
	bool good = error[0] == 0 && context_take(s, s->answer);

	inquiry_pass_on(s);
	inquiry_forget(s);
	if (s->state != SESSION_SAVING)
		return false;
	/* A late cancel, or the session has given itself a short statement_timeout. */
	if (strcmp(error, "57014") == 0 && s->asks < INQUIRY_ASKS_MAX) {
		session_set_state(s, SESSION_ACTIVE);
		save(s);
		return false;
	}
	if (!good && !s->hold->pins_doubtful && !s->context.pin) {
		inquiry_fail(s,
			     "what the session has set cannot be kept, and the pool has pin = off");
		return false;
	}
	if (!good)
		context_untold(s, error);
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
	    (s->hold->pinned == 0 || (s->hold->discard_all_sent && p->error[0] == 0)))
		return false;
	buf_init(&sql, INQUIRY_ANSWER_MAX);
	asked = resets_sql(s, &sql);
	if (asked) {
		buf_add_u8(&sql, 0);
		s->context.resetting = true;
		inquiry_ask(s, SESSION_SAVING, (char *)buf_data(&sql));
	}
	buf_clear(&sql);
	return asked;
}

bool
saving_reset_answered(struct session *s)
{
	bool failed = s->hold->lease.srv->progress.status == 'E';

	inquiry_pass_on(s);
	inquiry_forget(s);
	if (s->state != SESSION_SAVING)
		return false;
	session_set_state(s, SESSION_ACTIVE);
	/* The role in force may not set what the login has set: the transaction must not fail by
	 * it. */
	if (failed) {
		inquiry_ask(
		    s, SESSION_SAVING,
		    "ROLLBACK TO SAVEPOINT pgwith_startup; RELEASE SAVEPOINT pgwith_startup");
		return false;
	}
	s->context.resetting = false;
	return true;
}
