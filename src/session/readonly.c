#include "session/readonly.h"
#include "scope/stack.h"

#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "pool/gate.h"
#include "pool/pool.h"
#include "session/holds.h"
#include "session/setcalls.h"
#include "session/site.h"
#include "session/statement.h"
#include "wire/frame.h"
#include "wire/sqlclass.h"
#include "wire/sqlcommand.h"
#include "wire/sqlmodes.h"
#include "wire/sqltext.h"

#define TO(state) (1u << (state))

_Static_assert((int)READONLY_NSTATES == HOLD_READONLY, "hold_pack() knows how many there are");

static const struct {
	const char *name;
	unsigned next;
} states[READONLY_NSTATES] = {
    [READONLY_NONE] = {"none", TO(READONLY_BLOCK) | TO(READONLY_LONE)},
    [READONLY_BLOCK] = {"block", TO(READONLY_OPENING) | TO(READONLY_NONE)},
    [READONLY_OPENING] = {"opening", TO(READONLY_OPEN) | TO(READONLY_ENDING) | TO(READONLY_NONE)},
    [READONLY_OPEN] = {"open", TO(READONLY_ENDING) | TO(READONLY_NONE)},
    [READONLY_ENDING] = {"ending", TO(READONLY_OPEN) | TO(READONLY_NONE)},
    [READONLY_LONE] = {"lone", TO(READONLY_RUNNING) | TO(READONLY_NONE)},
    [READONLY_RUNNING] = {"running", TO(READONLY_NONE)},
};

/* A statement with one of these ends its transaction. */
#define ENDS (SQLCLASS_COMMIT | SQLCLASS_ROLLBACK | SQLCLASS_PREPARE_TRANSACTION)

const char *
readonly_name(enum readonly state)
{
	return states[state].name;
}

void
readonly_set(struct hold *h, enum readonly to)
{
	if (h->readonly == to)
		return;
	if (!(states[h->readonly].next & TO(to)))
		log_fatal("readonly", LOG_ALONE, "illegal move",
			  LOG_MOVE(states[h->readonly].name, states[to].name),
			  LOG_NUMBER("session", h->lease.session));
	log_debug("session", h->lease.session, "readonly",
		  LOG_MOVE(states[h->readonly].name, states[to].name));
	h->readonly = (uint8_t)to;
}

/* ---- what messages say ---- */

/* A statement, and how it comes. */
struct said {
	const char *sql; /* NULL: it is not known, or not for certain */
	size_t bytes;
	unsigned set;  /* its effects */
	bool executed; /* what comes next is that the server executes it */
};

/* Finds the message behind these bytes of the client's. Returns false if it is not here. */
static bool
next_frame(const uint8_t **at, const uint8_t *end, struct frame *f, const uint8_t **body)
{
	if (frame_read(*at, (size_t)(end - *at), f) != 0 ||
	    f->body > (size_t)(end - *at) - FRAME_HEADER)
		return false;
	*body = *at + FRAME_HEADER;
	*at += FRAME_HEADER + f->body;
	return true;
}

/* Does the body begin with an empty name, and then (NULL: that is all) this one? */
static bool
names(const uint8_t *body, size_t bytes, const char *second)
{
	return bytes > 0 && body[0] == 0 &&
	       (second == NULL ||
		(bytes - 1 > strlen(second) && memcmp(body + 1, second, strlen(second) + 1) == 0));
}

/* Is the statement of the Parse or Bind executed by the messages behind it, all of which are here?
 * They are [Describe], Bind, [Describe], Execute, by the unnamed portal. */
static bool
is_executed_next(const struct message *m)
{
	const uint8_t *at = m->body + m->bytes, *end = at + m->behind, *body;
	bool bound = m->type == 'B';
	struct frame f;

	if (!message_is_whole(m) || m->statement == NULL || (bound && *m->portal))
		return false;
	while (next_frame(&at, end, &f, &body)) {
		if (f.type == 'D')
			continue;
		if (bound)
			return f.type == 'E' && names(body, f.body, NULL);
		if (f.type != 'B' || !names(body, f.body, m->statement))
			return false;
		bound = true;
	}
	return false;
}

