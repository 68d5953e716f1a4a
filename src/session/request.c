/* request: what a message of the client means now: which ones need a server, which are answered
 * here, which wait. Bytes go on to the server in as few writes as they came in reads. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "session/begin.h"
#include "session/daemon.h"
#include "session/deallocate.h"
#include "session/params.h"
#include "session/session.h"
#include "session/state.h"
#include "wire/frame.h"
#include "wire/msg.h"
#include "wire/sqlclass.h"
#include "wire/sqltext.h"

/* What becomes of a message. */
enum verdict {
	FORWARD, /* it goes to the server as it came */
	REPLACE, /* what goes instead has been added to daemon->ahead, for the first `used` bytes of
		    it */
	DROP,    /* it was answered here, or is ignored */
	HOLD,    /* it waits where it is */
	OVER     /* the session goes */
};

/* A message, as far as it is here. */
struct message {
	char type;
	const uint8_t *body;
	size_t bytes; /* of the whole body */
	size_t have;  /* of them here */
	unsigned set; /* SQLCLASS_... of a Query or Parse */
	char next;    /* type of the message behind it, 0 if none is here */
	size_t used;  /* REPLACE: bytes that need not be forwarded, the header among them */
};

/* What changes session state that cannot be moved: the session keeps its server. */
#define PINS (SESSION_PINS_ASKED | SQLCLASS_LOAD)

/* After these, less may pin. What pins may fail, or end with its transaction (ON COMMIT DROP). */
#define UNDOES                                                                          \
	(SESSION_PINS_ASKED | SQLCLASS_UNDO | SQLCLASS_UNLISTEN | SQLCLASS_DEALLOCATE | \
	 SQLCLASS_DISCARD_ALL | SQLCLASS_DISCARD_TEMP | SQLCLASS_OPAQUE)

#define NAMES_BYTES_MAX (8 * 1024 * 1024) /* of one session's prepared statements */

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

static const char *
text_of(const struct message *m, size_t *bytes)
{
	const uint8_t *end;

	if (m->type == 'Q') {
		/* The NUL that ends it is mostly the last byte. */
		if (m->have > 0 && m->have == m->bytes && m->body[m->have - 1] == 0)
			*bytes = m->have - 1;
		else
			*bytes = strnlen((const char *)m->body, m->have);
		return (const char *)m->body;
	}
	end = m->type == 'P' && m->have > 0 ? memchr(m->body, 0, m->have) : NULL;
	if (end == NULL)
		return NULL;
	*bytes = strnlen((const char *)end + 1, m->have - (size_t)(end + 1 - m->body));
	return (const char *)end + 1;
}

/* A text with these effects is about to be executed. */
static void
note_effects(struct session *s, unsigned set, const char *sql, size_t bytes, bool simple)
{
	struct progress *p = &s->lease.srv->progress;

	s->pinned |= set & (PINS | SESSION_PIN_SETTING);
	if (set & (SQLCLASS_SET | SQLCLASS_SETCONFIG | SQLCLASS_DISCARD_ALL | SQLCLASS_OPAQUE))
		s->changed = true;
	if ((set & UNDOES) || (s->pinned && s->changed))
		s->undone = true;
	if (set & (SQLCLASS_OPAQUE | SQLCLASS_DISCARD_TEMP))
		s->discard = true;
	if ((set & (SQLCLASS_DEALLOCATE | SQLCLASS_DISCARD_ALL)) && sql)
		deallocate_note(s, sql, bytes);
	/* Behind a DISCARD ALL: it does not undo this. */
	if (set & (PINS | SESSION_PIN_SETTING | SQLCLASS_SET | SQLCLASS_SETCONFIG))
		s->unpin = false;
	/* If it succeeds, everything that pinned is gone. Only where no other answer can be taken
	 * for its own. */
	if (set == SQLCLASS_DISCARD_ALL && simple && progress_at_rest(p)) {
		progress_forget_error(p);
		s->unpin = true;
	}
}

