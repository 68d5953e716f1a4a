#include "relay/inbound.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "executor/enter.h"
#include "executor/executor.h"
#include "executor/leave.h"
#include "executor/split.h"
#include "relay/login.h"
#include "relay/outbound.h"
#include "relay/quick.h"
#include "session/batch.h"
#include "session/begin.h"
#include "session/context.h"
#include "session/control.h"
#include "session/end.h"
#include "session/lexing.h"
#include "session/reply.h"
#include "session/resets.h"
#include "session/script.h"
#include "session/sequences.h"
#include "session/session.h"
#include "session/site.h"
#include "session/slow.h"
#include "session/statement.h"
#include "wire/formed.h"
#include "wire/frame.h"
#include "wire/msg.h"
#include "wire/sqlclass.h"
#include "wire/sqlmention.h"
#include "wire/sqltext.h"

static void
protocol_violation(struct session *s, const char *what)
{
	struct err e;

	err_make(&e, ERR_PROTOCOL_VIOLATION, what);
	session_fail(s, &e);
	err_clear(&e);
}

/* ---- entering ---- */

void
inbound_failed(struct session *s, char type, const struct err *e)
{
	if (s->state == SESSION_WAITING && slow_wanted(s->pool)) {
		slow_watch(s);
		slow_refused(s, e->sqlstate);
	}
	if (s->state == SESSION_WAITING)
		session_set_state(s, SESSION_IDLE);
	if (e->id == ERR_SHUTDOWN) {
		session_fail(s, e);
		return;
	}
	/* The message that could not get a server is answered by the error. */
	if (script_pending(s)) {
		script_drop(s);
	} else if (s->in.len >= FRAME_HEADER) {
		struct frame f;

		frame_read(buf_data(&s->in), s->in.len, &f);
		if (s->in.len >= FRAME_HEADER + f.body) {
			buf_drop(&s->in, FRAME_HEADER + f.body);
		} else {
			s->drop_left = (uint32_t)(FRAME_HEADER + f.body - s->in.len);
			buf_drop(&s->in, s->in.len);
		}
	}
	reply_refuse(s, type, e);
	stream_resume(&s->stream);
	inbound_resume(s);
}

void
inbound_give_up(struct session *s, const struct err *e)
{
	/* What it waits with is the first message that is kept. */
	char type = s->in.len && !script_pending(s) ? (char)*buf_data(&s->in) : 'Q';

	lease_leave(&s->hold->lease);
	waits_end(&s->site->waits, s->id);
	inbound_failed(s, type, e);
}