/* The statement that a Query, Parse or Bind is about. */
static struct said
said_by(const struct session *s, const struct message *m)
{
	struct said said = {.sql = NULL};

	switch (m->type) {
	case 'Q':
	case 'P':
		if (!message_is_well_formed(m) || m->effects.unsure)
			return said;
		said.sql = m->sql;
		said.bytes = m->sql_bytes;
		said.set = m->effects.set;
		said.executed = m->type == 'Q' || is_executed_next(m);
		break;
	case 'B':
		if (m->statement == NULL)
			return said;
		said.set = statement_bound(s, m->statement, &said.sql, &said.bytes);
		said.executed = is_executed_next(m);
		if (said.bytes == 0)
			said.sql = NULL;
		break;
	}
	/* An empty text is known, too. */
	if (m->type == 'B' && *m->statement == 0 && unnamed_has_text(s->context.unnamed) &&
	    said.bytes == 0)
		said.sql = "";
	if (said.sql && sqltext_is_ambiguous(said.sql, said.bytes))
		said.sql = NULL;
	return said;
}

/* Is the text one statement that returns rows, and begins as one that reads? If it calls a function
 * that writes, PostgreSQL refuses that in a transaction that only reads. */
static bool
reads(const struct said *said)
{
	if (said->set != 0 || !sqltext_single(said->sql, said->bytes))
		return false;
	switch (sqlcommand_of(said->sql, said->bytes, 0)) {
	case SQLCOMMAND_SELECT:
	case SQLCOMMAND_WITH:
	case SQLCOMMAND_VALUES:
	case SQLCOMMAND_TABLE:
		return true;
	default:
		return false;
	}
}

/* ---- the parameters of the session ---- */

/* Returns the value that the session has given to a parameter, up to a quote; or NULL. */
static const char *
value_of(const struct session *s, const char *name)
{
	const char *at = s->context.parameters_sql, *value = NULL;
	struct setcall c;

	while (setcalls_next(&at, &c))
		if (setcalls_is(&c, name))
			value = c.name + strlen(name) + strlen("','");
	return value;
}

static bool
is_value(const char *value, const char *text)
{
	return strncasecmp(value, text, strlen(text)) == 0 && value[strlen(text)] == '\'';
}

/* Do the session's transactions only read, if they do not say otherwise? */
static bool
reads_by_default(const struct session *s)
{
	/* As servers spell it, and as clients mostly spell it at login. */
	static const char *const texts[] = {"on", "true", "yes", "1"};
	const char *value = value_of(s, "default_transaction_read_only");

	for (size_t i = 0; value && i < sizeof texts / sizeof *texts; i++)
		if (is_value(value, texts[i]))
			return true;
	return false;
}

/* PostgreSQL refuses SERIALIZABLE on a standby. */
static bool
is_serializable(const struct session *s, const struct sqlmodes *m)
{
	const char *value = value_of(s, "default_transaction_isolation");

	return m->serializable || m->deferrable ||
	       (!m->level && value && strncasecmp(value, "serializable", 12) == 0);
}

/* ---- the choice ---- */

bool
readonly_may_go(const struct session *s, bool level, bool serializable)
{
	struct sqlmodes m = {.level = level, .serializable = serializable};

	return !is_serializable(s, &m);
}

/* Does the message begin a transaction, or statement, that says that it only reads? *stays: it
 * does, and a standby would refuse it. */
