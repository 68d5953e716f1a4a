#include "session/marking.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/mem.h"
#include "pool/pool.h"
#include "session/channels.h"
#include "session/deeds.h"
#include "session/end.h"
#include "session/inquiry.h"
#include "session/kept.h"
#include "session/outcome.h"
#include "session/reply.h"
#include "session/scopes.h"
#include "session/script.h"
#include "wire/sqlclass.h"

/* Turns the session's own statement_timeout off, for one text of several statements. */
#define PATIENT "SET LOCAL statement_timeout = 0; "

bool
marking_is_due(const struct session *s)
{
	const struct listening *li = s->rare->listening;
	const struct progress *p = &s->hold->lease.srv->progress;

	return li->state == LISTENING_PASSED && (li->purpose == INSIDE || li->purpose == AMONG) &&
	       li->executed && !li->mixed && p->error[0] == 0 && p->status == 'T';
}

static void
enter_saving(struct session *s)
{
	if (s->state != SESSION_SAVING)
		session_set_state(s, SESSION_SAVING);
	stream_pause(&s->stream);
}

static void
cannot_look(struct session *s, const char *why)
{
	struct err e;

	err_make(&e, ERR_LISTEN_LOST, s->pool->conf->name, why);
	session_fail(s, &e);
	err_clear(&e);
}

static void
look(struct session *s)
{
	struct buf sql;

	buf_init(&sql, DEEDS_SQL_MAX);
	if (inquiry_state(s) == INQUIRY_CUT_SHORT)
		buf_add_fmt(&sql, PATIENT);
	outcome_question(s->rare->listening, &sql);
	if (s->rare->listening->state != LISTENING_LOOKS)
		channels_set_state(s, LISTENING_LOOKS);
	enter_saving(s);
	if (sql.failed) {
		buf_clear(&sql);
		cannot_look(s, "too many names have to be read");
		return;
	}
	inquiry_ask(s, (char *)buf_data(&sql),
		    s->hold->lease.srv->progress.muted ? INQUIRY_PASSES_NOTHING
						       : INQUIRY_PASSES_AT_END,
		    INQUIRY_ROWS | INQUIRY_AGAIN);
	buf_clear(&sql);
}

/* The server has told what it listens to. Returns true if it is to be told to end that, or if the
 * session has ended. */
static bool
take_look(struct session *s)
{
	struct listening *li = s->rare->listening;
	struct deed_names told, names;
	struct buf sql;
	bool listens, lost;

	deed_names_init(&told);
	deed_names_init(&names);
	buf_init(&sql, DEEDS_SQL_MAX);
	outcome_told(li, inquiry_rows(s), &told);
	outcome_names(li, &told, &names);
	outcome_keep(li, &names);
	listens = outcome_unlisten(li, &told, &sql);
	s->hold->pinned &= ~(unsigned)SQLCLASS_LISTEN;
	/* With pin = off, what would pin the session is discarded. If the client was told that it
	 * listens, it is ended. */
	if (listens && s->context.pin)
		s->hold->pinned |= SQLCLASS_LISTEN;
	s->hold->discard |= listens && !s->context.pin;
	lost = listens && !s->context.pin && outcome_is_missing(li, &told);
	kept_drop_others(li);
	channels_forget_transaction(li);
	deed_names_clear(&told);
	deed_names_clear(&names);
	/* Not more than the keeper's channels and the marks: that fits. */
	if (sql.failed)
		s->hold->discard = true;
	if (lost) {
		buf_clear(&sql);
		cannot_look(s, "it was not there at the COMMIT, and pin is off");
		return true;
	}
	if (sql.len > 1 && !sql.failed) {
		channels_set_state(s, LISTENING_CLEARS);
		free(li->clearing);
		li->clearing = mem_printf(PATIENT "%s", (char *)buf_data(&sql));
		inquiry_ask(s, li->clearing + sizeof PATIENT - 1, s->rare->inquiry->passes,
			    INQUIRY_AGAIN);
	}
	buf_clear(&sql);
	return li->state == LISTENING_CLEARS;
}

