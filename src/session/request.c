/* request: what a message of the client means now: which ones need a server, which are answered
 * here, which wait. Bytes go on to the server in as few writes as they came in reads. */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "session/daemon.h"
#include "session/session.h"
#include "wire/frame.h"
#include "wire/msg.h"
#include "wire/sqlclass.h"

/* What becomes of a message. */
enum verdict {
	FORWARD, /* it goes to the server */
	DROP,    /* it was answered here, or is ignored */
	REFUSE,  /* dropped, and the server is made to say that there is no such statement */
	HOLD,    /* it waits where it is */
	OVER     /* the session goes */
};

/* What changes session state, so that its server cannot be another's. */
#define PINS                                                                                      \
	(SQLCLASS_SET | SQLCLASS_SETCONFIG | SQLCLASS_LISTEN | SQLCLASS_TEMP | SQLCLASS_PREPARE | \
	 SQLCLASS_HOLD | SQLCLASS_LOAD | SQLCLASS_LOCK)

static bool
gone(const struct session *s)
{
	return s->state == SESSION_CLOSED || s->state == SESSION_CLOSING;
}

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
request_failed(struct session *s, char type, const struct err *e)
{
	if (s->state == SESSION_WAITING)
		session_set_state(s, SESSION_IDLE);
	if (e->id == ERR_SHUTDOWN) {
		session_fail(s, e);
		return;
	}
	/* The message that could not get a server is answered by the error. */
	if (s->in.len >= FRAME_HEADER) {
		struct frame f;

		frame_read(buf_data(&s->in), s->in.len, &f);
		if (s->in.len >= FRAME_HEADER + f.body) {
			buf_drop(&s->in, FRAME_HEADER + f.body);
		} else {
			s->drop_left = (uint32_t)(FRAME_HEADER + f.body - s->in.len);
			buf_drop(&s->in, s->in.len);
		}
	}
	session_refuse(s, type, e);
	stream_resume(&s->stream);
	request_resume(s);
}

static enum verdict
need_server(struct session *s, char type)
{
	struct err e;
	int r = lease_enter(&s->lease, s->pool, &e);

	if (r == 0) {
		relay_begin(s);
		return s->state == SESSION_ACTIVE  ? FORWARD
		       : s->state == SESSION_SETUP ? HOLD
						   : OVER;
	}
	if (r == -E_AGAIN) {
		session_set_state(s, SESSION_WAITING);
		stream_pause(&s->stream);
		return HOLD;
	}
	if (e.id == ERR_SHUTDOWN)
		session_fail(s, &e);
	else
		session_refuse(s, type, &e);
	err_clear(&e);
	return s->state == SESSION_IDLE ? DROP : OVER;
}

/* ---- what a message changes ---- */

static void
note_sql(struct session *s, char type, const char *sql, size_t have)
{
	struct progress *p = &s->lease.srv->progress;
	unsigned set = sqlclass(sql, strnlen(sql, have));

	if (set == 0)
		return;
	s->pinned |= set & PINS;
	if (set & (SQLCLASS_OPAQUE | SQLCLASS_DISCARD_TEMP))
		s->discard = true;
	/* If it succeeds, everything that pinned is gone. Only where no other answer can be taken
	 * for its own. */
	if (set == SQLCLASS_DISCARD_ALL && type == 'Q' && progress_at_rest(p)) {
		progress_forget_error(p);
		s->unpin = true;
	}
}

/* Looks at what can change session state. `have` bytes of the body are here. Returns false if the
 * message uses what this server does not have: another session's unnamed statement. */
static bool
note_message(struct session *s, char type, const uint8_t *body, size_t have)
{
	const uint8_t *end = memchr(body, 0, have);

	switch (type) {
	case 'Q':
		/* A simple Query destroys the unnamed statement (15 documentation, 55.2.3). */
		s->parsed = false;
		note_sql(s, type, (const char *)body, have);
		return true;
	case 'P':
		if (end == NULL)
			return true;
		if (end == body)
			s->parsed = true;
		else
			s->pinned |= SESSION_PIN_STATEMENT;
		s->bound = false;
		note_sql(s, type, (const char *)end + 1, have - (size_t)(end + 1 - body));
		return true;
	case 'B':
		/* The portal's name, then the statement's. */
		if (end == NULL || end + 1 == body + have || end[1] != 0)
			return true;
		s->bound = true;
		return s->parsed || s->pinned;
	case 'D':
		return !(have == 2 && body[0] == 'S' && body[1] == 0) || s->parsed || s->pinned;
	default:
		return true;
	}
}