/* The bits of a text, and the names that it sets. */
static unsigned
classify(struct session *s, const struct message *m)
{
	size_t bytes;
	const char *sql = text_of(m, &bytes);

	if ((m->set & (SQLCLASS_SET | SQLCLASS_SETCONFIG)) && !state_note(s, sql, bytes))
		return m->set | SESSION_PIN_SETTING;
	return m->set;
}

/* ---- the unnamed statement ---- */

/* The message uses the unnamed statement. */
static void
need_unnamed(struct session *s, bool executes)
{
	struct server *srv = s->lease.srv;
	const char *sql;
	size_t bytes;
	unsigned effects = unnamed_effects(&s->unnamed, &sql, &bytes);

	if (srv->progress.skipping)
		return;
	if (executes && effects)
		note_effects(s, effects, sql, bytes, false);
	unnamed_need(&s->unnamed, &srv->prepared.tracked, &srv->progress, &s->daemon->ahead);
}

/* Returns true if progress has been told of the message. */
static bool
note_unnamed(struct session *s, const struct message *m)
{
	const uint8_t *end = m->have > 0 ? memchr(m->body, 0, m->have) : NULL;
	struct server *srv = s->lease.srv;

	switch (m->type) {
	case 'Q':
		/* It destroys the unnamed statement (15 documentation, 55.2.3). */
		if (!srv->progress.skipping && (s->unnamed.text || s->unnamed.here))
			unnamed_forget(&s->unnamed, &srv->prepared.tracked);
		return false;
	case 'P':
		if (end != m->body)
			return false;
		unnamed_parse(&s->unnamed, &srv->prepared.tracked, &srv->progress, m->body, m->have,
			      m->bytes, m->set);
		return true;
	case 'B':
		/* The portal's name, then the statement's. */
		if (end && end + 1 < m->body + m->have && end[1] == 0)
			need_unnamed(s, true);
		return false;
	case 'D':
		if (m->have == 2 && m->body[0] == 'S' && m->body[1] == 0)
			need_unnamed(s, false);
		return false;
	case 'C':
		if (m->have != 2 || m->body[0] != 'S' || m->body[1] != 0)
			return false;
		unnamed_close(&s->unnamed, &srv->prepared.tracked, &srv->progress);
		return true;
	default:
		return false;
	}
}

/* pin = off. The server itself is made to say no, so that a transaction fails as by any other
 * error. */
static enum verdict
refuse_pin(struct session *s, struct message *m, unsigned why)
{
	struct progress *p = &s->lease.srv->progress;
	struct buf *out = &s->daemon->ahead, sql;
	struct err e;

	err_make(&e, ERR_PIN_OFF, s->pool->conf->name, session_pin_word(why));
	buf_init(&sql, 4096);
	buf_add_fmt(
	    &sql, "DO $pgwith$BEGIN RAISE EXCEPTION USING ERRCODE = '%s', MESSAGE = ", e.sqlstate);
	params_literal(&sql, e.message);
	buf_add_fmt(&sql, ", HINT = ");
	params_literal(&sql, e.hint);
	buf_add_str(&sql, "; END$pgwith$");
	if (m->type == 'Q') {
		msg_query(out, (char *)buf_data(&sql));
		progress_sent(p, 'Q');
	} else {
		state_own(p, (char *)buf_data(&sql), out);
		s->unnamed.here = false;
	}
	buf_clear(&sql);
	err_clear(&e);
	m->used = FRAME_HEADER + m->bytes;
	return REPLACE;
}

/* ---- named statements ---- */

static struct prepared_limits
limits_of(const struct session *s)
{
	const struct conf_pool *conf = s->pool->conf;

	return (struct prepared_limits){(unsigned)conf->max_prepared_statements,
					(unsigned)conf->max_session_statements, NAMES_BYTES_MAX};
}

static struct prepared_message
prepared_message_of(const struct session *s, const struct message *m)
{
	return (struct prepared_message){.type = m->type,
					 .body = m->body,
					 .bytes = m->bytes,
					 .have = m->have,
					 .context = s->setup ? s->setup : "",
					 .effects = m->type == 'P' ? m->set : 0};
}

