#include "relay/saving.h"

#include <string.h>

#include "pool/server.h"
#include "session/asking.h"
#include "session/inquiry.h"
#include "session/resets.h"
#include "session/scopes.h"

#define QUESTION_MAX (1024 * 1024) /* bytes of a statement */

static void
enter_saving(struct session *s)
{
	session_set_state(s, SESSION_SAVING);
	stream_pause(&s->stream);
}

void
saving_begin(struct session *s)
{
	bool again = inquiry_state(s) == INQUIRY_CUT_SHORT;

	enter_saving(s);
	asking_begin(s, INQUIRY_PASSES_AT_END, again);
}

bool
saving_answered(struct session *s)
{
	enum inquiry_state how = inquiry_take(s);

	if (s->state != SESSION_SAVING)
		return false;
	if (how == INQUIRY_CUT_SHORT) {
		session_set_state(s, SESSION_ACTIVE);
		saving_begin(s);
		return false;
	}
	if (!asking_answered(s, how))
		return false;
	inquiry_forget(s);
	session_set_state(s, SESSION_ACTIVE);
	return true;
}

static void
ask(struct session *s, const char *texts, size_t bytes)
{
	enter_saving(s);
	inquiry_ask_apart(s, texts, bytes, INQUIRY_PASSES_AT_END);
}

bool
saving_reset_again(struct session *s)
{
	const struct progress *p = &s->hold->lease.srv->progress;
	struct buf sql;
	bool asked;

	/* If the server is about to be returned, the next lease gets them (context.c). */
	if (p->status == 'I' && !(s->rare->stack && scopes_holds(s)) &&
	    (s->hold->pinned == 0 || s->hold->discard_all_sent))
		return false;
	buf_init(&sql, QUESTION_MAX);
	asked = resets_sql(s, &sql);
	if (asked) {
		s->context.resetting = true;
		ask(s, (char *)buf_data(&sql), sql.len);
	}
	buf_clear(&sql);
	return asked;
}

bool
saving_reset_answered(struct session *s)
{
	static const char undo[] = "ROLLBACK TO SAVEPOINT pgwith_startup\0"
				   "RELEASE SAVEPOINT pgwith_startup";

	inquiry_take(s);
	if (s->state != SESSION_SAVING)
		return false;
	session_set_state(s, SESSION_ACTIVE);
	/* The role in force may not be allowed to set what the login has set. The client's
	 * transaction must not fail because of that. If there is no such savepoint (3B001), a
	 * cancel has hit the statement that makes it, and nothing can be undone. */
	if (s->hold->lease.srv->progress.status == 'E' &&
	    strcmp(inquiry_sqlstate(s), "3B001") != 0) {
		ask(s, undo, sizeof undo);
		return false;
	}
	inquiry_forget(s);
	s->context.resetting = false;
	return true;
}
