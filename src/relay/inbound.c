#include "relay/inbound.h"

#include <stdint.h>
#include <string.h>

#include "base/log.h"
#include "executor/enter.h"
#include "executor/split.h"
#include "relay/judge.h"
#include "relay/login.h"
#include "relay/prove.h"
#include "relay/quick.h"
#include "session/batch.h"
#include "session/end.h"
#include "session/notifying.h"
#include "session/script.h"
#include "session/session.h"
#include "session/site.h"
#include "session/standin.h"
#include "wire/frame.h"

/* ---- many messages ---- */

static void
flush_batch(struct session *s)
{
	if (!batch_flush(s))
		session_close(s, CLEANUP_CLIENT_REFUSED, "too much at once");
}

/* Of a message, *left bytes are still to come. Returns how many of these bytes belong to it. */
static size_t
rest_of(uint32_t *left, size_t bytes)
{
	size_t n = *left < bytes ? *left : bytes;

	*left -= (uint32_t)n;
	return n;
}

/* Does the client not read its answers? Then its messages wait, as PostgreSQL lets them wait. */
static bool
is_deaf(struct session *s)
{
	if (stream_queued(&s->stream) == 0 || session_gone(s))
		return false;
	stream_pause(&s->stream);
	return true;
}

/* Passes the rest of a message of which a part has been passed, and common messages behind it.
 * Returns their bytes. */
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
	return f->type == 'd' || judge_nonsense(f->type, f->body) != NULL ||
	       bytes >= SESSION_WHOLE_MAX;
}

/* Finds the message at the beginning of these bytes. Returns false if not enough of it is here, or
 * if they are no message: then the session ends, at once or once earlier messages are answered. */
static bool
next_message(struct session *s, const uint8_t *data, size_t bytes, struct message *m)
{
	struct frame f;
	size_t whole;
	int r = frame_read(data, bytes, &f);

	if (r == -E_AGAIN)
		return false;
	if (r < 0) {
		judge_violation(s, "impossible message length");
		return false;
	}
	if (!may_be_judged(&f, bytes))
		return false;
	whole = (size_t)FRAME_HEADER + f.body;
	*m = (struct message){.type = f.type, .body = data + FRAME_HEADER, .bytes = f.body};
	m->have = (whole < bytes ? whole : bytes) - FRAME_HEADER;
	m->next = whole < bytes ? (char)data[whole] : 0;
	m->behind = whole < bytes ? bytes - whole : 0;
	return true;
}

/* Carries out the verdict on a message: FORWARD, REPLACE or DROP. Returns how many of its bytes are
 * done. The rest of a message that does not pass is dropped as it comes (drop_left). */
static size_t
carry_out(struct session *s, enum verdict v, const struct message *m)
{
	size_t here = FRAME_HEADER + m->have, whole = FRAME_HEADER + m->bytes;
	size_t replaced = v == REPLACE ? m->used : 0;

	if (v == DROP)
		flush_batch(s);
	if (v == DROP || replaced >= whole) {
		s->drop_left = (uint32_t)(replaced > whole ? replaced : whole);
		return rest_of(&s->drop_left, here + m->behind);
	}
	if (whole > here)
		s->hold->lease.srv->progress.to_left = (uint32_t)(whole - here);
	batch_pass(s, m->body - FRAME_HEADER + replaced, here - replaced);
	return here;
}

/* Must the message that begins here wait until it is certain that what stands before it need not be
 * done again? */
static bool
waits_for_standin(struct session *s, const uint8_t *data, size_t bytes)
{
	bool ask;

	if (!standin_holds(s, (char)*data, bytes, &ask))
		return false;
	judge_hold(s, ask);
	return true;
}