static void
make_names(struct session *s)
{
	if (s->names)
		return;
	s->names = mem_alloc(sizeof *s->names);
	names_init(s->names, &s->daemon->pools.statements);
}

/* A Parse and nothing else, for which the session would have to wait, is answered here if the text
 * is prepared on another server. A program that prepares on one connection while its others hold
 * every server in transactions (pgbench -M prepared) would wait for itself. */
static bool
adopted(struct session *s, const struct message *m)
{
	static const uint8_t parse_complete[] = {'1', 0, 0, 0, 4};
	struct prepared_limits limits = limits_of(s);
	struct prepared_message pm = prepared_message_of(s, m);
	struct pool *pool = s->pool;
	struct list_node *n;

	if (m->type != 'P' || m->next != 'S' || pool->conf->mode != CONF_TRANSACTION ||
	    pool->servers[SERVER_IDLE].count > 0 || limits.server_max == 0 ||
	    (m->set & (SQLCLASS_SET | SQLCLASS_SETCONFIG)))
		return false;
	make_names(s);
	LIST_EACH (n, &pool->servers[SERVER_LEASED]) {
		if (prepared_adopt(s->names, &LIST_OBJ(n, struct server, node)->prepared, &limits,
				   &pm)) {
			session_send(s, parse_complete, sizeof parse_complete);
			return true;
		}
	}
	return false;
}

/* The name of a prepared statement that the message is about, or NULL. */
static const char *
statement_name(const struct message *m)
{
	const uint8_t *at = m->body, *end;

	if (m->have == 0 || ((m->type == 'D' || m->type == 'C') && *at++ != 'S'))
		return NULL;
	if (m->type == 'B') {
		at = memchr(at, 0, m->have);
		if (at++ == NULL)
			return NULL;
	}
	end = memchr(at, 0, (size_t)(m->body + m->have - at));
	return end ? (const char *)at : NULL;
}

static void
executes(void *arg, unsigned effects, const char *sql)
{
	note_effects(arg, effects, sql, strlen(sql), false);
}

static enum verdict
named(struct session *s, struct message *m)
{
	struct prepared_limits limits = limits_of(s);
	struct prepared_message pm = prepared_message_of(s, m);
	struct server *srv = s->lease.srv;
	enum prepared_verdict v;

	if (m->type == 'P' && (m->have == 0 || m->body[0] == 0))
		return FORWARD;
	if (limits.server_max == 0) {
		if (m->type == 'P' && !s->pool->conf->pin)
			return refuse_pin(s, m, SESSION_PIN_STATEMENT);
		if (m->type == 'P')
			s->pinned |= SESSION_PIN_STATEMENT;
		return FORWARD;
	}
	if (m->type == 'P')
		make_names(s);
	pm.executes = executes;
	pm.arg = s;
	v = prepared_message(s->names, &srv->prepared, &srv->progress, &limits, &pm,
			     &s->daemon->ahead);
	switch (v) {
	case PREPARED_DONE:
		m->used = FRAME_HEADER + m->bytes;
		return REPLACE;
	case PREPARED_PREFIX:
		m->used = FRAME_HEADER + pm.used;
		return REPLACE;
	case PREPARED_WAIT:
		stream_pause(&s->stream);
		return HOLD;
	case PREPARED_TOO_MANY:
		if (!s->pool->conf->pin)
			return refuse_pin(s, m, SESSION_PIN_STATEMENT);
		s->pinned |= SESSION_PIN_STATEMENT;
		return FORWARD;
	default:
		return FORWARD; /* malformed: the server's own error is the best */
	}
}

/* ---- one message ---- */

