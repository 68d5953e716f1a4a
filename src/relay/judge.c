#include "relay/judge.h"

#include <string.h>

#include "executor/executor.h"
#include "executor/joint.h"
#include "executor/split.h"
#include "relay/borrow.h"
#include "relay/quick.h"
#include "relay/saving.h"
#include "session/batch.h"
#include "session/begin.h"
#include "session/context.h"
#include "session/control.h"
#include "session/doing.h"
#include "session/effects.h"
#include "session/end.h"
#include "session/expiry.h"
#include "session/listening.h"
#include "session/notifying.h"
#include "session/raise.h"
#include "session/readonly.h"
#include "session/reply.h"
#include "session/resets.h"
#include "session/script.h"
#include "session/sequences.h"
#include "session/site.h"
#include "session/slow.h"
#include "session/statement.h"
#include "wire/msg.h"
#include "wire/sqlclass.h"
#include "wire/sqlmention.h"

enum verdict
judge_need_server(struct session *s, const struct message *m)
{
	struct err e;
	int r;

	if (s->pool->reads)
		readonly_choose(s, m);
	r = borrow_ask(s, &e);
	if (r == -E_STATE && s->pool->reads && readonly_falls_back(s, &e)) {
		err_clear(&e);
		r = borrow_ask(s, &e);
	}
	if (r == 0) {
		borrow_begin(s);
		return s->state == SESSION_ACTIVE ? FORWARD : session_in_setup(s) ? HOLD : OVER;
	}
	if (r == -E_AGAIN && !executor_may_wait(s, &e))
		r = -E_STATE;
	if (r == -E_AGAIN) {
		session_set_state(s, SESSION_WAITING);
		session_begins_to_wait(s);
		return HOLD;
	}
	if (e.id == ERR_SHUTDOWN)
		session_fail(s, &e);
	else
		reply_refuse(s, m->type, &e);
	err_clear(&e);
	return s->state == SESSION_IDLE ? DROP : OVER;
}

/* A text is about to ask for a server. If it sets or resets something, parameters that no server
 * accepts are given up first. If it may set temp_buffers, the server is asked first whether it
 * accepts another value. */
static void
note_parameters_to_come(struct session *s, const struct message *m)
{
	if (s->context.refused && (m->effects.set & (SQLCLASS_SET | SQLCLASS_DISCARD_ALL)))
		context_give_in(s);
	s->context.probes = (m->effects.set & SQLMENTION_TEMP_BUFFERS) != 0;
}

static enum verdict
without_lease(struct session *s, struct message *m)
{
	enum verdict v;
	struct buf out;
	struct err e;

	switch (m->type) {
	case 'Q':
		note_parameters_to_come(s, m);
		if ((s->block.state != BLOCK_NONE || m->effects.set == SQLCLASS_BEGIN) &&
		    message_is_well_formed(m) &&
		    begin_answer(s, m->effects.set, m->sql, m->sql_bytes))
			return session_gone(s) ? OVER : DROP;
		v = judge_need_server(s, m);
		if (v == HOLD && s->state == SESSION_WAITING)
			effects_keep(s, m);
		return v;
	case 'F':
	case 'P':
	case 'B':
	case 'D':
	case 'E':
	case 'C':
		if (begin_refuses(s, m->effects.set)) {
			err_make(&e, ERR_IN_FAILED_TRANSACTION, s->pool->conf->name);
			reply_refuse(s, m->type, &e);
			err_clear(&e);
			return session_gone(s) ? OVER : DROP;
		}
		if (statement_adopted(s, m))
			return session_gone(s) ? OVER : DROP;
		note_parameters_to_come(s, m);
		return judge_need_server(s, m);
	case 'S':
		if (m->bytes > 0)
			return judge_need_server(s, m);
		buf_init(&out, 16);
		reply_ready(s, &out);
		reply_send_buf(s, &out);
		buf_clear(&out);
		return s->state == SESSION_IDLE ? DROP : OVER;
	case 'H': /* nothing to flush */
		return m->bytes > 0 ? judge_need_server(s, m) : DROP;
	case 'd': /* the rest of a COPY that failed: PostgreSQL ignores it too */
	case 'c':
	case 'f':
		return DROP;
	default:
		return OVER;
	}
}

/* The longest body that PostgreSQL reads of a message that should have none. */
#define SMALL_MAX 9996