static enum readonly
declared_by(const struct session *s, const struct message *m, bool *stays)
{
	struct said said = said_by(s, m);
	struct sqlmodes modes = {.begins = false};
	bool begun = s->block.state == BLOCK_BEGUN;

	*stays = false;
	if (said.sql == NULL || (s->block.state != BLOCK_NONE && !begun))
		return READONLY_NONE;
	if (said.set == (begun ? 0 : SQLCLASS_BEGIN) &&
	    sqlmodes_read(said.sql, said.bytes, &modes) && modes.begins == !begun) {
		*stays = is_serializable(s, &modes);
		return said.executed && modes.access == SQLMODES_READ_ONLY && !modes.writes
			   ? READONLY_BLOCK
			   : READONLY_NONE;
	}
	/* The statement reads: after it, the transaction cannot be made one that writes. */
	modes = (struct sqlmodes){.begins = false};
	if (!reads(&said) || !reads_by_default(s))
		return READONLY_NONE;
	*stays = is_serializable(s, &modes);
	return begun ? READONLY_BLOCK : READONLY_LONE;
}

int64_t
readonly_stays_until(const struct session *s)
{
	int64_t wrote_us = activity_limited(&s->activity)->wrote_us,
		stay_us = s->pool->conf->read_your_writes_us;

	return wrote_us && loop_now_us(s->site->loop) - wrote_us < stay_us ? wrote_us + stay_us : 0;
}

struct pool *
readonly_other(struct session *s)
{
	struct pool *to = NULL;

	if (s->pool->reads)
		to = pools_find(&s->site->pools, s->pool->conf->read_only, s->peer.role);
	return to ? to : s->pool;
}

struct pool *
readonly_target(struct session *s)
{
	struct pool *to;

	if (readonly_stays_until(s) || s->context.mode == CONF_SESSION)
		return NULL;
	/* A server of its own pool has to judge its parameters first. */
	if (s->context.unproven || s->context.refused || s->context.wants_fresh)
		return NULL;
	to = readonly_other(s);
	if (to == s->pool)
		return NULL;
	if (s->pool->conf->read_only_fallback &&
	    (pool_is_down(to) || gate_paused(to) || gate_of(to) != POOL_ENABLED))
		return NULL;
	return to;
}

void
readonly_choose(struct session *s, const struct message *m)
{
	struct hold *h = holds_need(s);
	bool stays;

	readonly_set(h, READONLY_NONE);
	h->apart = h->wrote = h->ends_bound = false;
	if (s->hold != h || (s->rare->stack && stack_is_joinable(s->rare->stack)))
		return;
	readonly_set(h, declared_by(s, m, &stays));
	h->apart = h->readonly != READONLY_NONE && !stays && !s->context.refused_apart &&
		   readonly_target(s) != NULL;
	s->context.refused_apart = false;
}

struct pool *
readonly_pool(struct session *s)
{
	struct pool *to = s->hold == s->own && s->own->apart ? readonly_other(s) : s->pool;

	if (to == s->pool && s->hold == s->own)
		s->own->apart = false;
	return to;
}

bool
readonly_may_fall_back(const struct session *s, const struct err *e)
{
	return s->pool->conf->read_only_fallback && e->id == ERR_SERVER_UNREACHABLE;
}

bool
readonly_falls_back(struct session *s, const struct err *e)
{
	if (s->hold != s->own || !s->own->apart || !readonly_may_fall_back(s, e))
		return false;
	s->own->apart = false;
	return true;
}

bool
readonly_leaves_other(struct session *s)
{
	if (s->hold != s->own || !s->own->apart || !s->pool->conf->read_only_fallback)
		return false;
	s->context.refused_apart = true;
	return true;
}

/* ---- messages to its server ---- */

/* Is it a message of an exchange that a Sync ends? */
static bool
is_step(char type)
{
	return type == 'P' || type == 'B' || type == 'D' || type == 'E' || type == 'C';
}

/* Could it run something by itself, or prepare that? */
static bool
may_run(char type)
{
	return type == 'Q' || type == 'P' || type == 'B' || type == 'F';
}

/* The effects of the statement that a Bind names. One whose text is not known may end the
 * transaction. */
