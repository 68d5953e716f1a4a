#include "session/inquiry.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "pool/pool.h"
#include "pool/server.h"
#include "pool/todo.h"
#include "session/end.h"
#include "session/heard.h"
#include "session/reply.h"
#include "session/session.h"
#include "session/site.h"
#include "wire/frame.h"
#include "wire/msg.h"

#define PASSED_MAX (64 * 1024) /* bytes of a message that the client gets */
#define SEND_MAX   (16 * 1024 * 1024)

/* ---- the machine ---- */

#define TO(state) (1u << (state))

static const struct {
	const char *name;
	unsigned next;
} states[INQUIRY_NSTATES] = {
    [INQUIRY_QUIET] = {"quiet", TO(INQUIRY_ASKED)},
    [INQUIRY_ASKED] = {"asked", TO(INQUIRY_ANSWERED) | TO(INQUIRY_FAILED) | TO(INQUIRY_CUT_SHORT) |
				    TO(INQUIRY_QUIET)},
    [INQUIRY_ANSWERED] = {"answered", TO(INQUIRY_QUIET)},
    [INQUIRY_FAILED] = {"failed", TO(INQUIRY_QUIET)},
    [INQUIRY_CUT_SHORT] = {"cut_short", TO(INQUIRY_ASKED) | TO(INQUIRY_QUIET)},
};

const char *
inquiry_state_name(enum inquiry_state state)
{
	return states[state].name;
}

static void
inquiry_set_state(struct session *s, enum inquiry_state to)
{
	struct inquiry *q = s->rare->inquiry;

	if (!(states[q->state].next & TO(to)))
		log_fatal("session", s->id, "illegal move of an inquiry",
			  LOG_MOVE(states[q->state].name, states[to].name));
	log_debug("session", s->id, "inquiry", LOG_MOVE(states[q->state].name, states[to].name));
	q->state = to;
}

enum inquiry_state
inquiry_state(const struct session *s)
{
	return s->rare->inquiry ? s->rare->inquiry->state : INQUIRY_QUIET;
}

bool
inquiry_has_ended(const struct session *s)
{
	return inquiry_state(s) != INQUIRY_QUIET && inquiry_state(s) != INQUIRY_ASKED;
}

enum inquiry_state
inquiry_take(struct session *s)
{
	enum inquiry_state how = s->rare->inquiry->state;

	if (how != INQUIRY_CUT_SHORT)
		inquiry_set_state(s, INQUIRY_QUIET);
	return how;
}

void
inquiry_give_up(struct session *s)
{
	if (inquiry_state(s) != INQUIRY_QUIET)
		inquiry_set_state(s, INQUIRY_QUIET);
}

void
inquiry_try_no_more(struct session *s)
{
	s->rare->inquiry->options &= ~(unsigned)INQUIRY_AGAIN;
}

/* ---- what is kept ---- */

/* session->rare->inquiry is made with the first statement: most sessions never need one. */
static struct inquiry *
prepare(struct session *s)
{
	struct inquiry *q = s->rare->inquiry;

	if (q)
		return q;
	q = session_rare(s)->inquiry = mem_calloc(1, sizeof *q);
	buf_init(&q->one, INQUIRY_KEPT_MAX);
	buf_init(&q->behind, INQUIRY_KEPT_MAX);
	buf_init(&q->rows, INQUIRY_KEPT_MAX);
	buf_init(&q->error, INQUIRY_KEPT_MAX);
	buf_init(&q->texts, INQUIRY_KEPT_MAX);
	return q;
}

void
inquiry_keep_texts(struct session *s, const struct buf *texts)
{
	struct inquiry *q = prepare(s);

	buf_reset(&q->texts);
	buf_add(&q->texts, buf_data(texts), texts->len);
	q->tries = 0;
}

void
inquiry_forget(struct session *s)
{
	struct inquiry *q = s->rare->inquiry;

	if (q == NULL)
		return;
	buf_clear(&q->one);
	buf_clear(&q->behind);
	buf_clear(&q->rows);
	buf_clear(&q->error);
	buf_clear(&q->texts);
	free(q);
	s->rare->inquiry = NULL;
}

bool
inquiry_is_too_long(const struct session *s)
{
	return s->rare->inquiry && s->rare->inquiry->bytes > INQUIRY_KEPT_MAX;
}

bool
inquiry_failed(const struct session *s)
{
	return inquiry_sqlstate(s)[0] != 0;
}

const char *
inquiry_sqlstate(const struct session *s)
{
	return s->rare->inquiry->sqlstate;
}