/* The deeds of the message are the transaction's, and have this mark. */
static void
join_transaction(struct session *s, unsigned number)
{
	struct listening *li = s->rare->listening;

	if (li->ntx == 0 && getrandom(&li->random, sizeof li->random, 0) != sizeof li->random)
		log_fatal("session", s->id, "no random numbers");
	if (li->deeds.count > 0)
		li->tx = mem_realloc(li->tx, (li->ntx + li->deeds.count) * sizeof *li->tx);
	for (unsigned i = 0; i < li->deeds.count; i++) {
		li->tx[li->ntx++] = (struct marked){li->deeds.list[i], number};
		li->deeds.list[i].spelled = NULL;
	}
	deeds_drop(&li->deeds);
}

/* A cancel that comes late, or a short statement_timeout, may hit the mark. The client's
 * transaction should not fail because of that: hence the savepoint. If it hits that one, the
 * transaction has failed, and the client is told: tell_failure(). */
static void
send_mark(struct session *s)
{
	struct listening *li = s->rare->listening;
	char name[OUTCOME_MARK];
	struct buf sql;

	li->attempts++;
	li->undoing = false;
	outcome_mark(li, li->marks, name);
	buf_init(&sql, 1024);
	buf_add_str(&sql, "SAVEPOINT pgwith_mark");
	buf_add_fmt(&sql, "LISTEN \"%s\"", name);
	buf_add_u8(&sql, 0);
	buf_add_str(&sql, "RELEASE SAVEPOINT pgwith_mark");
	inquiry_ask_apart(s, (char *)buf_data(&sql), sql.len, INQUIRY_PASSES_AT_END);
	buf_clear(&sql);
}

static void
mark(struct session *s)
{
	struct listening *li = s->rare->listening;

	li->marks++;
	li->attempts = 0;
	join_transaction(s, li->marks);
	channels_set_state(s, LISTENING_MARKS);
	enter_saving(s);
	send_mark(s);
}

static void
keep_failure(struct session *s)
{
	struct buf *failure = &s->rare->listening->failure;
	const struct buf *error = inquiry_error(s);

	buf_reset(failure);
	buf_add(failure, buf_data(error), error->len);
}

/* The transaction has failed in the mark: the client gets the error ahead of its ReadyForQuery. */
static void
tell_failure(struct session *s)
{
	struct buf *failure = &s->rare->listening->failure;

	if (s->hold->lease.srv->progress.status == 'E' && failure->len > 0)
		reply_send_buf(s, failure);
	buf_clear(failure);
}

/* The mark has been answered, or its undoing. Returns true if more is asked. */
static bool
mark_again(struct session *s)
{
	static const char undo[] = "ROLLBACK TO SAVEPOINT pgwith_mark\0"
				   "RELEASE SAVEPOINT pgwith_mark";
	struct listening *li = s->rare->listening;

	/* If there is no such savepoint (3B001), nothing can be undone. */
	if (s->hold->lease.srv->progress.status == 'E' &&
	    strcmp(inquiry_sqlstate(s), "3B001") != 0) {
		if (!li->undoing)
			keep_failure(s);
		li->undoing = true;
		inquiry_ask_apart(s, undo, sizeof undo, INQUIRY_PASSES_AT_END);
		return true;
	}
	if (!li->undoing || s->hold->lease.srv->progress.status != 'T')
		return false;
	if (li->attempts < INQUIRY_ATTEMPTS) {
		send_mark(s);
		return true;
	}
	/* It cannot be marked: the server listens by itself. */
	s->hold->pinned |= SQLCLASS_LISTEN;
	s->hold->pins_doubtful = true;
	return false;
}

bool
marking_asks(const struct session *s)
{
	const struct listening *li = s->rare->listening;

	return li && (li->state == LISTENING_MARKS || li->state == LISTENING_LOOKS ||
		      li->state == LISTENING_CLEARS);
}

