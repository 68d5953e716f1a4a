#include "session/notifying.h"

#include <string.h>

#include "pool/keeper.h"
#include "pool/pool.h"
#include "session/channels.h"
#include "session/end.h"
#include "session/heard.h"
#include "session/kept.h"
#include "session/marking.h"
#include "session/reply.h"
#include "session/scopes.h"
#include "session/script.h"
#include "session/site.h"
#include "wire/msg.h"

#define READY_SIZE 6 /* bytes of a ReadyForQuery */

/* May the client get notifications now: is it outside of a transaction, between messages? */
static bool
may_give(const struct session *s)
{
	const struct progress *p;

	if (stream_is_slow(&s->stream) || (s->rare->stack && scopes_open(s)) ||
	    s->block.state != BLOCK_NONE || script_pending(s))
		return false;
	switch (s->state) {
	case SESSION_IDLE:
	case SESSION_WAITING:
		return true;
	case SESSION_ACTIVE:
		p = &s->hold->lease.srv->progress;
		return progress_at_rest(p) && p->status == 'I' && !p->extended;
	default:
		return false;
	}
}

/* Does anything wait for the client? */
static bool
is_kept(const struct session *s)
{
	const struct listening *li = s->rare->listening;

	return li->kept.len > 0 || li->converted.len > 0;
}

static void
give(struct session *s)
{
	struct listening *li = s->rare->listening;

	while (is_kept(s) && may_give(s)) {
		const char *other = kept_other_encoding(s);
		struct buf *from = li->converted.len > 0 ? &li->converted : &li->kept;
		size_t n = kept_portion(from, other && from == &li->kept);

		if (n == 0) {
			kept_convert(s, other);
			return;
		}
		s->pool->stats.sent += n;
		reply_send(s, buf_data(from), n);
		buf_drop(from, n);
	}
	kept_count(s);
}

/* The session listens, and has to end. */
static bool
must_end(struct session *s)
{
	struct listening *li = s->rare->listening;
	struct err e;

	if (session_gone(s) || (li->lost == NULL && !li->overflown))
		return false;
	if (li->lost)
		err_make(&e, ERR_LISTEN_LOST, s->pool->conf->name, li->lost);
	else
		err_make(&e, ERR_LISTEN_SLOW,
			 li->in_the_way ? (unsigned)(s->site->conf->listen_memory / 1024 / 1024)
					: KEPT_MAX / 1024 / 1024);
	if (li->in_the_way)
		err_detail(&e, "Those of all sessions are more than listen_memory, and this one "
			       "has kept the most.");
	session_fail(s, &e);
	err_clear(&e);
	return true;
}

/* Is the ReadyForQuery that comes now one behind which notifications may be given, or one that
 * waits for the mark? */
static bool
must_keep_ready(const struct session *s)
{
	const struct listening *li = s->rare->listening;

	if (s->state == SESSION_ACTIVE && progress_at_rest(&s->hold->lease.srv->progress) &&
	    marking_is_due(s))
		return true;
	return (li->listener.listens > 0 || li->state == LISTENING_PASSED) && may_give(s);
}

/* The status in the ReadyForQuery that is kept back. */
static char
ready_status(const struct session *s)
{
	return s->state == SESSION_ACTIVE ? s->hold->lease.srv->progress.status : 'I';
}

static void
owe_ready(struct session *s)
{
	s->rare->listening->owes_ready = true;
	s->rare->listening->synced = false;
	session_wake(s);
}

void
notifying_reply(struct session *s, const struct reword_from *from, const uint8_t *data,
		size_t bytes)
{
	if (heard_send(s, from, data, bytes, must_keep_ready(s)))
		owe_ready(s);
}

size_t
notifying_reworded(struct session *s, const uint8_t *data, size_t bytes)
{
	const uint8_t ready[READY_SIZE] = {'Z', 0, 0, 0, 5, (uint8_t)ready_status(s)};

	heard_flush(s);
	if (!must_keep_ready(s) || bytes < READY_SIZE ||
	    memcmp(data + bytes - READY_SIZE, ready, READY_SIZE) != 0)
		return bytes;
	owe_ready(s);
	return bytes - READY_SIZE;
}

/* PostgreSQL gives a session what was committed before the end of its own transaction, by itself
 * too, ahead of the ReadyForQuery. So that is kept back until the keeper has come as far. In a
 * transaction, it has waited for the mark only. */
static void
give_ready(struct session *s)
{
	struct listening *li = s->rare->listening;
	char status = ready_status(s);
	struct buf out;

	if (li->state >= LISTENING_PASSED ||
	    (s->state != SESSION_IDLE && s->state != SESSION_ACTIVE) || li->listener.syncing)
		return;
	if (status == 'I' && !li->synced && li->listener.listens > 0) {
		keeper_sync(&li->listener);
		return;
	}
	give(s);
	/* A client that is slow gets the rest of them when it has taken these. */
	if (li->listener.converting || session_gone(s) ||
	    (status == 'I' && is_kept(s) && stream_is_slow(&s->stream)))
		return;
	li->owes_ready = false;
	buf_init(&out, READY_SIZE);
	msg_ready(&out, status);
	reply_send_buf(s, &out);
	buf_clear(&out);
	stream_resume(&s->stream);
	session_wake(s);
}

void
notifying_turn(struct session *s)
{
	kept_count(s);
	if (must_end(s))
		return;
	if (s->rare->listening->owes_ready)
		give_ready(s);
	else
		give(s);
	if (s->rare->listening->gives_first && !session_gone(s) && !is_kept(s)) {
		s->rare->listening->gives_first = false;
		stream_resume(&s->stream);
		session_wake(s);
	}
	/* From here on its messages go the quick way again. */
	if (s->state == SESSION_IDLE && channels_unused(s))
		channels_free(s);
}

bool
notifying_owes(const struct session *s)
{
	return s->rare->listening && s->rare->listening->owes_ready;
}

bool
notifying_waits(struct session *s)
{
	give(s);
	return !session_gone(s) && is_kept(s) &&
	       (s->rare->listening->listener.converting || stream_is_slow(&s->stream));
}