const char *
judge_nonsense(char type, size_t body)
{
	switch (type) {
	case 'Q':
	case 'F':
	case 'P':
	case 'B':
	case 'D':
	case 'E':
	case 'C':
	case 'd':
	case 'c':
	case 'f':
		return NULL;
	case 'S':
	case 'H':
		return body > SMALL_MAX ? "a Sync or Flush that is too long" : NULL;
	default:
		return "unknown message type";
	}
}

/* A Flush with a body is an error, unless a COPY IN swallows it. Is it unknown whether there is
 * one, because messages ahead have not been answered? */
static bool
is_doubtful_flush(const struct progress *p, const struct message *m)
{
	return m->type == 'H' && m->bytes > 0 && p->runs_count > 0 && !progress_copy_takes(p);
}

/* Tells progress that the message goes to the server. */
static void
note_sent(struct session *s, const struct message *m)
{
	struct progress *p = &s->hold->lease.srv->progress;

	if (m->type == 'Q' && s->rare->stack)
		script_query_sent(s);
	else if (m->type == 'H' && m->bytes > 0 && !progress_copy_takes(p))
		/* The server answers with an error, and skips everything up to the next Sync. */
		progress_sent_extended(p, 1);
	else
		progress_sent(p, m->type);
}

/* Notes the time of a message by which the client asks for something. The data of a COPY and a
 * Flush do not. */
static void
note_request(struct session *s, char type)
{
	const struct progress *p = &s->hold->lease.srv->progress;
	int64_t now;

	if (type == 'H' || type == 'd' || type == 'c' || type == 'f')
		return;
	now = loop_now_us(s->site->loop);
	/* A Sync asks for nothing if the server works at the exchange already. */
	if (type == 'S' ? p->runs_count == 0 : p->ready_due == p->own_syncs)
		s->activity.request_us = now;
	lease_asks(&s->hold->lease, now);
}

/* A message waits for answers which the server may keep back until a Sync: adds a Flush. */
static void
ask_for_answers(struct session *s, struct progress *p)
{
	if (!p->extended || p->flushed || p->runs_count == 0)
		return;
	msg_flush(batch_for(s));
	p->flushed = true;
}

void
judge_hold(struct session *s, bool ask)
{
	if (ask)
		ask_for_answers(s, &s->hold->lease.srv->progress);
	stream_pause(&s->stream);
}

static enum verdict
with_lease(struct session *s, struct message *m)
{
	struct progress *p = &s->hold->lease.srv->progress;
	enum verdict v = FORWARD;
	unsigned pins;
	struct err e;
	bool told;

	if (progress_full(p) || statement_must_wait(s, m) || sequences_must_wait(s, m) ||
	    is_doubtful_flush(p, m) || resets_hold(s, m->type)) {
		judge_hold(s, true);
		return HOLD;
	}
	if (sequences_refuses(s, m)) {
		err_make(&e, ERR_SEQUENCES);
		reply_refuse(s, m->type, &e);
		err_clear(&e);
		return session_gone(s) ? OVER : DROP;
	}
	if (s->context.resets_failed && (v = saving_tell_failure(s, m)) != FORWARD)
		return v;
	note_request(s, m->type);
	doing_note(s, m);
	begin_send(s);
	sequences_mind_message(s, m);
	/* A seed counts when its text is prepared. So does LOAD with mode = session, where
	 * effects_take() is not called. */
	if ((m->effects.set & SQLMENTIONS) || (s->hold->pinned & HOLD_PIN_MODE))
		effects_spoil(s, m->effects.set);
	/* mode = session: parameters and statements never move, so they are not followed. */
	if (s->hold->pinned & HOLD_PIN_MODE) {
		resets_message(s, m);
		control_message(s, m);
		effects_note_defines(s, m->effects.set);
		if (s->rare->slow)
			slow_message(s, m);
		note_sent(s, m);
		return FORWARD;
	}
	if (s->context.resets != RESETS_NONE)
		resets_portal(s, m);
	effects_note_parameters(s, m);
	if (!s->context.pin && (m->effects.set & EFFECTS_PIN) &&
	    (pins = listening_pins(s, m, m->effects.set & EFFECTS_PIN)) != 0)
		return raise_pin_off(s, m, pins);
	if (s->hold->apart && (pins = readonly_pins(s, m)) != 0)
		return raise_pin_off(s, m, pins);
	if ((m->type == 'Q' || m->type == 'F') && m->effects.set)
		effects_take(s, m, m->effects.set, m->sql, m->sql_bytes);
	v = statement_unnamed(s, m, &told);
	if (v == FORWARD && !told &&
	    (m->type == 'P' || m->type == 'B' || m->type == 'D' || m->type == 'C'))
		v = statement_named(s, m);
	if (m->type == 'B')
		progress_note(p, PROGRESS_WORKS);
	if (s->rare->slow && v != HOLD)
		slow_message(s, m);
	if (v == FORWARD && !told)
		note_sent(s, m);
	if ((s->pool->reads || s->hold->apart) && v != HOLD)
		readonly_sent(s, m);
	return v;
}