bool
marking_inquired(struct session *s)
{
	struct listening *li = s->rare->listening;
	enum inquiry_state how = inquiry_take(s);

	if (s->state != SESSION_SAVING)
		return false;
	if (how == INQUIRY_CUT_SHORT && li->state == LISTENING_LOOKS) {
		look(s);
		return false;
	}
	if (how == INQUIRY_CUT_SHORT) {
		inquiry_ask(s, li->clearing, s->rare->inquiry->passes, INQUIRY_AGAIN);
		return false;
	}
	if (li->state == LISTENING_MARKS && mark_again(s))
		return false;
	if (how == INQUIRY_FAILED && li->state != LISTENING_MARKS) {
		cannot_look(s, inquiry_message(s));
		return false;
	}
	if (li->state == LISTENING_LOOKS && inquiry_is_too_long(s) && li->ntx > 0) {
		cannot_look(s, "the server listens to too many channels");
		return false;
	}
	if (li->state == LISTENING_LOOKS && take_look(s))
		return false;
	if (li->state == LISTENING_MARKS)
		tell_failure(s);
	channels_set_state(s, LISTENING_QUIET);
	s->hold->lease.srv->progress.muted = false;
	session_set_state(s, SESSION_ACTIVE);
	inquiry_forget(s);
	session_wake(s);
	return true;
}

/* A transaction has ended, or something that may have listened. Is the server to be asked what it
 * listens to? */
static bool
must_look(const struct session *s)
{
	const struct listening *li = s->rare->listening;

	return s->hold->lease.srv->progress.status == 'I' && !script_waiting(s) &&
	       !(s->rare->stack && scopes_open(s)) &&
	       (li->ntx > 0 || (li->suspect && li->listener.listens > 0));
}

/* The server has answered a message that concerns what the session listens to. Returns true if it
 * is asked something now. */
static bool
passed_answered(struct session *s)
{
	struct listening *li = s->rare->listening;
	const struct progress *p = &s->hold->lease.srv->progress;
	bool good = p->error[0] == 0;

	switch (li->purpose) {
	case INSIDE:
	case AMONG:
		if (marking_is_due(s)) {
			mark(s);
			return true;
		}
		if (!li->executed && good && p->status == 'T' && !li->mixed &&
		    channels_set_later(li))
			break;
		/* It is not known what has become of it. */
		if (p->status == 'I' || li->mixed || (good && !li->executed)) {
			s->hold->pinned |= SQLCLASS_LISTEN;
			s->hold->pins_doubtful = true;
			/* With pin = off that must not be lost in silence: take_look(). */
			if (good && !s->context.pin)
				join_transaction(s, 0);
			if (must_look(s)) {
				look(s);
				return true;
			}
		}
		break;
	case SINGLE:
		channels_settle(li);
		if (!good)
			deeds_drop(&li->deeds);
		look(s);
		return true;
	case COMMIT:
		if (p->status == 'I') {
			look(s);
			return true;
		}
		s->hold->lease.srv->progress.muted = false;
		break;
	default:
		channels_settle(li);
		good = good && li->executed;
		if (good && p->status == 'I' && deeds_ask(&li->deeds)) {
			look(s);
			return true;
		}
		if (good && p->status == 'I')
			outcome_do(li);
		deeds_drop(&li->deeds);
		if (must_look(s)) {
			look(s);
			return true;
		}
		break;
	}
	deeds_drop(&li->deeds);
	li->mixed = false;
	channels_set_state(s, LISTENING_QUIET);
	stream_resume(&s->stream);
	session_wake(s);
	return false;
}

bool
marking_answered(struct session *s)
{
	struct listening *li = s->rare->listening;

	/* What has come meanwhile is given when this has been dealt with. */
	if (li->kept.len > 0)
		session_wake(s);
	if (li->state == LISTENING_PASSED)
		return passed_answered(s);
	if (li->state == LISTENING_QUIET && must_look(s)) {
		look(s);
		return true;
	}
	return false;
}