/* Handles as many of these bytes as can be handled now. Returns how many. */
static size_t
handle_messages(struct session *s, const uint8_t *data, size_t bytes)
{
	size_t at = 0, kept = standin_keeps(s) ? 0 : SIZE_MAX;

	while (at < bytes && !session_gone(s)) {
		struct message m;
		enum verdict v;
		size_t passed;

		if (s->drop_left > 0) {
			at += rest_of(&s->drop_left, bytes - at);
			continue;
		}
		if (is_deaf(s) || waits_for_standin(s, data + at, bytes - at))
			break;
		passed = pass_known(s, data + at, bytes - at);
		at += passed;
		if (passed > 0 && standin_keeps(s))
			continue; /* what stands behind it may have to wait */
		if (at == bytes || !next_message(s, data + at, bytes - at, &m))
			break;
		if (s->state == SESSION_IDLE && quick_opens(s, &m)) {
			v = judge_need_server(s, &m);
			if (v == FORWARD)
				continue; /* quick_pass() takes the message now */
		} else if (!quick_judge(s, &m, &v)) {
			v = judge_message(s, &m);
		}
		if (v == HOLD || v == OVER)
			break;
		if (kept == SIZE_MAX && standin_keeps(s))
			kept = at;
		at += carry_out(s, v, &m);
	}
	if (session_gone(s)) {
		batch_drop(s);
		return bytes;
	}
	if (kept < at && standin_keeps(s))
		standin_keep(s, data + kept, at - kept);
	flush_batch(s);
	if (s->rare->stack && !session_gone(s))
		split_sync(s);
	if (s->rare->listening && !session_gone(s))
		notifying_turn(s);
	batch_check(s);
	return at;
}

/* If the server does not read what it is sent, its client is not read from. */
static void
pause_for_slow_server(struct session *s)
{
	if (s->hold->lease.state == LEASE_HELD && stream_is_slow(&s->hold->lease.srv->stream))
		stream_pause(&s->stream);
}

