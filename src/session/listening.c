#include "session/listening.h"

#include <string.h>

#include "pool/keeper.h"
#include "pool/pool.h"
#include "session/begin.h"
#include "session/channels.h"
#include "session/deeds.h"
#include "session/kept.h"
#include "session/notifying.h"
#include "session/outcome.h"
#include "session/raise.h"
#include "session/reply.h"
#include "session/scopes.h"
#include "session/script.h"
#include "session/site.h"
#include "session/statement.h"
#include "wire/msg.h"
#include "wire/sqlclass.h"

#define NAMES_MAX (2 * DEEDS_MAX * (KEEPER_NAME + 1))

static enum verdict
hold(struct session *s)
{
	stream_pause(&s->stream);
	return HOLD;
}

/* Answers the text that the keeper has carried out. */
static enum verdict
answer_query(struct session *s)
{
	struct listening *li = s->rare->listening;
	struct buf out;

	buf_init(&out, DEEDS_SQL_MAX);
	for (unsigned i = 0; i < li->deeds.count; i++)
		msg_complete(&out, li->deeds.list[i].what == LISTEN ? "LISTEN" : "UNLISTEN");
	outcome_do(li);
	/* A simple Query ends the unnamed statement. */
	unnamed_forget(s->context.unnamed,
		       s->hold->lease.srv ? &s->hold->lease.srv->prepared.tracked : NULL);
	s->activity.request_us = loop_now_us(s->site->loop);
	reply_ready(s, &out);
	reply_send_buf(s, &out);
	buf_clear(&out);
	return session_gone(s) ? OVER : DROP;
}

/* The keeper cannot be had. */
static enum verdict
refuse(struct session *s, char type)
{
	struct listening *li = s->rare->listening;
	struct err e = li->failed;

	li->failed = (struct err){.id = ERR_NONE};
	deeds_drop(&li->deeds);
	return reply_refuse_message(s, type, &e);
}

/* Asks the keeper for the LISTENs of `deeds` and of the transaction. */
static enum verdict
ask(struct session *s, enum purpose purpose, struct buf *sql)
{
	struct listening *li = s->rare->listening;
	struct buf names;

	buf_init(&names, NAMES_MAX);
	/* What the session's own server LISTENs to is not the keeper's. */
	for (unsigned i = 0; purpose != ENDS && i < li->deeds.count; i++)
		if (li->deeds.list[i].what == LISTEN)
			buf_add_str(&names, li->deeds.list[i].name);
	for (unsigned i = 0; i < li->ntx; i++)
		if (li->tx[i].deed.what == LISTEN) {
			buf_add_str(&names, li->tx[i].deed.name);
			buf_add_fmt(sql, sql->len > 0 ? ";LISTEN " : "LISTEN ");
			keeper_add_quoted(sql, li->tx[i].deed.name);
		}
	buf_add_u8(sql, 0);
	if (sql->failed || names.failed) {
		buf_clear(&names);
		deeds_drop(&li->deeds);
		return FORWARD;
	}
	li->purpose = purpose;
	channels_set_state(s, LISTENING_ASKED);
	keeper_ask(s->pool, &li->listener, (char *)buf_data(sql), (char *)buf_data(&names),
		   names.len, purpose != ALONE);
	buf_clear(&names);
	return hold(s);
}

/* The message goes to the server: listening_judged() notes that. */
static enum verdict
pass(struct session *s, enum purpose purpose)
{
	struct listening *li = s->rare->listening;

	li->purpose = purpose;
	li->goes = true;
	return FORWARD;
}

/* The message has deeds: when do they count? */
static void
note_when(struct session *s, const struct message *m)
{
	if (s->rare->listening)
		channels_set_portal(s, m->type == 'B' ? m->portal : NULL);
}

unsigned
listening_pins(const struct session *s, const struct message *m, unsigned set)
{
	const struct listening *li = s->rare->listening;

	/* What a prepared statement does is judged at its Bind: judge_text(). */
	if (m->type == 'P' ? s->context.listens && message_is_whole(m) && li &&
				 m->effects.set == SQLCLASS_LISTEN
			   : li && li->goes && li->purpose == INSIDE)
		set &= ~(unsigned)SQLCLASS_LISTEN;
	return set;
}

