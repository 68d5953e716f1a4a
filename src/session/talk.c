#include "session/talk.h"

#include <stdlib.h>
#include <string.h>

#include "pool/pool.h"
#include "pool/todo.h"
#include "session/effects.h"
#include "session/end.h"
#include "session/reply.h"
#include "session/scopes.h"
#include "session/sequences.h"
#include "session/site.h"
#include "wire/frame.h"
#include "wire/msg.h"

#define ONE_MAX  (64 * 1024)   /* bytes of a message that is passed on or kept */
#define KEPT_MAX (1024 * 1024) /* bytes of an answer with its rows */
#define SEND_MAX (16 * 1024 * 1024)

void
talk_init(struct talk *t)
{
	memset(t, 0, sizeof *t);
	buf_init(&t->one, ONE_MAX);
	buf_init(&t->kept, KEPT_MAX);
	buf_init(&t->error, ONE_MAX);
}

void
talk_clear(struct talk *t)
{
	buf_clear(&t->one);
	buf_clear(&t->kept);
	buf_clear(&t->error);
}

/* ---- sending ---- */

static void
begin(struct session *s, bool keep_rows)
{
	struct talk *t = &s->scopes->talk;

	t->busy = true;
	t->ended = t->cancelled = t->setup = false;
	t->keep_rows = keep_rows;
	t->have = 0;
	t->left = 0;
	t->since_us = loop_now_us(s->site->loop);
	buf_clear(&t->kept);
	buf_clear(&t->error);
	buf_reset(&t->one);
	progress_forget_error(&s->hold->lease.srv->progress);
	/* The server's unnamed statement is gone; the session's may be used again. */
	s->context.unnamed.here = false;
}

static void
send_todo(struct session *s, const struct todo_stmt *stmt)
{
	struct server *srv = s->hold->lease.srv;
	struct buf out;

	buf_init(&out, SEND_MAX);
	todo_send(stmt, &srv->progress, &out);
	if (out.failed)
		session_close(s, CLEANUP_CLIENT_REFUSED, "too much at once");
	else
		server_write(srv, buf_data(&out), out.len);
	buf_clear(&out);
}

void
talk_query(struct session *s, const char *sql)
{
	struct todo_stmt stmt = {.sql = (char *)sql};

	begin(s, false);
	send_todo(s, &stmt);
}

void
talk_ask(struct session *s, const char *sql)
{
	struct todo_stmt stmt = {.sql = (char *)sql};

	begin(s, true);
	send_todo(s, &stmt);
}

void
talk_statement(struct session *s, const struct deferred *d)
{
	struct todo_stmt stmt = {
	    .sql = d->sql, .values = d->values, .nvalues = d->nvalues, .used = d->used};
	unsigned set;

	/* It may set parameters, or make what pins, as a statement of the client's may. */
	set = effects_of_deferred(s, d->sql);
	effects_take(s, set & ~SQLMENTION_SEQUENCE, NULL, 0, false);
	begin(s, false);
	/* As ahead of a statement of the client's. */
	sequences_mind(s, set);
	batch_flush(s);
	send_todo(s, &stmt);
}

/* ---- hearing ---- */

static bool
wanted(const struct talk *t, char type)
{
	return t->keep_rows || type == 'A' || type == 'N' || type == 'S' ||
	       (type == 'E' && t->error.len == 0);
}

static void
whole_message(struct session *s)
{
	struct talk *t = &s->scopes->talk;

	/* What is not kept whole is as good as nothing. */
	if (t->one.failed && t->keep_rows)
		t->kept.failed = true;
	if (!t->one.failed && t->one.len > 0) {
		if (t->header[0] == 'E' && t->error.len == 0)
			buf_add(&t->error, buf_data(&t->one), t->one.len);
		if (t->header[0] == 'A' || t->header[0] == 'N' ||
		    (t->header[0] == 'S' && !t->setup))
			reply_send(s, buf_data(&t->one), t->one.len);
		else if (t->keep_rows)
			buf_add(&t->kept, buf_data(&t->one), t->one.len);
	}
	buf_reset(&t->one);
	t->have = 0;
}

static void
skim(struct session *s, const uint8_t *data, size_t bytes)
{
	struct talk *t = &s->scopes->talk;

	while (bytes > 0) {
		size_t n;

		if (t->have < FRAME_HEADER) {
			struct frame f;

			t->header[t->have++] = *data++;
			bytes--;
			if (t->have < FRAME_HEADER)
				continue;
			frame_read(t->header, FRAME_HEADER, &f);
			t->left = f.body;
			if (wanted(t, f.type))
				buf_add(&t->one, t->header, FRAME_HEADER);
		} else {
			n = t->left < bytes ? t->left : bytes;
			if (t->one.len > 0)
				buf_add(&t->one, data, n);
			t->left -= (uint32_t)n;
			data += n;
			bytes -= n;
		}
		if (t->have == FRAME_HEADER && t->left == 0)
			whole_message(s);
	}
}

bool
talk_readable(struct session *s)
{
	struct talk *t = &s->scopes->talk;
	struct server *srv = s->hold->lease.srv;
	const uint8_t *data;
	struct buf out;
	size_t bytes;

	if (server_read(srv, &data, &bytes) < 0)
		return false;
	skim(s, data, bytes);
	if (s->hold->lease.state != LEASE_HELD || !t->busy)
		return false;
	/* Notices, and nobody takes them. */
	if (stream_queued(&s->stream) > 0)
		stream_pause(&srv->stream);
	if (progress_at_rest(&srv->progress)) {
		lease_note_own_ready(&s->hold->lease, t->since_us);
		t->busy = false;
		t->ended = true;
		return true;
	}
	/* A statement of a scope cannot read from the client. */
	if (srv->progress.copy == COPY_IN && !srv->progress.copy_ended) {
		buf_init(&out, 256);
		progress_finish(&srv->progress, &out);
		server_write(srv, buf_data(&out), out.len);
		buf_clear(&out);
	}
	return false;
}

bool
talk_failed(const struct session *s)
{
	return s->hold->lease.srv->progress.error[0] != 0;
}

const char *
talk_message(const struct session *s)
{
	const struct buf *error = &s->scopes->talk.error;
	const char *text = NULL;

	if (error->len > FRAME_HEADER)
		text = msg_report_field(buf_data(error) + FRAME_HEADER, error->len - FRAME_HEADER,
					'M');
	return text ? text : "";
}