/* ---- one message ---- */

static enum verdict
without_lease(struct session *s, char type)
{
	struct buf out;

	switch (type) {
	case 'Q':
	case 'F':
	case 'P':
	case 'B':
	case 'D':
	case 'E':
	case 'C':
		return need_server(s, type);
	case 'S':
		buf_init(&out, 16);
		msg_ready(&out, 'I');
		session_send_buf(s, &out);
		buf_clear(&out);
		return s->state == SESSION_IDLE ? DROP : OVER;
	case 'H': /* nothing to flush */
	case 'd': /* the rest of a COPY that failed: PostgreSQL ignores it too */
	case 'c':
	case 'f':
		return DROP;
	default:
		protocol_violation(s, "unknown message type");
		return OVER;
	}
}

static bool
known(char type)
{
	return type != 0 && strchr("QFPBDECSHdcf", type) != NULL;
}

/* The server would take another client's. It is made to say no itself, so that it skips to Sync
 * like the client. */
static void
no_statement(struct session *s)
{
	static const char sql[] = "this_session_has_no_unnamed_prepared_statement";
	struct server *srv = s->lease.srv;
	struct buf out;
	size_t at;

	buf_init(&out, 256);
	at = msg_begin(&out, 'D');
	buf_add_u8(&out, 'S');
	buf_add_str(&out, sql);
	msg_end(&out, at);
	progress_sent(&srv->progress, 'D');
	server_write(srv, buf_data(&out), out.len);
	buf_clear(&out);
}

static enum verdict
judge(struct session *s, const struct frame *f, const uint8_t *body, size_t have)
{
	struct progress *p;
	enum verdict v = FORWARD;

	if (f->type == 'X') {
		session_close(s, CLEANUP_CLIENT_LEFT, "client left");
		return OVER;
	}
	if (s->skip_sync) {
		if (f->type != 'S')
			return DROP;
		s->skip_sync = false;
	}
	if (s->state == SESSION_WAITING || s->state == SESSION_SETUP)
		return HOLD;
	if (s->state == SESSION_IDLE)
		v = without_lease(s, f->type);
	if (v != FORWARD)
		return v;
	if (s->state != SESSION_ACTIVE)
		return OVER;
	if (!known(f->type)) {
		protocol_violation(s, "unknown message type");
		return OVER;
	}
	p = &s->lease.srv->progress;
	if (progress_full(p)) {
		stream_pause(&s->stream);
		return HOLD;
	}
	if (!note_message(s, f->type, body, have) && !p->skipping)
		return REFUSE;
	if (p->ready_due == 0)
		s->request_us = loop_now_us(s->daemon->loop);
	progress_sent(p, f->type);
	return FORWARD;
}

/* ---- many messages ---- */

/* Sends data[*from, to) to the server, if there is anything. */
static void
flush(struct session *s, const uint8_t *data, size_t *from, size_t to)
{
	if (*from < to && s->lease.state == LEASE_HELD)
		server_write(s->lease.srv, data + *from, to - *from);
	*from = to;
}

/* Part of the message that is passing, or of one that is dropped. */
static size_t
pass(uint32_t *left, size_t bytes)
{
	size_t n = *left < bytes ? *left : bytes;

	*left -= (uint32_t)n;
	return n;
}