/* The message does nothing: an error came before it, or it is refused. */
static enum verdict
abandon(struct session *s)
{
	struct listening *li = s->rare->listening;

	li->goes = false;
	deeds_drop(&li->deeds);
	listener_drop_all(&li->listener, true);
	kept_drop_others(li);
	if (li->state == LISTENING_GRANTED)
		channels_set_state(s, LISTENING_QUIET);
	return FORWARD;
}

void
listening_judged(struct session *s, enum verdict v)
{
	struct listening *li = s->rare->listening;

	if (!li->goes || v == HOLD)
		return;
	if (v != FORWARD && v != REPLACE) {
		abandon(s); /* it was refused */
		return;
	}
	li->goes = li->mixed = false;
	channels_set_state(s, LISTENING_PASSED);
	if (li->purpose == SINGLE || li->purpose == COMMIT)
		s->hold->lease.srv->progress.muted = !(s->hold->pinned & SQLCLASS_LISTEN);
	progress_forget_error(&s->hold->lease.srv->progress);
}

/* Does the server owe the client the answer to a Query or a Sync? Parameters of ours that were sent
 * ahead do not count: a message that waited for them would find the server returned, and begin with
 * parameters again. */
static bool
is_answer_due(const struct session *s)
{
	const struct progress *p;

	if (s->state != SESSION_ACTIVE)
		return false;
	p = &s->hold->lease.srv->progress;
	return p->ready_due > p->own_syncs;
}

static bool
is_extended(const struct session *s)
{
	return s->state == SESSION_ACTIVE && s->hold->lease.srv->progress.extended;
}

/* Is the client in a transaction, as far as that is known? */
static bool
is_inside(const struct session *s)
{
	const struct progress *p;

	if (s->block.state != BLOCK_NONE)
		return true;
	if (s->state != SESSION_ACTIVE)
		return false;
	p = &s->hold->lease.srv->progress;
	return p->status != 'I' || (p->sending & PROGRESS_BEGINS);
}

/* Takes over deeds that were read. */
static void
set_deeds(struct session *s, struct deeds *d)
{
	struct listening *li = channels_need(s);

	deeds_drop(&li->deeds);
	li->deeds = *d;
	*d = (struct deeds){0};
}

/* Is there room for the deeds, and for the channels that they add? */
static bool
has_room(const struct session *s, const struct deeds *d)
{
	const struct listening *li = s->rare->listening;
	unsigned there = li ? li->listener.channels.count : 0, more = 0;

	if (li && li->ntx + d->count > DEEDS_MAX)
		return false;
	if (there + d->count + (li ? li->ntx : 0) <= DEEDS_MAX)
		return true;
	for (unsigned i = 0; i < d->count; i++)
		more += d->list[i].what == LISTEN &&
			listener_has(&li->listener, d->list[i].name, strlen(d->list[i].name)) ==
			    LISTENER_NO;
	for (unsigned i = 0; i < li->ntx; i++)
		more += li->tx[i].deed.what == LISTEN;
	return there + more <= DEEDS_MAX;
}

/* A text goes the usual way. If it ends listening, it does so for the keeper's channels, too, when
 * it has succeeded. What was committed before it comes before it. */
static enum verdict
pass_ends(struct session *s, struct deeds *d)
{
	bool any = false;
	struct buf sql;
	enum verdict v;

	if (channels_count(s) == 0 || d->count == 0)
		return FORWARD;
	for (unsigned i = 0; i < d->count; i++)
		any |= d->list[i].what != LISTEN;
	set_deeds(s, d);
	if (!any)
		return pass(s, ENDS);
	buf_init(&sql, DEEDS_SQL_MAX);
	v = ask(s, ENDS, &sql);
	buf_clear(&sql);
	return v;
}

/* The same in a transaction: it gets a mark, unless its own statements would undo that, or be
 * behind the end of the transaction. Its LISTENs count, too: they may follow an UNLISTEN. */
static enum verdict
pass_among(struct session *s, unsigned set, struct deeds *d)
{
	const struct listening *li = s->rare->listening;

	if (d->count == 0 || !has_room(s, d) ||
	    (set & (SQLCLASS_BEGIN | SQLCLASS_COMMIT | SQLCLASS_ROLLBACK | SQLCLASS_SAVEPOINT |
		    SQLCLASS_PREPARE_TRANSACTION)) ||
	    li == NULL || (li->listener.listens == 0 && li->ntx == 0))
		return FORWARD;
	set_deeds(s, d);
	return pass(s, AMONG);
}