/* A BEGIN in a pool with mode statement. */
static enum verdict
refuse_begin(struct session *s, char type)
{
	struct err e;

	err_make(&e, ERR_STATEMENT_MODE, s->pool->conf->name);
	/* While answers of the server are due, ours cannot be put among them: the session ends. */
	if (s->state == SESSION_ACTIVE)
		session_fail(s, &e);
	else
		reply_refuse(s, type, &e);
	err_clear(&e);
	return session_gone(s) ? OVER : DROP;
}

/* How many ReadyForQuery the client waits for. */
static uint32_t
client_due(const struct progress *p)
{
	return p->ready_due - p->own_syncs;
}

/* Are answers still due to messages before a Terminate, or before bytes that break the protocol?
 * PostgreSQL reads these when it has answered all else. An exchange without its Sync, and a COPY
 * without its end, get no answer. */
static bool
is_owed(const struct session *s)
{
	const struct progress *p;

	if (stream_queued(&s->stream) > 0 || script_pending(s) || notifying_owes(s))
		return true;
	switch (s->state) {
	case SESSION_WAITING:
	case SESSION_GREETING:
	case SESSION_SETUP:
	case SESSION_SAVING:
	case SESSION_SCOPE:
		return true;
	case SESSION_ACTIVE:
		p = &s->hold->lease.srv->progress;
		/* When PostgreSQL sends an answer, it notices that the connection has ended. */
		if (s->end.unheard || (stream_broken(&s->stream) && client_due(p) < s->end.owed))
			return false;
		return (p->ready_due > 0 || (p->flush_sent && p->runs_count > 0)) &&
		       (p->copy != COPY_IN || p->copy_ended);
	default:
		return false;
	}
}

bool
judge_may_wait(const struct session *s)
{
	return s->state == SESSION_WAITING || session_in_setup(s) || s->state == SESSION_SCOPE ||
	       script_pending(s);
}

enum verdict
judge_terminate(struct session *s)
{
	if (is_owed(s)) {
		/* Most clients close at once; their messages are carried out all the same. */
		if (judge_may_wait(s))
			stream_pause(&s->stream);
		else
			stream_finish(&s->stream);
		if (s->state == SESSION_ACTIVE &&
		    client_due(&s->hold->lease.srv->progress) > s->end.owed)
			s->end.owed = client_due(&s->hold->lease.srv->progress);
		return HOLD;
	}
	session_close(s, stream_broken(&s->stream) ? CLEANUP_CLIENT_GONE : CLEANUP_CLIENT_LEFT,
		      stream_broken(&s->stream) ? "client gone" : "client left");
	return OVER;
}

enum verdict
judge_violation(struct session *s, const char *what)
{
	if (is_owed(s)) {
		stream_pause(&s->stream);
		return HOLD;
	}
	session_fail_protocol(s, what);
	return OVER;
}

/* What a member of a joined scope cannot do: that needs a connection of its own. */
#define NOT_JOINED (SQLCLASS_LISTEN | SQLCLASS_HOLD | SQLCLASS_PREPARE_TRANSACTION)

static enum verdict
refuse_joined(struct session *s, struct message *m)
{
	unsigned which = m->effects.set & NOT_JOINED;
	enum verdict v = DROP;
	struct err e;

	if (m->type != 'Q' && m->type != 'P')
		return FORWARD;
	err_make(&e, ERR_JOIN_STATEMENT, sqlclass_name(which & -which));
	if (s->state == SESSION_ACTIVE)
		v = raise_error(s, m, &e);
	else
		reply_refuse(s, m->type, &e);
	err_clear(&e);
	return session_gone(s) ? OVER : v;
}

