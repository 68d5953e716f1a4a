#include "session/reply.h"

#include "base/log.h"
#include "base/logvalue.h"
#include "pool/pool.h"
#include "session/end.h"
#include "session/scopes.h"
#include "session/script.h"
#include "session/session.h"
#include "session/site.h"
#include "wire/msg.h"

void
reply_send(struct session *s, const void *data, size_t bytes)
{
	/* The client is gone, and its scopes are being ended. */
	if (s->stream.fd < 0)
		return;
	if (stream_write(&s->stream, data, bytes) < 0)
		session_close(s, CLEANUP_CLIENT_REFUSED, "it does not read what it asked for");
}

void
reply_send_buf(struct session *s, const struct buf *b)
{
	if (b->failed)
		session_close(s, CLEANUP_CLIENT_REFUSED, "the answer is too long");
	else
		reply_send(s, buf_data(b), b->len);
}

void
reply_ready(struct session *s, struct buf *out)
{
	msg_ready(out, scopes_status(s));
	s->activity.queries++;
	if (s->pool)
		s->pool->stats.queries++;
}

void
reply_log_error(const struct session *s, const struct err *e)
{
	if (s->site->conf->log_pooler_errors)
		log_info_often(
		    "session", s->id, "error", LOG_TEXT("pool", s->pool ? s->pool->conf->name : ""),
		    LOG_TEXT("role", s->peer.role ? s->peer.role : ""),
		    LOG_NUMBER("pid", s->peer.pid), LOG_TEXT("sqlstate", e->sqlstate),
		    LOG_TEXT("kind", err_kind(e->id)->name), LOG_QUOTED("why", e->message));
}

void
reply_refuse(struct session *s, char type, const struct err *e)
{
	struct buf out;

	reply_log_error(s, e);
	buf_init(&out, REPLY_ERROR_MAX);
	script_drop(s);
	msg_err(&out, e);
	site_count_error(s->site, e);
	/* An error in a transaction whose BEGIN was answered here: the transaction has failed. */
	if (s->block.state == BLOCK_BEGUN)
		block_set_state(&s->block, s->id, BLOCK_FAILED);
	if (type == 'Q' || type == 'F')
		reply_ready(s, &out);
	else
		s->extended.skip_sync = true;
	reply_send_buf(s, &out);
	buf_clear(&out);
}

void
reply_notice(struct session *s, const char *severity, const struct err *e)
{
	struct buf out;

	buf_init(&out, REPLY_ERROR_MAX);
	msg_notice(&out, severity, e);
	site_count_error(s->site, e);
	reply_send_buf(s, &out);
	buf_clear(&out);
}

enum verdict
reply_refuse_message(struct session *s, char type, struct err *e)
{
	reply_refuse(s, type, e);
	err_clear(e);
	return session_gone(s) ? OVER : DROP;
}