/* pin = off: the Bind of a LISTEN that would pin. */
static enum verdict
refuse_pin(struct session *s, struct message *m)
{
	struct err e;

	if (s->state == SESSION_ACTIVE) {
		begin_send(s);
		return raise_pin_off(s, m, SQLCLASS_LISTEN);
	}
	err_make(&e, ERR_PIN_OFF, s->pool->conf->name, sqlclass_name(SQLCLASS_LISTEN));
	return reply_refuse_message(s, m->type, &e);
}

/* Is it for the keeper at all: is there a LISTEN, or something that an UNLISTEN could end? */
static bool
listens_by_keeper(const struct session *s, const struct deeds *d)
{
	const struct listening *li = s->rare->listening;

	if (li && (li->listener.keeper || li->ntx > 0))
		return true;
	for (unsigned i = 0; i < d->count; i++)
		if (d->list[i].what == LISTEN)
			return true;
	return false;
}

/* A Query, or a Bind of a statement, with LISTEN or UNLISTEN. `after_refusal`: the keeper has been
 * asked, and PostgreSQL has refused it. */
static enum verdict
judge_text(struct session *s, struct message *m, unsigned set, const char *text, size_t bytes,
	   bool after_refusal)
{
	char type = m->type;
	bool inside = is_inside(s), takes;
	struct deeds d;
	struct buf sql;
	enum verdict v;

	buf_init(&sql, DEEDS_SQL_MAX);
	deeds_read(s, text, bytes, inside || type == 'B', &d, &sql);
	if (d.count > 0 && listens_by_keeper(s, &d))
		channels_need(s);
	note_when(s, m);
	if (d.only && !listens_by_keeper(s, &d)) {
		deeds_drop(&d);
		buf_clear(&sql);
		return FORWARD;
	}
	takes = d.only && !after_refusal && !sql.failed && has_room(s, &d) &&
		!(s->hold->pinned & SQLCLASS_LISTEN);
	if (takes && inside) {
		set_deeds(s, &d);
		v = pass(s, INSIDE);
	} else if (takes && type == 'Q') {
		set_deeds(s, &d);
		v = ask(s, ALONE, &sql);
	} else if (takes && !(s->state == SESSION_ACTIVE &&
			      (s->hold->lease.srv->progress.sending & PROGRESS_WORKS))) {
		set_deeds(s, &d);
		v = ask(s, SINGLE, &sql);
	} else if (type == 'B' && !s->context.pin && (set & SQLCLASS_LISTEN)) {
		v = refuse_pin(s, m);
	} else {
		v = inside ? pass_among(s, set, &d) : pass_ends(s, &d);
	}
	deeds_drop(&d);
	buf_clear(&sql);
	return v;
}

/* Does the text commit a transaction with LISTENs, for which the keeper is asked? If it does more
 * (COMMIT AND CHAIN), the session's server listens from then on, and the session keeps it. */
static bool
commits_deeds(struct session *s, unsigned set)
{
	const struct listening *li = s->rare->listening;

	if (li == NULL || li->ntx == 0 || !(set & SQLCLASS_COMMIT))
		return false;
	if (set != SQLCLASS_COMMIT)
		s->hold->pinned |= SQLCLASS_LISTEN;
	return !(s->hold->pinned & SQLCLASS_LISTEN);
}

/* DISCARD ALL: when it has succeeded, the session listens to nothing. */
static enum verdict
judge_discard_all(struct session *s, const struct message *m)
{
	struct deeds d = {0};
	enum verdict v;

	note_when(s, m);
	deeds_add(&d, UNLISTEN_ALL);
	v = pass_ends(s, &d);
	deeds_drop(&d);
	return v;
}

/* A Query behind an exchange that has no Sync: nothing can wait for an answer. */
static enum verdict
judge_unsynced(struct session *s, struct message *m)
{
	enum verdict v = FORWARD;
	struct deeds d;
	struct buf sql;

	if (channels_count(s) == 0)
		return FORWARD;
	buf_init(&sql, DEEDS_SQL_MAX);
	deeds_read(s, m->sql, m->sql_bytes, true, &d, &sql);
	note_when(s, m);
	if (is_inside(s)) {
		v = pass_among(s, m->effects.set, &d);
	} else if (d.count > 0) {
		set_deeds(s, &d);
		v = pass(s, ENDS);
	}
	deeds_drop(&d);
	buf_clear(&sql);
	return v;
}

