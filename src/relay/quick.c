#include "relay/quick.h"

#include "pool/pool.h"
#include "session/doing.h"
#include "session/resets.h"
#include "session/site.h"
#include "session/standin.h"
#include "session/statement.h"
#include "wire/frame.h"

bool
quick_is_plain(const struct session *s)
{
	const struct rare *r = s->rare;

	if (r != &rare_none && (r->stack || r->slow || r->listening))
		return false;
	return s->context.resets == RESETS_NONE && !s->context.resets_failed &&
	       s->block.state == BLOCK_NONE && !s->extended.skip_sync &&
	       !(s->hold->pinned & HOLD_PIN_MODE) && !s->pool->reads && !s->hold->apart;
}

/* Is it a Parse of the unnamed statement's own text, does that do nothing to the session, and must
 * the server carry it out? */
static bool
is_repeated(const struct session *s, const uint8_t *body, size_t bytes)
{
	return !standin_may_answer(s) && unnamed_is_same(s->context.unnamed, body, bytes) &&
	       !unnamed_has_effects(s->context.unnamed);
}

bool
quick_opens(const struct session *s, const struct message *m)
{
	/* With a Sync behind it, statement_adopted() may answer it. */
	return m->type == 'P' && message_is_whole(m) && m->next != 'S' &&
	       is_repeated(s, m->body, m->bytes) && quick_is_plain(s);
}

/* Does the server have the unnamed statement, which the Bind names, and does that do nothing to the
 * session? */
static bool
binds_freely(const struct session *s, const struct server *srv, const uint8_t *body, size_t bytes)
{
	return bytes >= 2 && body[0] == 0 && body[1] == 0 && unnamed_is_here(s->context.unnamed) &&
	       !unnamed_has_effects(s->context.unnamed) && srv->prepared.tracked.once == 0 &&
	       !unnamed_in_doubt(s->context.unnamed, &srv->prepared.tracked, &srv->progress);
}

/* The messages that are passed may have to be done again: is it one that must be judged then? A
 * Parse, or a Bind, may be answered by another statement. */
static bool
is_judged(char type)
{
	return type == 'P' || type == 'B';
}

/* Tells progress of the messages that were passed since the last time. */
static void
tell_progress(struct progress *p, uint32_t *extended)
{
	progress_sent_extended(p, *extended);
	*extended = 0;
}

/* Passes one message. Returns false if it must be judged. */
static bool
pass_message(struct session *s, char type, const uint8_t *body, size_t bytes, char next,
	     uint32_t *extended)
{
	struct server *srv = s->hold->lease.srv;

	switch (type) {
	case 'P':
		if (!is_repeated(s, body, bytes) || statement_is_left(next))
			return false;
		tell_progress(&srv->progress, extended);
		unnamed_again(s->context.unnamed, &srv->prepared.tracked, &srv->progress);
		return true;
	case 'B':
		if (!binds_freely(s, srv, body, bytes))
			return false;
		progress_note(&srv->progress, PROGRESS_WORKS);
		doing_note_unnamed(s->hold);
		break;
	case 'D':
	case 'C':
		/* Of portals nothing is kept, so these pass. */
		if (bytes == 0 || body[0] != 'P')
			return false;
		break;
	case 'E':
		break;
	case 'S':
		if (bytes > 0)
			return false;
		tell_progress(&srv->progress, extended);
		progress_sent(&srv->progress, 'S');
		return true;
	default:
		return false;
	}
	++*extended;
	return true;
}

/* A message that needs an answer goes to the server. */
static void
note_request(struct session *s, bool first)
{
	int64_t now = loop_now_us(s->site->loop);

	if (first)
		s->activity.request_us = now;
	lease_asks(&s->hold->lease, now);
}

/* Is it certain that the server reads what it is sent now? */
static bool
is_read(const struct progress *p)
{
	return !p->skipping && p->copy == COPY_NONE;
}

/* Does the server owe the client no answer? */
static bool
is_first(const struct progress *p)
{
	return p->ready_due == p->own_syncs;
}

bool
quick_judge_parse_(struct session *s, struct message *m, enum verdict *v)
{
	struct progress *p;
	bool told;

	if (!standin_knows(s, m) || statement_is_left(m->next) || !quick_is_plain(s))
		return false;
	if (s->state == SESSION_ACTIVE) {
		p = &s->hold->lease.srv->progress;
		if (!is_read(p) || progress_full(p))
			return false;
	} else if (s->state != SESSION_IDLE) {
		return false;
	}
	m->statement = (const char *)m->body;
	m->effects.lasting = true;
	if (s->state == SESSION_IDLE) {
		s->context.probes = false;
		*v = judge_need_server(s, m);
		if (*v != FORWARD)
			return true;
		if (!quick_is_plain(s))
			return false;
	}
	p = &s->hold->lease.srv->progress;
	note_request(s, is_first(p));
	/* The Bind behind it may go with it: standin_parse(). */
	doing_note_unnamed(s->hold);
	*v = statement_unnamed(s, m, &told);
	return true;
}

size_t
quick_pass(struct session *s, const uint8_t *data, size_t bytes)
{
	struct progress *p = &s->hold->lease.srv->progress;
	bool first = is_first(p), keeps = standin_keeps(s);
	uint32_t extended = 0;
	size_t at = 0;
	struct frame f;

	if (!quick_is_plain(s) || !is_read(p))
		return 0;
	while (!progress_full(p) && frame_read(data + at, bytes - at, &f) == 0 &&
	       bytes - at - FRAME_HEADER >= f.body) {
		size_t end = at + FRAME_HEADER + f.body;

		if ((keeps && is_judged(f.type)) ||
		    !pass_message(s, f.type, data + at + FRAME_HEADER, f.body,
				  end < bytes ? (char)data[end] : 0, &extended))
			break;
		at = end;
		/* What stands behind the Sync waits: standin_holds(). */
		if (keeps && f.type == 'S')
			break;
	}
	tell_progress(p, &extended);
	if (at > 0)
		note_request(s, first);
	return at;
}