static unsigned
bound_effects(const struct session *s, const struct message *m)
{
	const char *sql;
	size_t bytes;
	unsigned set;

	if (m->statement == NULL)
		return ENDS;
	set = statement_bound(s, m->statement, &sql, &bytes);
	if (bytes > 0 || (*m->statement == 0 && unnamed_has_text(s->context.unnamed)))
		return set;
	return set | ENDS;
}

/* Does the message do, or let a later Execute do, something with one of these bits? */
static unsigned
does(const struct session *s, const struct message *m)
{
	switch (m->type) {
	case 'Q':
		/* It is not known what the rest of a long text does. */
		return m->effects.set | (message_is_whole(m) ? 0 : ENDS);
	case 'B':
		return bound_effects(s, m);
	default:
		return 0;
	}
}

bool
readonly_must_wait(struct session *s, const struct message *m)
{
	struct hold *h = s->hold;
	const struct progress *p = &h->lease.srv->progress;
	bool begun = progress_at_rest(p) && p->status != 'I';

	switch (h->readonly) {
	case READONLY_OPENING:
		if (begun)
			readonly_set(h, READONLY_OPEN);
		/* In the exchange of the BEGIN, nothing is executed if that fails. */
		return !begun && may_run(m->type) && !(is_step(m->type) && p->extended);
	case READONLY_ENDING:
		if (begun)
			readonly_set(h, READONLY_OPEN);
		return !begun && may_run(m->type);
	case READONLY_RUNNING:
		if (!may_run(m->type))
			return false;
		return !(is_step(m->type) && p->extended) || m->effects.set || does(s, m);
	default:
		return false;
	}
}

bool
readonly_divides(const struct session *s, const struct message *m)
{
	return m->type == 'Q' && (m->effects.set & ENDS) && m->sql &&
	       !sqltext_single(m->sql, m->sql_bytes);
}

unsigned
readonly_pins(const struct session *s, const struct message *m)
{
	return (m->type == 'P' ? m->effects.set : does(s, m)) & EFFECTS_PIN;
}

/* May a text with these bits, or of this command, write, or let its transaction write? Those that
 * do neither for certain: what begins or ends a transaction, and what sets parameters. */
static bool
may_write(const struct said *said)
{
	unsigned harmless = SQLCLASS_SET | SQLCLASS_SET_LOCAL | SQLCLASS_BEGIN | SQLCLASS_COMMIT |
			    SQLCLASS_ROLLBACK | SQLCLASS_SAVEPOINT | SQLCLASS_DISCARD_ALL |
			    SQLCLASS_DEALLOCATE | SQLCLASS_LISTEN | SQLCLASS_UNLISTEN;

	if (said->sql == NULL || (said->set & ~harmless))
		return true;
	if (!sqltext_single(said->sql, said->bytes))
		return true;
	switch (sqlcommand_of(said->sql, said->bytes, 0)) {
	case SQLCOMMAND_NONE: /* an empty text */
	case SQLCOMMAND_BEGIN:
	case SQLCOMMAND_START:
	case SQLCOMMAND_COMMIT:
	case SQLCOMMAND_END:
	case SQLCOMMAND_ROLLBACK:
	case SQLCOMMAND_ABORT:
	case SQLCOMMAND_SAVEPOINT:
	case SQLCOMMAND_RELEASE:
	case SQLCOMMAND_SET:
	case SQLCOMMAND_RESET:
	case SQLCOMMAND_SHOW:
	case SQLCOMMAND_DISCARD:
	case SQLCOMMAND_DEALLOCATE:
	case SQLCOMMAND_LISTEN:
	case SQLCOMMAND_UNLISTEN:
		return false;
	default:
		return true;
	}
}

/* May the statement make its transaction one that writes? */
static bool
may_change_modes(const struct said *said)
{
	struct sqlmodes modes;

	/* The Bind of its own BEGIN, or what leaves it as it is. */
	if (said->sql && sqlmodes_read(said->sql, said->bytes, &modes) && !modes.writes)
		return false;
	return said->sql == NULL || (said->set & ~(unsigned)SQLCLASS_SAVEPOINT) != 0 ||
	       !sqltext_single(said->sql, said->bytes) ||
	       sqlcommand_of(said->sql, said->bytes, 0) == SQLCOMMAND_SET;
}