static enum verdict
judge_query(struct session *s, struct message *m, bool after_refusal)
{
	bool commits = commits_deeds(s, m->effects.set) && !after_refusal;
	bool discards = (m->effects.set & SQLCLASS_DISCARD_ALL) && channels_count(s) > 0;
	struct buf sql;
	enum verdict v;

	if ((!commits && !discards && !(m->effects.set & (SQLCLASS_LISTEN | SQLCLASS_UNLISTEN))) ||
	    !message_is_whole(m) || !message_is_well_formed(m))
		return FORWARD;
	if (is_extended(s))
		return m->effects.unsure ? FORWARD : judge_unsynced(s, m);
	/* When all before it is answered, it is certain how it is read. */
	if (is_answer_due(s))
		return hold(s);
	if (m->effects.unsure)
		return FORWARD;
	if (m->effects.set == SQLCLASS_DISCARD_ALL)
		return judge_discard_all(s, m);
	if (!commits)
		return judge_text(s, m, m->effects.set, m->sql, m->sql_bytes, after_refusal);
	buf_init(&sql, DEEDS_SQL_MAX);
	v = ask(s, COMMIT, &sql);
	buf_clear(&sql);
	return v;
}

/* Does the server skip what comes, up to a Sync? */
static bool
is_in_error(const struct session *s)
{
	return s->state == SESSION_ACTIVE && s->hold->lease.srv->progress.skipping;
}

static enum verdict
judge_bind(struct session *s, struct message *m, bool after_refusal)
{
	const char *text;
	size_t bytes;
	unsigned set;
	struct buf sql;
	enum verdict v;

	if (m->statement == NULL || is_in_error(s))
		return FORWARD;
	set = statement_bound(s, m->statement, &text, &bytes);
	/* The keeper is asked when the exchanges before this one have done what they do. */
	if (set && is_answer_due(s))
		return hold(s);
	if (set & (SQLCLASS_LISTEN | SQLCLASS_UNLISTEN))
		return judge_text(s, m, set, text, bytes, after_refusal);
	if ((set & SQLCLASS_DISCARD_ALL) && !is_inside(s))
		return judge_discard_all(s, m);
	if (!commits_deeds(s, set) || after_refusal)
		return FORWARD;
	buf_init(&sql, DEEDS_SQL_MAX);
	v = ask(s, COMMIT, &sql);
	buf_clear(&sql);
	return v;
}

/* The session's lease has ended before its server was asked: a time limit has passed, or an
 * administrator has ended its transaction. Cleanup has undone what the server listened to. */
static void
forget_lease(struct session *s)
{
	struct listening *li = s->rare->listening;

	channels_forget_transaction(li);
	listener_drop_all(&li->listener, true);
	kept_drop_others(li);
	if (li->state >= LISTENING_PASSED) {
		channels_set_state(s, LISTENING_QUIET);
	} else if (li->state > LISTENING_ASKED && li->purpose == COMMIT) {
		/* The keeper was asked for a COMMIT which is none any more. */
		err_clear(&li->failed);
		channels_set_state(s, LISTENING_QUIET);
	}
}

static bool
is_portal(const struct message *m, const char *portal)
{
	return portal && m->portal && strcmp(m->portal, portal) == 0;
}

/* A message behind a Bind whose portal counts when it is executed. */
static void
note_portal(struct session *s, const struct message *m)
{
	struct listening *li = s->rare->listening;

	if (m->type == 'E' && is_portal(m, li->portal))
		li->executed = true;
	else if ((m->type == 'B' || m->type == 'C') && !li->executed && is_portal(m, li->portal))
		channels_settle(li);
	if (!is_portal(m, li->later))
		return;
	/* In an exchange with another one it is not known which of them does what. */
	if (m->type == 'E') {
		li->mixed = true;
		s->hold->pinned |= SQLCLASS_LISTEN;
		s->hold->pins_doubtful = true;
	}
	channels_forget_later(li);
}

/* A Bind behind another one, outside of a transaction. */
static void
note_bound(struct session *s, const struct message *m)
{
	struct listening *li = s->rare->listening;
	const char *text;
	size_t bytes;
	struct deeds d;
	struct buf sql;

	if (m->type != 'B' || m->statement == NULL || m->portal == NULL || is_in_error(s) ||
	    (li->purpose != SINGLE && li->purpose != ENDS) ||
	    !(statement_bound(s, m->statement, &text, &bytes) &
	      (SQLCLASS_LISTEN | SQLCLASS_UNLISTEN)))
		return;
	buf_init(&sql, DEEDS_SQL_MAX);
	deeds_read(s, text, bytes, true, &d, &sql);
	if (has_room(s, &d))
		channels_add_portal(s, m->portal, &d);
	deeds_drop(&d);
	buf_clear(&sql);
}