/* Handles what can be handled of these bytes now; returns how many those are. */
static size_t
handle(struct session *s, const uint8_t *data, size_t bytes)
{
	size_t at = 0, from = 0;

	while (at < bytes) {
		struct frame f;
		size_t whole;
		enum verdict v;

		if (s->drop_left > 0) {
			at += pass(&s->drop_left, bytes - at);
			from = at;
			continue;
		}
		if (s->state == SESSION_ACTIVE && s->lease.srv->progress.to_left > 0) {
			at += pass(&s->lease.srv->progress.to_left, bytes - at);
			continue;
		}
		switch (frame_read(data + at, bytes - at, &f)) {
		case 0:
			break;
		case -E_AGAIN:
			flush(s, data, &from, at);
			return at;
		default:
			flush(s, data, &from, at);
			protocol_violation(s, "impossible message length");
			return bytes;
		}
		whole = (size_t)FRAME_HEADER + f.body;
		if (whole > bytes - at && whole <= SESSION_WHOLE_MAX)
			break;
		/* What ends the session must not keep back what progress has been told of. */
		if (f.type == 'X' || !known(f.type))
			flush(s, data, &from, at);
		if (gone(s))
			return bytes;
		v = judge(s, &f, data + at + FRAME_HEADER,
			  (whole < bytes - at ? whole : bytes - at) - FRAME_HEADER);
		if (v == OVER)
			return bytes;
		if (v == HOLD)
			break;
		if (v == DROP || v == REFUSE) {
			flush(s, data, &from, at);
			if (v == REFUSE && !gone(s))
				no_statement(s);
			if (gone(s))
				return bytes;
			s->drop_left = (uint32_t)whole;
			continue;
		}
		if (whole > bytes - at) {
			s->lease.srv->progress.to_left = (uint32_t)(whole - (bytes - at));
			whole = bytes - at;
		}
		at += whole;
	}
	flush(s, data, &from, at);
	return at;
}

/* A server that is slow stops the reading of its client. */
static void
mind_server(struct session *s)
{
	if (s->lease.state == LEASE_HELD && stream_queued(&s->lease.srv->stream) > 0)
		stream_pause(&s->stream);
}

/* Messages of a console session, each when it is whole. */
static size_t
console(struct session *s, const uint8_t *data, size_t bytes)
{
	size_t at = 0;
	struct frame f;

	while (s->state == SESSION_CONSOLE && frame_read(data + at, bytes - at, &f) != -E_AGAIN) {
		if (f.body > SESSION_WHOLE_MAX - FRAME_HEADER) {
			protocol_violation(s, "too long for the console");
			break;
		}
		if (FRAME_HEADER + f.body > bytes - at)
			break;
		if (f.type == 'X') {
			session_close(s, CLEANUP_CLIENT_LEFT, "client left");
			break;
		}
		s->daemon->console->message(s, f.type, data + at + FRAME_HEADER, f.body);
		at += FRAME_HEADER + f.body;
	}
	return gone(s) ? bytes : at;
}

static size_t
dispatch(struct session *s, const uint8_t *data, size_t bytes)
{
	return s->state == SESSION_CONSOLE ? console(s, data, bytes) : handle(s, data, bytes);
}

void
request_resume(struct session *s)
{
	size_t used;

	if (gone(s) || s->in.len == 0)
		return;
	used = dispatch(s, buf_data(&s->in), s->in.len);
	if (gone(s))
		return;
	buf_drop(&s->in, used);
	mind_server(s);
}

static void
read_failed(struct session *s, ssize_t r)
{
	if (r != -E_AGAIN)
		session_close(s, CLEANUP_CLIENT_GONE, "client gone");
}

void
request_readable(struct session *s)
{
	size_t room, used;
	uint8_t *to;
	ssize_t r;

	if (s->in.len == 0) {
		/* The usual case: nothing is kept, nothing is copied. */
		to = loop_scratch(s->daemon->loop);
		r = stream_read(&s->stream, to, LOOP_SCRATCH);
		if (r <= 0) {
			read_failed(s, r);
			return;
		}
		used = dispatch(s, to, (size_t)r);
		if (gone(s))
			return;
		if (s->pool)
			s->pool->stats.received += (uint64_t)r;
		if (used < (size_t)r)
			buf_add(&s->in, to + used, (size_t)r - used);
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
	request_resume(s);
}
