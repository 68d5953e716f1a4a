#include "relay/saving.h"

#include <string.h>

#include "base/err.h"
#include "pool/server.h"
#include "session/asking.h"
#include "session/inquiry.h"
#include "session/reply.h"
#include "session/resets.h"
#include "session/scopes.h"
#include "wire/sqlclass.h"

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

/* Sets the startup parameters again, by what saving_reset_again() has kept. */
static void
ask_resets(struct session *s)
{
	struct buf sql;

	s->rare->inquiry->tries++;
	buf_init(&sql, QUESTION_MAX);
	buf_add(&sql, buf_data(&s->rare->inquiry->texts), s->rare->inquiry->texts.len);
	ask(s, (char *)buf_data(&sql), sql.len);
	buf_clear(&sql);
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
		inquiry_keep_texts(s, &sql);
		ask_resets(s);
	}
	buf_clear(&sql);
	return asked;
}

/* Was it a cancel that came late, or a short statement_timeout, and may it be tried again? */
static bool
was_cut_short(const struct session *s)
{
	return strcmp(inquiry_sqlstate(s), "57014") == 0 &&
	       s->rare->inquiry->tries < INQUIRY_ATTEMPTS;
}

bool
saving_reset_answered(struct session *s)
{
	static const char undo[] = "ROLLBACK TO SAVEPOINT pgwith_startup\0"
				   "RELEASE SAVEPOINT pgwith_startup";
	char status;

	inquiry_take(s);
	if (s->state != SESSION_SAVING)
		return false;
	session_set_state(s, SESSION_ACTIVE);
	status = s->hold->lease.srv->progress.status;
	if (status == 'E' && strcmp(inquiry_sqlstate(s), "3B001") != 0) {
		/* The role in force may not be allowed to set what the login has set. The client's
		 * transaction must not fail because of that. */
		if (!s->context.resets_undo)
			s->context.resets_cut_short = was_cut_short(s);
		s->context.resets_undo = true;
		ask(s, undo, sizeof undo);
		return false;
	}
	/* If there is no such savepoint, a cancel has hit the statement that makes it, and nothing
	 * can be undone. */
	if (status == 'E')
		s->context.resets_failed = true;
	else if (s->context.resets_undo ? s->context.resets_cut_short : was_cut_short(s)) {
		s->context.resets_undo = false;
		ask_resets(s);
		return false;
	}
	inquiry_forget(s);
	s->context.resets_undo = s->context.resetting = false;
	return true;
}

enum verdict
saving_tell_failure(struct session *s, struct message *m)
{
	struct err e;

	if (strchr("QFPBDE", m->type) == NULL)
		return FORWARD;
	s->context.resets_failed = false;
	if (s->hold->lease.srv->progress.status != 'E' ||
	    ((m->effects.set & SQLCLASS_ROLLBACK) && !(m->effects.set & SQLCLASS_COMMIT)))
		return FORWARD;
	err_make(&e, ERR_RESET_CANCELED);
	return reply_refuse_message(s, m->type, &e);
}