/* A message behind one that was passed: the rest of its exchange passes, too; all else waits. */
static enum verdict
judge_behind(struct session *s, const struct message *m)
{
	struct listening *li = s->rare->listening;

	if (!is_extended(s))
		return hold(s);
	note_portal(s, m);
	note_bound(s, m);
	if (m->type == 'P' || m->type == 'B' || m->type == 'Q' || m->type == 'F')
		li->mixed = true;
	return FORWARD;
}

/* Executes a portal that was bound earlier in the transaction. */
static enum verdict
judge_later(struct session *s, const struct message *m)
{
	struct listening *li = s->rare->listening;
	struct deeds d = {0};

	if (m->type != 'E' || is_in_error(s)) {
		channels_forget_later(li);
		return FORWARD;
	}
	*deeds_add(&d, LISTEN) = li->due;
	li->due.spelled = NULL;
	channels_forget_later(li);
	set_deeds(s, &d);
	channels_set_portal(s, NULL);
	return pass(s, INSIDE);
}

/* A session that listens gets each ReadyForQuery behind the notifications that belong before it:
 * notifying_reply(). So what stands behind an exchange waits until that is answered. */
static bool
waits_for_ready(const struct session *s, const struct message *m)
{
	const struct progress *p;

	if (s->rare->listening->listener.listens == 0 || s->state != SESSION_ACTIVE)
		return false;
	p = &s->hold->lease.srv->progress;
	return p->ready_due > p->own_syncs && !p->extended && p->copy == COPY_NONE &&
	       m->type != 'H' && m->type != 'd' && m->type != 'c' && m->type != 'f';
}

/* The keeper has granted the message: must what was told before wait for its conversion, or for a
 * client that is slow? Then the message waits, too, as it may end the channels of that. */
static bool
must_give_first(struct session *s)
{
	return s->rare->listening->purpose != COMMIT && notifying_waits(s);
}

enum verdict
listening_judge(struct session *s, struct message *m)
{
	struct listening *li = s->rare->listening;
	enum listening_state was = li ? li->state : LISTENING_QUIET;

	if (li && (li->owes_ready || waits_for_ready(s, m)))
		return hold(s);
	if (!s->context.listens || s->block.state == BLOCK_FAILED || script_pending(s) ||
	    (s->rare->stack && scopes_open(s)) || s->hold->apart)
		return FORWARD;
	if (li && s->state == SESSION_IDLE && (was >= LISTENING_PASSED || li->ntx > 0)) {
		forget_lease(s);
		was = li->state;
	}
	switch (was) {
	case LISTENING_ASKED:
		return hold(s);
	case LISTENING_PASSED:
		return judge_behind(s, m);
	case LISTENING_GRANTED:
		if (li->purpose == COMMIT && li->ntx == 0) {
			abandon(s); /* forget_lease() */
			break;
		}
		if (must_give_first(s)) {
			li->gives_first = true;
			return hold(s);
		}
		if (li->purpose != ALONE && !is_in_error(s))
			return pass(s, li->purpose);
		if (li->purpose != ALONE)
			return abandon(s);
		channels_set_state(s, LISTENING_QUIET);
		return answer_query(s);
	case LISTENING_FAILED:
		channels_set_state(s, LISTENING_QUIET);
		if (li->purpose != COMMIT)
			return refuse(s, m->type);
		err_clear(&li->failed);
		return FORWARD;
	case LISTENING_REFUSED:
		channels_set_state(s, LISTENING_QUIET);
		break;
	default:
		if (li)
			li->goes = false;
		break;
	}
	if (m->type == 'Q')
		return judge_query(s, m, was == LISTENING_REFUSED);
	if (li && is_portal(m, li->later))
		return judge_later(s, m);
	if (m->type == 'P' && (m->effects.set & (SQLCLASS_LISTEN | SQLCLASS_UNLISTEN)))
		channels_need(s)->prepared = true; /* its Bind is judged here */
	if (m->type == 'B' && li)
		return judge_bind(s, m, was == LISTENING_REFUSED);
	return FORWARD;
}

void
listening_discard(struct session *s)
{
	struct listening *li = s->rare->listening;

	if (li == NULL)
		return;
	listener_drop_all(&li->listener, false);
	kept_drop_others(li);
}