const struct buf *
inquiry_rows(const struct session *s)
{
	return &s->rare->inquiry->rows;
}

const struct buf *
inquiry_error(const struct session *s)
{
	return &s->rare->inquiry->error;
}

const char *
inquiry_error_field(const struct session *s, char field)
{
	const struct buf *error = &s->rare->inquiry->error;

	if (error->len <= FRAME_HEADER)
		return NULL;
	return msg_report_field(buf_data(error) + FRAME_HEADER, error->len - FRAME_HEADER, field);
}

const char *
inquiry_message(const struct session *s)
{
	const char *text = inquiry_error_field(s, 'M');

	return text ? text : "";
}

/* ---- asking ---- */

static void
begin_statement(struct session *s, enum inquiry_passes passes, unsigned options)
{
	struct inquiry *q = prepare(s);

	q->attempts = q->state == INQUIRY_CUT_SHORT ? q->attempts + 1 : 1;
	inquiry_set_state(s, INQUIRY_ASKED);
	q->passes = passes;
	q->options = options;
	q->cancelled = false;
	q->since_us = loop_now_us(s->site->loop);
	q->bytes = 0;
	q->have = 0;
	q->left = 0;
	q->sqlstate[0] = 0;
	buf_reset(&q->one);
	buf_clear(&q->behind);
	buf_clear(&q->rows);
	buf_clear(&q->error);
}

/* Sends what was made; `r` says whether it fits. */
static void
send_messages(struct session *s, struct buf *out, int r)
{
	if (r < 0)
		session_close(s, CLEANUP_CLIENT_REFUSED, "too much at once");
	else
		server_write(s->hold->lease.srv, buf_data(out), out->len);
	buf_clear(out);
}

static void
send_statement(struct session *s, const struct todo_stmt *stmt)
{
	struct buf out;

	/* Our statement replaces the server's unnamed one; the session may still use its own. */
	unnamed_not_here(s->context.unnamed);
	buf_init(&out, SEND_MAX);
	send_messages(s, &out, todo_send(stmt, &s->hold->lease.srv->progress, &out));
}

void
inquiry_ask(struct session *s, const char *sql, enum inquiry_passes passes, unsigned options)
{
	struct todo_stmt stmt = {.sql = (char *)sql};

	begin_statement(s, passes, options);
	send_statement(s, &stmt);
}

void
inquiry_ask_apart(struct session *s, const char *texts, size_t bytes, enum inquiry_passes passes)
{
	struct buf out;

	begin_statement(s, passes, 0);
	buf_init(&out, SEND_MAX);
	send_messages(s, &out, todo_send_apart(texts, bytes, &s->hold->lease.srv->progress, &out));
}

void
inquiry_run(struct session *s, const struct deferred *d, unsigned options)
{
	struct todo_stmt stmt = {
	    .sql = d->sql, .values = d->values, .nvalues = d->nvalues, .used = d->used};

	begin_statement(s, INQUIRY_PASSES_ALL, options);
	send_statement(s, &stmt);
}

/* ---- hearing ---- */

static const struct {
	bool notices, notifications, parameters;
	bool behind; /* when the answer is complete */
} passing[INQUIRY_NPASSES] = {
    [INQUIRY_PASSES_ALL] = {true, true, true, false},
    [INQUIRY_PASSES_NO_PARAMETERS] = {true, true, false, false},
    [INQUIRY_PASSES_AT_END] = {false, true, true, true},
    [INQUIRY_PASSES_NOTIFICATIONS_AT_END] = {false, true, false, true},
    [INQUIRY_PASSES_NOTHING] = {false, false, false, true},
};

bool
inquiry_passes_parameters(const struct session *s)
{
	return s->rare->inquiry == NULL || passing[s->rare->inquiry->passes].parameters;
}

static bool
is_for_client(const struct inquiry *q, char type)
{
	switch (type) {
	case 'A':
		return passing[q->passes].notifications;
	case 'N':
		return passing[q->passes].notices;
	case 'S':
		return passing[q->passes].parameters;
	default:
		return false;
	}
}

/* A message begins. */
static void
begin_message(struct inquiry *q)
{
	bool row = q->header[0] == 'D' && (q->options & INQUIRY_ROWS);
	size_t size = FRAME_HEADER + (size_t)q->left;

	if (is_for_client(q, (char)q->header[0])
		? size > PASSED_MAX
		: !row && (q->header[0] != 'E' || q->error.len > 0))
		return;
	/* If one row is too long to be kept, the others are of no use. */
	if (size > INQUIRY_KEPT_MAX)
		q->rows.failed |= row;
	else
		buf_add(&q->one, q->header, FRAME_HEADER);
}