static enum verdict
without_lease(struct session *s, struct message *m)
{
	struct buf out;
	struct err e;

	switch (m->type) {
	case 'Q':
		if ((s->begun != BEGUN_NOT || m->set == SQLCLASS_BEGIN) && m->have == m->bytes &&
		    begin_answer(s, m->set, (const char *)m->body,
				 strnlen((const char *)m->body, m->have)))
			return gone(s) ? OVER : DROP;
		return need_server(s, m->type);
	case 'F':
	case 'P':
	case 'B':
	case 'D':
	case 'E':
	case 'C':
		if (begin_refuses(s, m->set)) {
			err_make(&e, ERR_IN_FAILED_TRANSACTION, s->pool->conf->name);
			session_refuse(s, m->type, &e);
			err_clear(&e);
			return gone(s) ? OVER : DROP;
		}
		if (adopted(s, m))
			return gone(s) ? OVER : DROP;
		return need_server(s, m->type);
	case 'S':
		buf_init(&out, 16);
		msg_ready(&out, begin_status(s));
		session_send_buf(s, &out);
		buf_clear(&out);
		return s->state == SESSION_IDLE ? DROP : OVER;
	case 'H': /* nothing to flush */
	case 'd': /* the rest of a COPY that failed: PostgreSQL ignores it too */
	case 'c':
	case 'f':
		return DROP;
	default:
		return OVER;
	}
}

/* What is wrong with a message of this type and length, or NULL. A Flush with a body must not reach
 * the server: its error makes the server skip to a Sync that nothing in the exchange calls for, and
 * the server's next client would be the one that is skipped. */
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
		return body > 0 ? "a Sync or Flush with a body" : NULL;
	default:
		return "unknown message type";
	}
}

/* What the message means depends on answers that are still to come. In COPY IN it means nothing,
 * and the server must see it. */
static bool
must_wait(const struct session *s, const struct message *m)
{
	const struct server *srv = s->lease.srv;
	const struct progress *p = &srv->progress;
	const char *name;

	if (p->skipping || (p->copy == COPY_IN && !p->copy_ended) ||
	    (srv->prepared.tracked.list.count == 0 && !p->watch))
		return false;
	if (m->set & (SQLCLASS_DEALLOCATE | SQLCLASS_DISCARD_ALL))
		return deallocate_unsettled(s) ||
		       (s->names && names_unsettled(s->names, &srv->prepared, p, NULL, 0));
	name = strchr("PBDC", m->type) ? statement_name(m) : NULL;
	if (name == NULL)
		return false;
	if (*name && deallocate_unsettled(s))
		return true;
	if (*name == 0)
		return (m->type == 'B' || m->type == 'D') &&
		       unnamed_unsettled(&s->unnamed, &srv->prepared.tracked, p);
	return s->names && names_unsettled(s->names, &srv->prepared, p, name, strlen(name));
}

static enum verdict
with_lease(struct session *s, struct message *m)
{
	struct progress *p = &s->lease.srv->progress;
	enum verdict v = FORWARD;
	bool told;

	if (progress_full(p) || must_wait(s, m)) {
		stream_pause(&s->stream);
		return HOLD;
	}
	begin_send(s, &s->daemon->ahead);
	/* A session that keeps its server needs no help. */
	if (s->pinned & SESSION_PIN_MODE) {
		if (p->ready_due == 0)
			s->request_us = loop_now_us(s->daemon->loop);
		progress_sent(p, m->type);
		return FORWARD;
	}
	if (m->set)
		m->set = classify(s, m);
	if (!s->pool->conf->pin && (m->set & (PINS | SESSION_PIN_SETTING)))
		return refuse_pin(s, m, m->set & (PINS | SESSION_PIN_SETTING));
	if (m->type == 'Q' && m->set) {
		size_t sql_bytes;
		const char *sql = text_of(m, &sql_bytes);

		note_effects(s, m->set, sql, sql_bytes, true);
	}
	told = note_unnamed(s, m);
	if (p->ready_due == 0)
		s->request_us = loop_now_us(s->daemon->loop);
	if (m->type == 'P' || m->type == 'B' || m->type == 'D' || m->type == 'C')
		v = named(s, m);
	if (v == FORWARD && !told)
		progress_sent(p, m->type);
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
		session_refuse(s, type, &e);
	err_clear(&e);
	return gone(s) ? OVER : DROP;
}

