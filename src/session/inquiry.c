#include "session/inquiry.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "pool/pool.h"
#include "pool/server.h"
#include "session/end.h"
#include "session/reply.h"
#include "wire/frame.h"
#include "wire/msg.h"

void
inquiry_ask(struct session *s, enum session_state state, const char *sql)
{
	struct server *srv = s->hold->lease.srv;
	struct buf out;

	session_set_state(s, state);
	stream_pause(&s->stream);
	s->answer = mem_alloc(sizeof *s->answer);
	buf_init(s->answer, INQUIRY_ANSWER_MAX);
	buf_init(&out, 2 * INQUIRY_ANSWER_MAX);
	progress_forget_error(&srv->progress);
	/* Any Query destroys the server's unnamed statement. The session's may be used again. */
	s->context.unnamed.here = false;
	msg_query(&out, sql);
	progress_sent(&srv->progress, 'Q');
	server_write(srv, buf_data(&out), out.len);
	buf_clear(&out);
}

void
inquiry_pass_on(struct session *s)
{
	const uint8_t *at = buf_data(s->answer);
	size_t left = s->answer->len;
	struct frame f;

	while (frame_read(at, left, &f) == 0 && FRAME_HEADER + f.body <= left) {
		if (f.type == 'A' || (f.type == 'S' && s->state != SESSION_SETUP))
			reply_send(s, at, FRAME_HEADER + f.body);
		at += FRAME_HEADER + f.body;
		left -= FRAME_HEADER + f.body;
	}
}

const uint8_t *
inquiry_error(const struct session *s, size_t *bytes)
{
	const uint8_t *at = buf_data(s->answer);
	size_t left = s->answer->len;
	struct frame f;

	while (frame_read(at, left, &f) == 0 && FRAME_HEADER + f.body <= left) {
		if (f.type == 'E') {
			*bytes = f.body;
			return at + FRAME_HEADER;
		}
		at += FRAME_HEADER + f.body;
		left -= FRAME_HEADER + f.body;
	}
	return NULL;
}

void
inquiry_forget(struct session *s)
{
	buf_clear(s->answer);
	free(s->answer);
	s->answer = NULL;
}

void
inquiry_fail(struct session *s, const char *why)
{
	struct err e;

	err_make(&e, ERR_SETUP_FAILED, s->pool->conf->name, why);
	session_fail(s, &e);
	err_clear(&e);
}