static enum verdict
need_server(struct session *s, char type)
{
	struct err e;
	int r = outbound_enter(s, &e);

	if (r == 0) {
		outbound_begin(s);
		return s->state == SESSION_ACTIVE  ? FORWARD
		       : s->state == SESSION_SETUP ? HOLD
						   : OVER;
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
		reply_refuse(s, type, &e);
	err_clear(&e);
	return s->state == SESSION_IDLE ? DROP : OVER;
}

/* ---- one message ---- */

static enum verdict
without_lease(struct session *s, struct message *m)
{
	struct buf out;
	struct err e;

	switch (m->type) {
	case 'Q':
		if (s->context.refused && (m->set & (SQLCLASS_SET | SQLCLASS_DISCARD_ALL)))
			context_give_in(s);
		s->context.probes = (m->set & SQLMENTION_TEMP_BUFFERS) != 0;
		if ((s->block.state != BLOCK_NONE || m->set == SQLCLASS_BEGIN) &&
		    m->have == m->bytes && formed_well('Q', m->body, m->bytes) &&
		    begin_answer(s, m->set, (const char *)m->body,
				 strnlen((const char *)m->body, m->have)))
			return session_gone(s) ? OVER : DROP;
		return need_server(s, m->type);
	case 'F':
	case 'P':
	case 'B':
	case 'D':
	case 'E':
	case 'C':
		if (begin_refuses(&s->block, m->set)) {
			err_make(&e, ERR_IN_FAILED_TRANSACTION, s->pool->conf->name);
			reply_refuse(s, m->type, &e);
			err_clear(&e);
			return session_gone(s) ? OVER : DROP;
		}
		if (statement_adopted(s, m))
			return session_gone(s) ? OVER : DROP;
		if (s->context.refused && (m->set & (SQLCLASS_SET | SQLCLASS_DISCARD_ALL)))
			context_give_in(s);
		s->context.probes = (m->set & SQLMENTION_TEMP_BUFFERS) != 0;
		return need_server(s, m->type);
	case 'S':
		if (m->bytes > 0)
			return need_server(s, m->type);
		buf_init(&out, 16);
		reply_ready(s, &out);
		reply_send_buf(s, &out);
		buf_clear(&out);
		return s->state == SESSION_IDLE ? DROP : OVER;
	case 'H': /* nothing to flush */
		return m->bytes > 0 ? need_server(s, m->type) : DROP;
	case 'd': /* the rest of a COPY that failed: PostgreSQL ignores it too */
	case 'c':
	case 'f':
		return DROP;
	default:
		return OVER;
	}
}

#define SMALL_MAX 9996 /* bytes of a body that PostgreSQL reads of a message without one */

/* What is wrong with a message of this type and length, or NULL. */
static const char *
nonsense(char type, size_t body)
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

/* A Flush with a body is an error, but where a COPY IN swallows it: whether there is one is not
 * known before what stands ahead has been answered. */
static bool
is_doubtful_flush(const struct progress *p, const struct message *m)
{
	return m->type == 'H' && m->bytes > 0 && p->runs_count > 0 && !progress_copy_takes(p);
}

static void
sent(struct session *s, const struct message *m)
{
	struct progress *p = &s->hold->lease.srv->progress;

	if (m->type == 'Q' && s->scopes)
		statement_query_sent(s);
	else if (m->type == 'H' && m->bytes > 0 && !progress_copy_takes(p))
		/* The server answers it by an error, and ignores what comes up to the next Sync. */
		progress_sent_extended(p, 1);
	else
		progress_sent(p, m->type);
}

/* The client asks the server for something: not by the data of a COPY, nor by a Flush. */
static void
note_request(struct session *s, char type)
{
	const struct progress *p = &s->hold->lease.srv->progress;
	int64_t now;

	if (type == 'H' || type == 'd' || type == 'c' || type == 'f')
		return;
	now = loop_now_us(s->site->loop);
	/* A Sync is no more than the end of what the server may be at. */
	if (type == 'S' ? p->runs_count == 0 : p->ready_due == p->own_syncs)
		s->activity.request_us = now;
	lease_asks(&s->hold->lease, now);
}

/* A message waits for answers that only the Sync behind it would bring. */
static void
ask_for_answers(struct session *s, struct progress *p)
{
	if (!p->extended || p->flushed || p->runs_count == 0)
		return;
	msg_flush(batch_for(s));
	p->flushed = true;
}

/* With mode session nothing is known of prepared statements: those that may reset count when they
 * are prepared, and once one has a name, whenever one is bound. */
static void
note_resets(struct session *s, const struct message *m)
{
	size_t bytes = 0;
	const char *sql = message_text(m, &bytes);

	if (m->set && sql)
		resets_note(s, m->set, sql, bytes, m->lexing);
	if (m->type == 'P' && s->context.resets != RESETS_NONE && m->have > 0 && m->body[0])
		s->context.resets_named = true;
	if (m->type == 'B' && s->context.resets_named && s->context.resets == RESETS_NONE)
		s->context.resets = RESETS_LATER;
}

/* SET LOCAL x TO DEFAULT changes nothing for the session. */
static void
note_local_reset(struct session *s, const struct message *m)
{
	size_t bytes = 0;
	const char *sql = message_text(m, &bytes);

	if (sql && sqltext_first(sql, bytes) == SQLWORD_SET)
		resets_note(s, 0, sql, bytes, m->lexing);
}

static enum verdict
with_lease(struct session *s, struct message *m)
{
	struct progress *p = &s->hold->lease.srv->progress;
	enum verdict v = FORWARD;
	struct err e;
	bool told;

	if (progress_full(p) || statement_must_wait(s, m) || sequences_must_wait(s, m) ||
	    is_doubtful_flush(p, m) || resets_hold(s, m->type)) {
		ask_for_answers(s, p);
		stream_pause(&s->stream);
		return HOLD;
	}
	if (sequences_refuses(s, m->set)) {
		err_make(&e, ERR_SEQUENCES);
		reply_refuse(s, m->type, &e);
		err_clear(&e);
		return session_gone(s) ? OVER : DROP;
	}
	note_request(s, m->type);
	begin_send(s);
	if (m->type == 'F')
		sequences_mind_call(s, m);
	else if (m->set & SQLMENTIONS) {
		sequences_mind(s, m->set);
		statement_spoils(s, m->set);
	}
	/* A session that keeps its server needs no help. */
	if (s->hold->pinned & HOLD_PIN_MODE) {
		note_resets(s, m);
		control_message(s, m);
		if (s->slow)
			slow_message(s, m);
		sent(s, m);
		return FORWARD;
	}
	if (s->context.startup_bytes > 0 && !(m->set & SQLCLASS_SET) &&
	    (m->type == 'Q' || m->type == 'P'))
		note_local_reset(s, m);
	if (m->set || m->type == 'F')
		m->set = statement_classify(s, m);
	if (!s->context.pin && (m->set & (STATEMENT_PINS | HOLD_PIN_SETTING)))
		return statement_refuse(s, m, m->set & (STATEMENT_PINS | HOLD_PIN_SETTING));
	if ((m->type == 'Q' || m->type == 'F') && m->set) {
		size_t sql_bytes = 0;
		const char *sql = message_text(m, &sql_bytes);

		statement_effects(s, m->set, sql, sql_bytes, true);
	}
	v = statement_unnamed(s, m, &told);
	if (v == FORWARD && !told &&
	    (m->type == 'P' || m->type == 'B' || m->type == 'D' || m->type == 'C'))
		v = statement_named(s, m);
	if (m->type == 'B')
		progress_note(p, PROGRESS_WORKS);
	if (s->slow && v != HOLD)
		slow_message(s, m);
	if (v == FORWARD && !told)
		sent(s, m);
	return v;
}

/* Mode statement. */
static enum verdict
no_transaction(struct session *s, char type)
{
	struct err e;

	err_make(&e, ERR_STATEMENT_MODE, s->pool->conf->name);
	/* In the middle of answers from the server none of ours can be put. */
	if (s->state == SESSION_ACTIVE)
		session_fail(s, &e);
	else
		reply_refuse(s, type, &e);
	err_clear(&e);
	return session_gone(s) ? OVER : DROP;
}

/* Texts that are answered here, or refused. */
#define ANSWERED_HERE                                                            \
	(SQLCLASS_SCOPE | SQLCLASS_BEGIN | SQLCLASS_COMMIT | SQLCLASS_ROLLBACK | \
	 SQLCLASS_SAVEPOINT | SQLCLASS_PREPARE_TRANSACTION)

/* ReadyForQuery that the client waits for. */
static uint32_t
client_due(const struct progress *p)
{
	return p->ready_due - p->own_syncs;
}

/* Is something still to be said of what stands before a Terminate? PostgreSQL reads that one when
 * it has answered all else. Of an exchange without its Sync, and of a COPY without its end, nothing
 * comes any more. */
static bool
is_owed(const struct session *s)
{
	const struct progress *p;

	if (stream_queued(&s->stream) > 0 || (s->scopes && script_pending(s)))
		return true;
	switch (s->state) {
	case SESSION_WAITING:
	case SESSION_SETUP:
	case SESSION_SAVING:
	case SESSION_SCOPE:
		return true;
	case SESSION_ACTIVE:
		p = &s->hold->lease.srv->progress;
		/* PostgreSQL looks for the end of the connection when it has sent an answer. */
		if (s->unheard || (s->stream.broken && client_due(p) < s->owed))
			return false;
		return (p->ready_due > 0 || (p->flush_sent && p->runs_count > 0)) &&
		       (p->copy != COPY_IN || p->copy_ended);
	default:
		return false;
	}
}

/* Can what stands before a Terminate come to wait for somebody else, or does it? Then it matters
 * that the client hangs up. */
static bool
may_wait_yet(const struct session *s)
{
	return s->state == SESSION_WAITING || s->state == SESSION_SETUP ||
	       s->state == SESSION_SCOPE || (s->scopes && script_pending(s));
}

static enum verdict
terminate(struct session *s)
{
	if (is_owed(s)) {
		/* Most clients close at once, and what they have sent is done nevertheless. */
		if (may_wait_yet(s))
			stream_pause(&s->stream);
		else
			stream_finish(&s->stream);
		if (s->state == SESSION_ACTIVE &&
		    client_due(&s->hold->lease.srv->progress) > s->owed)
			s->owed = client_due(&s->hold->lease.srv->progress);
		return HOLD;
	}
	session_close(s, s->stream.broken ? CLEANUP_CLIENT_GONE : CLEANUP_CLIENT_LEFT,
		      s->stream.broken ? "client gone" : "client left");
	return OVER;
}

static enum verdict
judge(struct session *s, struct message *m)
{
	enum verdict v = FORWARD;
	const char *sql, *wrong;
	size_t bytes;

	if (m->type == 'X')
		return terminate(s);
	if ((wrong = nonsense(m->type, m->bytes)) != NULL) {
		protocol_violation(s, wrong);
		return OVER;
	}
	if (s->skip_sync) {
		if (m->type != 'S')
			return DROP;
		s->skip_sync = false;
	}
	if (s->state == SESSION_WAITING || s->state == SESSION_SETUP ||
	    s->state == SESSION_SAVING || s->state == SESSION_SCOPE)
		return HOLD;
	sql = message_text(m, &bytes);
	if (sql) {
		lexing_classify(s, m, sql, bytes);
		m->set |= sqlmention(sql, bytes);
	}
	/* What the rest of it does is not known. */
	if (sql && m->have < m->bytes)
		m->set |= SQLCLASS_OPAQUE;
	/* The server refuses a malformed message without a look at its text. */
	else if ((m->set & ANSWERED_HERE) && !formed_well(m->type, m->body, m->bytes))
		m->set &= ~ANSWERED_HERE;
	if (block_is_expired(&s->block))
		return begin_expired(s, m);
	if ((s->scopes || (m->set & SQLCLASS_SCOPE)) && (v = split_judge(s, m)) != FORWARD)
		return v;
	if ((m->set & SQLCLASS_BEGIN) && s->context.mode == CONF_STATEMENT)
		return no_transaction(s, m->type);
	if (s->state == SESSION_IDLE)
		v = without_lease(s, m);
	if (v != FORWARD)
		return v;
	return s->state == SESSION_ACTIVE ? with_lease(s, m) : OVER;
}

/* ---- many messages ---- */

static void
flush(struct session *s)
{
	if (!batch_flush(s))
		session_close(s, CLEANUP_CLIENT_REFUSED, "too much at once");
}

/* How many of these bytes belong to a message of which so many are still to come. */
static size_t
rest_of(uint32_t *left, size_t bytes)
{
	size_t n = *left < bytes ? *left : bytes;

	*left -= (uint32_t)n;
	return n;
}

/* The client does not read what it is told already: PostgreSQL would be waiting for that. */
static bool
is_deaf(struct session *s)
{
	if (stream_queued(&s->stream) == 0 || session_gone(s))
		return false;
	stream_pause(&s->stream);
	return true;
}

/* The rest of a message that passes, and the common messages behind it. Returns their bytes. */
static size_t
pass_known(struct session *s, const uint8_t *data, size_t bytes)
{
	size_t n;

	if (s->state != SESSION_ACTIVE)
		return 0;
	n = rest_of(&s->hold->lease.srv->progress.to_left, bytes);
	n += quick_pass(s, data + n, bytes - n);
	batch_pass(s, data, n);
	return n;
}

/* Is enough of the message here for it to be judged? A message over 64 kB is judged once its first
 * 64 kB are here, so the verdict does not depend on how reads split it. */
static bool
may_be_judged(const struct frame *f, size_t bytes)
{
	size_t whole = (size_t)FRAME_HEADER + f->body;

	if (whole <= bytes)
		return true;
	if (whole <= SESSION_WHOLE_MAX)
		return false;
	return f->type == 'd' || nonsense(f->type, f->body) != NULL || bytes >= SESSION_WHOLE_MAX;
}

/* The message at the front of these bytes. Returns false if it is not here yet, or if the session
 * has ended. */
static bool
next_message(struct session *s, const uint8_t *data, size_t bytes, struct message *m)
{
	struct frame f;
	size_t whole;
	int r = frame_read(data, bytes, &f);

	if (r == -E_AGAIN)
		return false;
	if (r < 0) {
		protocol_violation(s, "impossible message length");
		return false;
	}
	if (!may_be_judged(&f, bytes))
		return false;
	whole = (size_t)FRAME_HEADER + f.body;
	*m = (struct message){.type = f.type, .body = data + FRAME_HEADER, .bytes = f.body};
	m->have = (whole < bytes ? whole : bytes) - FRAME_HEADER;
	m->next = whole < bytes ? (char)data[whole] : 0;
	return true;
}

/* Carries out the verdict on a message. Returns how many of its bytes are done; what is left of a
 * message that does not pass is dropped as it comes. */
static size_t
carry_out(struct session *s, enum verdict v, const struct message *m)
{
	size_t here = FRAME_HEADER + m->have, whole = FRAME_HEADER + m->bytes;
	size_t replaced = v == REPLACE ? m->used : 0;

	if (v == DROP)
		flush(s);
	if (v == DROP || replaced >= whole) {
		s->drop_left = (uint32_t)whole;
		return 0;
	}
	if (whole > here)
		s->hold->lease.srv->progress.to_left = (uint32_t)(whole - here);
	batch_pass(s, m->body - FRAME_HEADER + replaced, here - replaced);
	return here;
}

/* Handles what can be handled of these bytes now; returns how many those are. */
static size_t
handle(struct session *s, const uint8_t *data, size_t bytes)
{
	size_t at = 0;

	while (at < bytes && !session_gone(s)) {
		struct message m;
		enum verdict v;

		if (s->drop_left > 0) {
			at += rest_of(&s->drop_left, bytes - at);
			continue;
		}
		if (is_deaf(s))
			break;
		at += pass_known(s, data + at, bytes - at);
		if (at == bytes || !next_message(s, data + at, bytes - at, &m))
			break;
		if (s->state != SESSION_IDLE || !quick_opens(s, &m))
			v = judge(s, &m);
		else if ((v = need_server(s, m.type)) == FORWARD)
			continue; /* the quick path takes the message now */
		if (v == HOLD || v == OVER)
			break;
		at += carry_out(s, v, &m);
	}
	if (session_gone(s)) {
		batch_drop(s);
		return bytes;
	}
	flush(s);
	if (s->scopes && !session_gone(s))
		split_sync(s);
	batch_check(s);
	return at;
}

/* A server that is slow stops the reading of its client. */
static void
mind_server(struct session *s)
{
	if (s->hold->lease.state == LEASE_HELD && stream_queued(&s->hold->lease.srv->stream) > 0)
		stream_pause(&s->stream);
}

/* Messages of a console session, each when it is whole. */
static size_t
console(struct session *s, const uint8_t *data, size_t bytes)
{
	size_t at = 0;
	struct frame f;

	while (s->state == SESSION_CONSOLE && !s->held &&
	       frame_read(data + at, bytes - at, &f) != -E_AGAIN) {
		if (f.body > SESSION_WHOLE_MAX - FRAME_HEADER) {
			protocol_violation(s, "too long for the console");
			break;
		}
		if (FRAME_HEADER + f.body > bytes - at)
			break;
		if (is_deaf(s))
			break;
		if (f.type == 'X') {
			terminate(s);
			break;
		}
		s->site->console->message(s, f.type, data + at + FRAME_HEADER, f.body);
		at += FRAME_HEADER + f.body;
	}
	return session_gone(s) ? bytes : at;
}

static size_t
dispatch(struct session *s, const uint8_t *data, size_t bytes)
{
	return s->state == SESSION_CONSOLE ? console(s, data, bytes) : handle(s, data, bytes);
}

static void
resume(struct session *s)
{
	size_t used;

	if (session_gone(s)) {
		batch_drop(s);
		return;
	}
	if (s->in.len == 0 || s->stream.held)
		flush(s);
	/* Another process goes on. */
	if (s->stream.held)
		return;
	/* A text of many statements comes before what is behind it, but for the data of its COPY.
	 */
	do {
		used = 0;
		if (s->scopes && script_pending(s))
			split_run(s, handle);
		if (session_gone(s))
			return;
		if (s->in.len > 0)
			used = dispatch(s, buf_data(&s->in), s->in.len);
		if (session_gone(s))
			return;
		buf_drop(&s->in, used);
	} while (used > 0 && s->scopes && script_pending(s));
	mind_server(s);
}

void
inbound_resume(struct session *s)
{
	resume(s);
	batch_check(s);
}

static bool
is_terminate(const uint8_t *message)
{
	static const uint8_t terminate[FRAME_HEADER] = {'X', 0, 0, 0, 4};

	return memcmp(message, terminate, sizeof terminate) == 0;
}

/* Is the last of these messages, which must all be whole, a Terminate? The same bytes inside of a
 * message that has no end are none. */
static bool
end_with_terminate(const uint8_t *data, size_t bytes)
{
	size_t at = 0;
	struct frame f;

	while (bytes - at > FRAME_HEADER) {
		if (frame_read(data + at, bytes - at, &f) < 0 || f.body > bytes - at - FRAME_HEADER)
			return false;
		at += FRAME_HEADER + f.body;
	}
	return bytes - at == FRAME_HEADER && is_terminate(data + at);
}

bool
inbound_said_terminate(const struct session *s)
{
	uint8_t last[FRAME_HEADER];

	if (stream_peek_last(&s->stream, last, sizeof last) == 0)
		return is_terminate(last);
	return end_with_terminate(buf_data(&s->in), s->in.len);
}

static void
read_failed(struct session *s, ssize_t r)
{
	if (r == -E_AGAIN)
		return;
	/* It is kept behind what is not done yet. */
	if (s->in.len == 0 || !inbound_said_terminate(s))
		session_close(s, CLEANUP_CLIENT_GONE, "client gone");
	else if (s->in.len > FRAME_HEADER || may_wait_yet(s))
		stream_pause(&s->stream);
	else
		stream_finish(&s->stream);
}

void
inbound_readable(struct session *s)
{
	size_t room, used;
	uint8_t *to;
	ssize_t r;

	if (s->in.len == 0) {
		/* The usual case: nothing is kept, nothing is copied. */
		to = loop_scratch(s->site->loop);
		r = stream_read(&s->stream, to, LOOP_SCRATCH);
		if (r <= 0) {
			read_failed(s, r);
			return;
		}
		used = dispatch(s, to, (size_t)r);
		if (session_gone(s))
			return;
		if (s->pool)
			s->pool->stats.received += (uint64_t)r;
		if (used < (size_t)r)
			buf_add(&s->in, to + used, (size_t)r - used);
		if (s->scopes && script_pending(s))
			inbound_resume(s);
		else
			mind_server(s);
		return;
	}
	room = s->in.max - s->in.len;
	if (room > LOOP_SCRATCH)
		room = LOOP_SCRATCH;
	to = buf_room(&s->in, room);
	if (room == 0 || to == NULL) {
		stream_pause(&s->stream);
		return;
	}
	r = stream_read(&s->stream, to, room);
	if (r <= 0) {
		read_failed(s, r);
		return;
	}
	buf_grew(&s->in, (size_t)r);
	if (s->pool)
		s->pool->stats.received += (uint64_t)r;
	inbound_resume(s);
}

/* ---- the stream ---- */

static void
on_readable(struct stream *st, void *arg)
{
	struct session *s = arg;

	switch (s->state) {
	case SESSION_STARTUP:
		login_readable(s);
		return;
	case SESSION_CLOSING:
	case SESSION_CANCEL: {
		/* Nothing more is wanted; only the end matters. */
		ssize_t n = stream_read(st, loop_scratch(s->site->loop), LOOP_SCRATCH);

		if (n == 0 || (n < 0 && n != -E_AGAIN))
			session_close(s, CLEANUP_CLIENT_GONE, "client gone");
		return;
	}
	case SESSION_CLOSED:
		return;
	default:
		inbound_readable(s);
	}
}

static void
on_drained(struct stream *st, void *arg)
{
	struct session *s = arg;

	if (s->state == SESSION_CLOSING) {
		session_close(s, CLEANUP_CLIENT_REFUSED, "told");
		return;
	}
	if (s->hold->lease.state == LEASE_HELD)
		stream_resume(&s->hold->lease.srv->stream);
	/* Its messages have waited for that. */
	if (s->state == SESSION_IDLE || s->state == SESSION_ACTIVE || s->state == SESSION_CONSOLE) {
		if (!s->held)
			stream_resume(st);
		inbound_resume(s);
	}
}

/* Does it wait for somebody else: a server, a lock, an answer of the system? */
static bool
is_waiting(const struct session *s)
{
	switch (s->state) {
	case SESSION_WAITING:
	case SESSION_LOGIN:
	case SESSION_LOOKUP:
		return true;
	case SESSION_SCOPE:
		return enter_waits(s);
	default:
		return s->state == SESSION_CONSOLE && s->held;
	}
}

/* While it is not read from: it waits, or its server is slow. What runs, and stands before a
 * Terminate, is done all the same; who only waits leaves at once. */
static bool
on_hangup(struct stream *st, void *arg)
{
	struct session *s = arg;

	if (!is_waiting(s) && inbound_said_terminate(s))
		return false;
	session_close(s, CLEANUP_CLIENT_GONE, "client gone");
	return true;
}

static const struct stream_ops stream_ops = {on_readable, on_drained, on_hangup};

const struct session_ops inbound_session_ops = {
    .stream = &stream_ops,
    .lease = &outbound_lease_ops,
    .resume = inbound_resume,
    .give_up = inbound_give_up,
    .leave = leave_scopes,
};