void
readonly_note_write(struct session *s)
{
	if (!s->hold->wrote)
		log_debug("session", s->id, "may write", LOG_TEXT("pool", s->pool->conf->name));
	s->hold->wrote = true;
	activity_limit(&s->activity)->wrote_us = loop_now_us(s->site->loop);
}

void
readonly_entered(struct session *s)
{
	struct hold *h = s->hold;

	readonly_set(h, READONLY_NONE);
	readonly_set(h, READONLY_BLOCK);
	readonly_set(h, READONLY_OPENING);
}

/* A message has gone to a server of the session's pool, or of a scope. */
static void
sent_here(struct session *s, const struct message *m)
{
	struct hold *h = s->hold;
	bool open = h->readonly == READONLY_OPENING || h->readonly == READONLY_OPEN ||
		    h->readonly == READONLY_RUNNING;
	struct said said;

	/* A Parse does nothing before its Bind. */
	if (!may_run(m->type) || m->type == 'P')
		return;
	said = said_by(s, m);
	if (open && may_change_modes(&said))
		readonly_set(h, (does(s, m) & ENDS) && h->readonly != READONLY_RUNNING
				    ? READONLY_ENDING
				    : READONLY_NONE);
	else if (open)
		return;
	if (may_write(&said))
		readonly_note_write(s);
}

/* A message has gone to a server of the other pool. */
static void
sent_there(struct session *s, const struct message *m)
{
	struct hold *h = s->hold;
	bool ends = (does(s, m) & ENDS) != 0;

	/* Messages that take the place of the unnamed portal. */
	if (m->type == 'Q')
		h->ends_bound = false;
	else if (m->type == 'B' && (m->portal == NULL || *m->portal == 0))
		h->ends_bound = ends;
	/* A portal may be executed long after it was bound. */
	else if (m->type == 'E')
		ends = h->ends_bound || m->portal == NULL || *m->portal;
	if (ends && (h->readonly == READONLY_OPENING || h->readonly == READONLY_OPEN))
		readonly_set(h, READONLY_ENDING);
}

/* Is the server of session->hold one of the pool that transactions go to which only read? */
static bool
is_there(const struct session *s)
{
	return strcmp(s->hold->lease.pool->conf->name, s->pool->conf->read_only) == 0;
}

void
readonly_sent(struct session *s, const struct message *m)
{
	struct hold *h = s->hold;
	bool first = h->readonly == READONLY_BLOCK || h->readonly == READONLY_LONE;

	if (h == s->own && first) {
		readonly_set(h,
			     h->readonly == READONLY_BLOCK ? READONLY_OPENING : READONLY_RUNNING);
		return;
	}
	if (h == s->own && h->apart)
		sent_there(s, m);
	else if (!is_there(s))
		sent_here(s, m);
}

void
readonly_over(struct session *s, struct hold *h)
{
	if (h->readonly == READONLY_NONE)
		return;
	if (h->apart)
		s->pool->stats.reads_apart++;
	else
		s->pool->stats.reads_kept++;
	readonly_set(h, READONLY_NONE);
}

void
readonly_redo(struct session *s)
{
	struct hold *h = s->hold;
	enum readonly to = h->readonly == READONLY_NONE      ? READONLY_NONE
			   : h->readonly == READONLY_RUNNING ? READONLY_LONE
							     : READONLY_BLOCK;

	readonly_set(h, READONLY_NONE);
	readonly_set(h, to);
}

void
readonly_returned(struct session *s, struct hold *h)
{
	readonly_over(s, h);
	if (h->wrote)
		activity_limit(&s->activity)->wrote_us = loop_now_us(s->site->loop);
	/* What would pin the session there was refused, or is discarded. */
	if (h->apart)
		h->pinned = 0;
	h->apart = h->wrote = h->ends_bound = false;
}