/* Handles the messages of a console session, each when it is whole. */
static size_t
handle_console(struct session *s, const uint8_t *data, size_t bytes)
{
	size_t at = 0;
	struct frame f;

	while (s->state == SESSION_CONSOLE && frame_read(data + at, bytes - at, &f) != -E_AGAIN) {
		if (f.body > SESSION_WHOLE_MAX - FRAME_HEADER) {
			session_fail_protocol(s, "too long for the console");
			break;
		}
		if (FRAME_HEADER + f.body > bytes - at)
			break;
		if (is_deaf(s))
			break;
		if (f.type == 'X') {
			judge_terminate(s);
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
	return session_is_at_console(s) ? handle_console(s, data, bytes)
					: handle_messages(s, data, bytes);
}

/* Goes on with a text of several statements, part by part. */
static void
do_text(struct session *s)
{
	struct buf message;
	bool more = true;

	while (more && split_next(s, &message)) {
		more = split_judged(s, handle_messages(s, buf_data(&message), message.len) > 0);
		buf_clear(&message);
	}
}

void
inbound_go_on(struct session *s)
{
	size_t used;

	if (s->in->len == 0 || s->stream.held)
		flush_batch(s);
	/* A handover: the next process goes on. */
	if (s->stream.held)
		return;
	/* Messages wait until a text of many statements is done; not so the data of its COPY. */
	do {
		used = 0;
		if (script_pending(s))
			do_text(s);
		if (session_gone(s))
			return;
		if (s->in->len > 0)
			used = dispatch(s, buf_data(s->in), s->in->len);
		if (session_gone(s))
			return;
		session_drop_kept(s, used);
	} while (used > 0 && script_pending(s));
	pause_for_slow_server(s);
}

/* Is there no reason why messages of the session should wait? */
static bool
is_free(const struct session *s)
{
	return (s->state == SESSION_IDLE || s->state == SESSION_ACTIVE ||
		s->state == SESSION_CONSOLE) &&
	       !s->stream.paused && !s->stream.finished && !s->stream.held && !script_pending(s) &&
	       !list_linked(&s->woken);
}

void
inbound_check(const struct session *s)
{
	struct frame f;

	if (s->in->len < FRAME_HEADER || !is_free(s))
		return;
	if (frame_read(buf_data(s->in), s->in->len, &f) < 0)
		return;
	if (may_be_judged(&f, s->in->len))
		log_fatal("session", s->id, "a message is left behind",
			  LOG_TEXT("state", session_state_name(s->state)),
			  LOG_BYTES("type", &f.type, 1), LOG_NUMBER("bytes", s->in->len));
}

static bool
is_terminate(const uint8_t *message)
{
	static const uint8_t terminate[FRAME_HEADER] = {'X', 0, 0, 0, 4};

	return memcmp(message, terminate, sizeof terminate) == 0;
}

/* Are these bytes whole messages, of which the last is a Terminate? The same bytes within a message
 * that is cut off are none. */
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

static bool
said_terminate(struct session *s)
{
	uint8_t last[FRAME_HEADER];

	if (stream_peek_last(&s->stream, last, sizeof last) == 0)
		return is_terminate(last);
	return end_with_terminate(buf_data(s->in), s->in->len);
}

static void
read_failed(struct session *s, ssize_t r)
{
	if (r == -E_AGAIN)
		return;
	/* A Terminate is kept behind messages that have not been handled yet. */
	if (s->in->len == 0 || !said_terminate(s))
		session_close(s, CLEANUP_CLIENT_GONE, "client gone");
	else if (s->in->len > FRAME_HEADER || judge_may_wait(s))
		stream_pause(&s->stream);
	else
		stream_finish(&s->stream);
}

static void
read_messages(struct session *s)
{
	size_t room, used;
	uint8_t *to;
	ssize_t r;

	if (s->in->len == 0) {
		/* The usual case: nothing is kept in session->in, so nothing is copied. */
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
			buf_add(session_keep(s), to + used, (size_t)r - used);
		if (script_pending(s))
			session_wake(s);
		else
			pause_for_slow_server(s);
		inbound_check(s);
		return;
	}
	room = s->in->max - s->in->len;
	if (room > LOOP_SCRATCH)
		room = LOOP_SCRATCH;
	to = buf_room(s->in, room);
	if (room == 0 || to == NULL) {
		stream_pause(&s->stream);
		return;
	}
	r = stream_read(&s->stream, to, room);
	if (r <= 0) {
		read_failed(s, r);
		return;
	}
	buf_grew(s->in, (size_t)r);
	if (s->pool)
		s->pool->stats.received += (uint64_t)r;
	session_wake(s);
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
	case SESSION_PASSWORD:
		prove_readable(s);
		return;
	case SESSION_CLOSING:
	case SESSION_CANCEL: {
		/* Bytes are dropped; only the end of the stream matters. */
		ssize_t n = stream_read(st, loop_scratch(s->site->loop), LOOP_SCRATCH);

		if (n == 0 || (n < 0 && n != -E_AGAIN))
			session_close(s, CLEANUP_CLIENT_GONE, "client gone");
		return;
	}
	case SESSION_CLOSED:
		return;
	default:
		read_messages(s);
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
	if (s->rare->listening)
		session_wake(s);
	/* Its messages have waited until it reads: see is_deaf(). */
	if (s->state == SESSION_IDLE || s->state == SESSION_ACTIVE || s->state == SESSION_CONSOLE) {
		stream_resume(st);
		session_wake(s);
	}
}

/* Does the session wait for a server, a lock, an answer of the system, a password to be judged, or
 * a console command? */
static bool
is_waiting(const struct session *s)
{
	switch (s->state) {
	case SESSION_WAITING:
	case SESSION_LOGIN:
	case SESSION_LOOKUP:
	case SESSION_PASSWORD:
	case SESSION_CONSOLE_BUSY:
		return true;
	case SESSION_SCOPE:
		return enter_waits(s);
	default:
		return false;
	}
}

/* The client has hung up while it is not read from, because it waits or its server is slow. What
 * runs and stands before a Terminate is finished. A session that only waits is closed at once. */
static bool
on_hangup(struct stream *st, void *arg)
{
	struct session *s = arg;

	if (!is_waiting(s) && said_terminate(s))
		return false;
	session_close(s, CLEANUP_CLIENT_GONE, "client gone");
	return true;
}

const struct stream_ops inbound_stream_ops = {on_readable, on_drained, on_hangup};
