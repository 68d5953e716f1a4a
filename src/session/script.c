#include "session/script.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/pack.h"
#include "pool/pool.h"
#include "wire/sqltext.h"

#define TO(state) (1u << (state))

static const struct {
	const char *name;
	unsigned next;
} states[SCRIPT_NSTATES] = {
    [SCRIPT_EMPTY] = {"empty", TO(SCRIPT_NEXT)},
    [SCRIPT_NEXT] = {"next", TO(SCRIPT_SENT) | TO(SCRIPT_EMPTY)},
    [SCRIPT_SENT] = {"sent", TO(SCRIPT_NEXT) | TO(SCRIPT_FAILED) | TO(SCRIPT_EMPTY)},
    [SCRIPT_FAILED] = {"failed", TO(SCRIPT_EMPTY)},
};

const char *
script_state_name(enum script_state state)
{
	return states[state].name;
}

void
script_prepare(struct session *s)
{
	if (s->rare->script)
		return;
	session_rare(s)->script = mem_calloc(1, sizeof *s->rare->script);
	buf_init(&s->rare->script->text, SESSION_WHOLE_MAX);
}

void
script_free(struct session *s)
{
	if (s->rare->script == NULL)
		return;
	buf_clear(&s->rare->script->text);
	free(s->rare->script);
	s->rare->script = NULL;
}

static void
script_set_state(const struct session *s, enum script_state to)
{
	struct script *sp = s->rare->script;

	if (!(states[sp->state].next & TO(to)))
		log_fatal("session", s->id, "illegal move of a script",
			  LOG_MOVE(states[sp->state].name, states[to].name));
	log_debug("session", s->id, "script", LOG_MOVE(states[sp->state].name, states[to].name));
	sp->state = to;
}

bool
script_pending(const struct session *s)
{
	return s->rare->script && s->rare->script->state != SCRIPT_EMPTY;
}

bool
script_more(const struct session *s)
{
	const struct script *sp = s->rare->script;

	return sp && sp->text.len > sp->part_bytes;
}

bool
script_judging(const struct session *s)
{
	return s->rare->script->part_bytes > 0;
}

bool
script_waiting(const struct session *s)
{
	return s->rare->script && s->rare->script->state == SCRIPT_NEXT;
}

void
script_start(struct session *s, const char *sql, size_t bytes)
{
	struct script *sp = s->rare->script;

	script_set_state(s, SCRIPT_NEXT);
	buf_add(&sp->text, sql, bytes);
	sp->chars = 0;
}

void
script_sent(struct session *s)
{
	script_set_state(s, SCRIPT_SENT);
}

void
script_query_sent(struct session *s)
{
	struct progress *p = &s->hold->lease.srv->progress;

	if (!script_more(s)) {
		progress_sent(p, 'Q');
		return;
	}
	progress_forget_error(p);
	progress_sent_part(p);
	script_sent(s);
}

void
script_note_error(struct session *s)
{
	if (s->rare->script && s->rare->script->state == SCRIPT_SENT)
		script_set_state(s, SCRIPT_FAILED);
}

bool
script_done(struct session *s)
{
	struct script *sp = s->rare->script;
	bool good = sp->state == SCRIPT_SENT;

	if (!good)
		buf_reset(&sp->text);
	script_set_state(s, sp->text.len > 0 ? SCRIPT_NEXT : SCRIPT_EMPTY);
	return good;
}

void
script_judged(struct session *s, bool done)
{
	struct script *sp = s->rare->script;
	size_t bytes = sp->part_bytes;

	sp->part_bytes = 0;
	/* Without a text, an error has dropped it meanwhile. */
	if (!done || sp->text.len == 0)
		return;
	sp->chars += sqltext_characters((char *)buf_data(&sp->text), bytes, sp->lexing);
	buf_drop(&sp->text, bytes);
	if (sp->state == SCRIPT_NEXT && sp->text.len == 0)
		script_set_state(s, SCRIPT_EMPTY);
}

void
script_drop(struct session *s)
{
	if (s->rare->script == NULL)
		return;
	buf_reset(&s->rare->script->text);
	if (s->rare->script->state == SCRIPT_NEXT)
		script_set_state(s, SCRIPT_EMPTY);
}

void
script_pack(struct pack *p, struct session *s)
{
	bool there = s->rare->script != NULL;
	struct script *sp;

	PACK(p, there);
	if (!there)
		return;
	script_prepare(s);
	sp = s->rare->script;
	PACK(p, sp->state);
	pack_buf(p, &sp->text);
	PACK(p, sp->chars);
	PACK(p, sp->lexing);
	if (pack_reading(p) &&
	    (sp->state >= SCRIPT_NSTATES || (sp->state == SCRIPT_NEXT && sp->text.len == 0)))
		p->failed = true;
}