/* Does the statement go to a joined scope? In a scope in focus on another pool it does not. */
static bool
goes_to_joint(const struct session *s)
{
	const struct lease *l = &s->hold->lease;

	return (l->state == LEASE_HELD ? l->pool : joint_current(s, s->pool))->own_conf;
}

/* A Query, or a message of the extended protocol that has to do with a statement? */
static bool
is_of_statement(char type)
{
	switch (type) {
	case 'Q':
	case 'P':
	case 'B':
	case 'D':
	case 'E':
	case 'C':
		return true;
	default:
		return false;
	}
}

/* The usual message of a statement: it does nothing to the session, whose state has nothing for
 * which the message must be looked at. What judge_message() and with_lease() would ask besides
 * concerns others. */
static enum verdict
judge_plain(struct session *s, struct message *m)
{
	enum verdict v = FORWARD;
	struct progress *p;
	bool told = false;

	if (s->state == SESSION_IDLE)
		v = without_lease(s, m);
	if (v != FORWARD)
		return v;
	if (s->state != SESSION_ACTIVE)
		return OVER;
	/* The lease may have begun something. */
	if (!quick_is_plain(s))
		return with_lease(s, m);
	p = &s->hold->lease.srv->progress;
	if (progress_full(p) || (m->type != 'Q' && statement_must_wait(s, m))) {
		judge_hold(s, true);
		return HOLD;
	}
	note_request(s, m->type);
	doing_note(s, m);
	if (m->type != 'Q' || s->context.unnamed)
		v = statement_unnamed(s, m, &told);
	if (m->type == 'B')
		progress_note(p, PROGRESS_WORKS);
	if (told)
		return v;
	if (v == FORWARD && m->type != 'Q' && m->type != 'E')
		v = statement_named(s, m);
	if (v == FORWARD)
		progress_sent(p, m->type);
	return v;
}

enum verdict
judge_message(struct session *s, struct message *m)
{
	enum verdict v = FORWARD;
	const char *wrong;

	if (m->type == 'X')
		return judge_terminate(s);
	if ((wrong = judge_nonsense(m->type, m->bytes)) != NULL)
		return judge_violation(s, wrong);
	if (s->extended.skip_sync) {
		if (m->type != 'S')
			return DROP;
		s->extended.skip_sync = false;
	}
	if (s->state == SESSION_WAITING || session_in_setup(s) || s->state == SESSION_SAVING ||
	    s->state == SESSION_SCOPE)
		return HOLD;
	/* A Sync of ours ends the client's exchange, because its scope has expired. What the client
	 * sends up to its own Sync is dropped, once the server has answered ours: see expire.c. */
	if (s->rare->expiry && s->rare->expiry->forced) {
		stream_pause(&s->stream);
		return HOLD;
	}
	message_decode(m);
	effects_of_message(s, m);
	if (m->effects.set == 0 && is_of_statement(m->type) && message_is_whole(m) &&
	    quick_is_plain(s))
		return judge_plain(s, m);
	if ((m->effects.set & NOT_JOINED) && goes_to_joint(s) &&
	    (v = refuse_joined(s, m)) != FORWARD)
		return v;
	if (block_is_expired(&s->block))
		return begin_expired(s, m);
	if (s->hold->apart && s->state == SESSION_ACTIVE && readonly_must_wait(s, m) &&
	    (v = split_wait(s)) != FORWARD)
		return v;
	if ((s->rare->stack || (m->effects.set & SQLCLASS_SCOPE) ||
	     (s->hold->apart && s->state == SESSION_ACTIVE && readonly_divides(s, m))) &&
	    (v = split_judge(s, m)) != FORWARD)
		return v;
	if (((m->effects.set & LISTENING_WORDS) || s->rare->listening) &&
	    (v = listening_judge(s, m)) != FORWARD)
		return v;
	if ((m->effects.set & SQLCLASS_BEGIN) && s->context.mode == CONF_STATEMENT)
		v = refuse_begin(s, m->type);
	else if (s->state == SESSION_IDLE)
		v = without_lease(s, m);
	if (v != FORWARD) {
		if (s->rare->listening)
			listening_judged(s, v);
		return v;
	}
	if (s->state != SESSION_ACTIVE)
		return OVER;
	v = with_lease(s, m);
	if (s->rare->listening)
		listening_judged(s, v);
	return v;
}