static void
end_message(struct session *s)
{
	struct inquiry *q = s->rare->inquiry;
	struct buf *to = q->header[0] == 'E' ? &q->error : &q->rows;

	q->have = 0;
	if (q->one.len == 0)
		return;
	if (!is_for_client(q, (char)q->header[0]))
		buf_add(to, buf_data(&q->one), q->one.len);
	else if (passing[q->passes].behind)
		buf_add(&q->behind, buf_data(&q->one), q->one.len);
	else if (!heard_is_doubled(s, buf_data(&q->one), q->one.len))
		reply_send(s, buf_data(&q->one), q->one.len);
	buf_reset(&q->one);
}

static void
skim(struct session *s, const uint8_t *data, size_t bytes)
{
	struct inquiry *q = s->rare->inquiry;

	q->bytes += bytes;
	while (bytes > 0) {
		size_t n;

		if (q->have < FRAME_HEADER) {
			struct frame f;

			q->header[q->have++] = *data++;
			bytes--;
			if (q->have < FRAME_HEADER)
				continue;
			frame_read(q->header, FRAME_HEADER, &f);
			q->left = f.body;
			begin_message(q);
		} else {
			n = q->left < bytes ? q->left : bytes;
			if (q->one.len > 0)
				buf_add(&q->one, data, n);
			q->left -= (uint32_t)n;
			data += n;
			bytes -= n;
		}
		if (q->have == FRAME_HEADER && q->left == 0)
			end_message(s);
	}
}

void
inquiry_pass_half(struct session *s)
{
	const struct inquiry *q = s->rare->inquiry;

	if (q == NULL || q->have == 0 || passing[q->passes].behind ||
	    !is_for_client(q, (char)q->header[0]))
		return;
	if (q->have < FRAME_HEADER)
		reply_send(s, q->header, q->have);
	else if (q->one.len > 0)
		reply_send(s, buf_data(&q->one), q->one.len);
}

static void
pass_behind(struct session *s)
{
	const uint8_t *at = buf_data(&s->rare->inquiry->behind);
	size_t left = s->rare->inquiry->behind.len;
	struct frame f;

	while (frame_read(at, left, &f) == 0 && FRAME_HEADER + f.body <= left) {
		if (!heard_is_doubled(s, at, FRAME_HEADER + f.body))
			reply_send(s, at, FRAME_HEADER + f.body);
		at += FRAME_HEADER + f.body;
		left -= FRAME_HEADER + f.body;
	}
}

/* The server is at rest: the statement has ended. */
static void
end_statement(struct session *s)
{
	struct inquiry *q = s->rare->inquiry;

	memcpy(q->sqlstate, s->hold->lease.srv->progress.error, sizeof q->sqlstate);
	if (q->sqlstate[0] && q->error.len == 0)
		msg_report(&q->error, 'E', "ERROR", q->sqlstate,
			   "the words of the server's error are too long", NULL, NULL);
	if (q->sqlstate[0] == 0)
		inquiry_set_state(s, INQUIRY_ANSWERED);
	else if (strcmp(q->sqlstate, "57014") == 0 && (q->options & INQUIRY_AGAIN) &&
		 q->attempts < INQUIRY_ATTEMPTS)
		inquiry_set_state(s, INQUIRY_CUT_SHORT);
	else
		inquiry_set_state(s, INQUIRY_FAILED);
	pass_behind(s);
}

bool
inquiry_readable(struct session *s)
{
	struct server *srv = s->hold->lease.srv;
	const uint8_t *data;
	struct buf out;
	size_t bytes;

	if (server_read(srv, &data, &bytes) < 0)
		return false;
	prepare(s);
	skim(s, data, bytes);
	if (s->hold->lease.state != LEASE_HELD || s->rare->inquiry->state != INQUIRY_ASKED)
		return false;
	/* If the client does not read what is passed on to it, the server is not read from. */
	if (!passing[s->rare->inquiry->passes].behind && stream_is_slow(&s->stream))
		stream_pause(&srv->stream);
	if (progress_at_rest(&srv->progress)) {
		end_statement(s);
		return true;
	}
	/* A statement of ours gets no data: its COPY is failed. */
	if (srv->progress.copy == COPY_IN && !srv->progress.copy_ended) {
		buf_init(&out, 256);
		progress_finish(&srv->progress, &out);
		server_write(srv, buf_data(&out), out.len);
		buf_clear(&out);
	}
	return false;
}