static enum verdict
judge(struct session *s, struct message *m)
{
	enum verdict v = FORWARD;
	const char *sql, *wrong;
	size_t bytes;

	if (m->type == 'X') {
		session_close(s, CLEANUP_CLIENT_LEFT, "client left");
		return OVER;
	}
	if ((wrong = nonsense(m->type, m->bytes)) != NULL) {
		protocol_violation(s, wrong);
		return OVER;
	}
	if (s->skip_sync) {
		if (m->type != 'S')
			return DROP;
		s->skip_sync = false;
	}
	if (s->state == SESSION_WAITING || s->state == SESSION_SETUP || s->state == SESSION_SAVING)
		return HOLD;
	sql = text_of(m, &bytes);
	if (sql)
		m->set = sqlclass(sql, bytes);
	/* What the rest of it does is not known. */
	if (sql && m->have < m->bytes)
		m->set |= SQLCLASS_OPAQUE;
	if ((m->set & SQLCLASS_BEGIN) && s->pool->conf->mode == CONF_STATEMENT)
		return no_transaction(s, m->type);
	if (s->state == SESSION_IDLE)
		v = without_lease(s, m);
	if (v != FORWARD)
		return v;
	return s->state == SESSION_ACTIVE ? with_lease(s, m) : OVER;
}

/* ---- many messages ---- */

/* Sends what stands ahead and data[*from, to) to the server, in one write, if there is anything. */
static void
flush(struct session *s, const uint8_t *data, size_t *from, size_t to)
{
	struct buf *ahead = &s->daemon->ahead;

	if (s->lease.state != LEASE_HELD) {
		buf_reset(ahead);
	} else if (ahead->len > 0) {
		buf_add(ahead, data + *from, to - *from);
		if (ahead->failed)
			session_close(s, CLEANUP_CLIENT_REFUSED, "too much at once");
		else
			server_write(s->lease.srv, buf_data(ahead), ahead->len);
		buf_reset(ahead);
	} else if (*from < to) {
		server_write(s->lease.srv, data + *from, to - *from);
	}
	*from = to;
}

/* May something be added ahead of, or in place of, this message? */
static bool
may_add(const struct session *s, char type)
{
	return type == 'P' || type == 'B' || type == 'D' || type == 'C' || type == 'Q' || s->begun;
}

/* Moves data[*from, to) to what stands ahead, so that more can be added behind it. */
static void
gather(struct session *s, const uint8_t *data, size_t *from, size_t to)
{
	if (s->lease.state == LEASE_HELD)
		buf_add(&s->daemon->ahead, data + *from, to - *from);
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
		struct message m;
		enum verdict v;
		size_t whole;

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
		/* Of a longer one, so much must be here that what is decided now does not depend on
		 * how it came. */
		if (whole > bytes - at && (whole <= SESSION_WHOLE_MAX ||
					   (f.type != 'd' && nonsense(f.type, f.body) == NULL &&
					    bytes - at < SESSION_WHOLE_MAX)))
			break;
		/* What is added ahead stands behind what came before; and what ends the session
		 * must not keep back what progress has been told of. */
		if (from < at && (s->daemon->ahead.len > 0 || may_add(s, f.type)))
			gather(s, data, &from, at);
		if (f.type == 'X' || nonsense(f.type, f.body))
			flush(s, data, &from, at);
		if (gone(s))
			return bytes;
		m = (struct message){
		    .type = f.type, .body = data + at + FRAME_HEADER, .bytes = f.body};
		m.have = (whole < bytes - at ? whole : bytes - at) - FRAME_HEADER;
		m.next = whole < bytes - at ? (char)data[at + whole] : 0;
		v = judge(s, &m);
		if (v == OVER) {
			/* Nobody else's server may get it. */
			buf_reset(&s->daemon->ahead);
			return bytes;
		}
		if (v == HOLD)
			break;
		if (v == DROP) {
			flush(s, data, &from, at);
			if (gone(s))
				return bytes;
			s->drop_left = (uint32_t)whole;
			continue;
		}
		if (v == REPLACE)
			from = at + (m.used < whole ? m.used : whole);
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

	if (gone(s)) {
		buf_reset(&s->daemon->ahead);
		return;
	}
	if (s->in.len == 0) {
		size_t none = 0;

		flush(s, NULL, &none, 0);
		return;
	}
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
