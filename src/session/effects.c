#include "session/effects.h"

#include <string.h>

#include "pool/pool.h"
#include "session/channels.h"
#include "session/control.h"
#include "session/deallocate.h"
#include "session/lexing.h"
#include "session/message.h"
#include "session/resets.h"
#include "session/sequences.h"
#include "session/session.h"
#include "session/unlisted.h"
#include "wire/sqltext.h"
#include "wire/sqlusual.h"

/* Texts with these bits may set parameters. */
#define SETS                                                                          \
	(SQLCLASS_SET | SQLCLASS_SETCONFIG | SQLCLASS_DISCARD_ALL | SQLCLASS_OPAQUE | \
	 SQLCLASS_UNSURE)
/* The same, and the names of the parameters can be read in the text. */
#define NAMES (SQLCLASS_SET | SQLCLASS_SETCONFIG | SQLCLASS_OPAQUE)
/* After these, the server is asked what pins the session. It may be less than the text says,
 * because the statement fails or its effect ends with the transaction (ON COMMIT DROP); or more. */
#define PINS_DOUBTFULLY                                                                \
	(HOLD_PINS_ASKED | SQLCLASS_DISCARD_TEMP | SQLCLASS_OPAQUE | SQLCLASS_CREATE | \
	 SQLCLASS_UNSURE)
/* After these, less may pin the session than before. */
#define UNPINS (SQLCLASS_UNDO | SQLCLASS_UNLISTEN | SQLCLASS_DEALLOCATE | SQLCLASS_DISCARD_ALL)
/* Texts that are answered here, or refused. */
#define ANSWERED_HERE                                                            \
	(SQLCLASS_SCOPE | SQLCLASS_BEGIN | SQLCLASS_COMMIT | SQLCLASS_ROLLBACK | \
	 SQLCLASS_SAVEPOINT | SQLCLASS_PREPARE_TRANSACTION)

_Static_assert(1ull << SQLCLASS_N <= SQLMENTION_TEMP_BUFFERS, "two kinds of bits in one set");

/* ---- what a text does ---- */

struct readings {
	const char *sql;
	size_t bytes;
	unsigned any, all; /* bits of any, and of all of them */
};

static bool
add_reading(void *arg, unsigned flags)
{
	struct readings *r = arg;
	unsigned set = sqlclass_flags(r->sql, r->bytes, flags);

	r->any |= set;
	r->all &= set;
	return true;
}

/* It is not certain how the server reads the text: takes the bits of all readings together. */
static void
read_each(const char *sql, size_t bytes, struct effects *does)
{
	struct readings r = {.sql = sql, .bytes = bytes, .all = ~0u};

	lexing_each(add_reading, &r);
	does->set = r.any;
	does->unsure = true;
	if (r.any == r.all)
		return;
	does->set &= ~(unsigned)(SQLCLASS_SCOPE & ~r.all);
	does->set |= SQLCLASS_OPAQUE;
}

void
effects_of(const struct session *s, const char *sql, size_t bytes, struct effects *does)
{
	bool certain;

	*does = (struct effects){0};
	if (sqlusual_select(sql, bytes)) {
		does->lasting = does->single = true;
		return;
	}
	if ((does->set = sqlclass_lone_word(sql, bytes)) != 0) {
		does->lasting = does->single = true;
		return;
	}
	if (!sqltext_is_ambiguous(sql, bytes)) {
		/* Mostly the text can be read in one way only. */
		does->lasting = true;
		does->set = sqlclass_single(sql, bytes, 0, &does->single);
	} else {
		does->lexing = lexing_flags(s, &certain);
		if (certain)
			does->set = sqlclass_single(sql, bytes, does->lexing, &does->single);
		else
			read_each(sql, bytes, does);
	}
	does->set |= sqlmention(sql, bytes);
}

/* Returns the bits of a FunctionCall. The oids are from PostgreSQL 15, pg_proc.dat. Drivers call
 * the functions for large objects in this way, and these change no state. Any other function may do
 * anything. */
static unsigned
effects_of_call(const struct session *s, uint32_t function)
{
	static const uint32_t harmless[] = {
	    /* lo_open, lo_close, loread, lowrite, lo_lseek, lo_creat, lo_tell, lo_unlink */
	    952, 953, 954, 955, 956, 957, 958, 964,
	    /* lo_create, lo_truncate, lo_lseek64, lo_tell64, lo_truncate64, lo_from_bytea, lo_get,
	     * lo_put */
	    715, 1004, 3170, 3171, 3172, 3457, 3458, 3459, 3460};
	enum {
		NEXTVAL = 1574,
		CURRVAL = 1575,
		SETVAL = 1576,
		SETSEED = 1599,
		SETVAL3 = 1765,
		SET_CONFIG = 2078,
		LASTVAL = 2559
	};

	for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
		if (function == harmless[i])
			return 0;
	switch (function) {
	case NEXTVAL:
	case CURRVAL:
	case SETVAL:
	case SETVAL3:
	case LASTVAL:
		return SQLCLASS_OPAQUE | SQLMENTION_SEQUENCE;
	case SETSEED:
		return SQLCLASS_OPAQUE | SQLMENTION_SEED;
	case SET_CONFIG:
		return SQLCLASS_OPAQUE | (s->context.pin ? HOLD_PIN_SETTING : 0);
	default:
		return SQLCLASS_OPAQUE;
	}
}

void
effects_keep(struct session *s, const struct message *m)
{
	if (m->type != 'Q' || !m->effects.lasting || !message_is_whole(m) || s->rare->stack)
		return;
	s->hold->waiting_set = m->effects.set;
	s->hold->waiting_bytes = (uint32_t)m->sql_bytes + 1;
}

void
effects_forget(struct session *s)
{
	if (s->hold->waiting_bytes > 0)
		s->hold->waiting_bytes = 0;
}

/* Has it waited, and is known what it does? */
static bool
take_kept(struct session *s, struct message *m)
{
	bool known = s->hold->waiting_bytes == m->sql_bytes + 1 && m->type == 'Q';

	if (s->hold->waiting_bytes == 0)
		return false;
	effects_forget(s);
	if (known)
		m->effects = (struct effects){.set = s->hold->waiting_set, .lasting = true};
	return known;
}

void
effects_of_message(struct session *s, struct message *m)
{
	if (take_kept(s, m))
		return;
	if (m->type == 'F')
		m->effects.set = effects_of_call(s, m->function);
	if (m->sql == NULL)
		return;
	if (m->inert) {
		m->effects.lasting = true;
		return;
	}
	effects_of(s, m->sql, m->sql_bytes, &m->effects);
	/* It is not known what the rest of the text does. */
	if (!message_is_whole(m))
		m->effects.set |= SQLCLASS_OPAQUE;
	/* The server refuses a malformed message without a look at its text. */
	else if ((m->effects.set & ANSWERED_HERE) && !message_is_well_formed(m))
		m->effects.set &= ~ANSWERED_HERE;
}

/* ---- the parameters that it sets ---- */

struct noting {
	struct session *session;
	const char *sql;
	size_t bytes;
};

static bool
note_reading(void *arg, unsigned flags)
{
	const struct noting *n = arg;

	return unlisted_note(&n->session->context, n->sql, n->bytes, flags);
}

static void
note_parameters(struct session *s, const char *sql, size_t bytes, struct effects *does)
{
	struct noting n = {.session = s, .sql = sql, .bytes = bytes};

	if ((does->set & NAMES) &&
	    !(does->unsure ? lexing_each(note_reading, &n) : note_reading(&n, does->lexing)))
		does->set |= HOLD_PIN_SETTING;
}

void
effects_note_parameters(struct session *s, struct message *m)
{
	if (m->sql)
		note_parameters(s, m->sql, m->sql_bytes, &m->effects);
}

unsigned
effects_of_deferred(struct session *s, const char *sql)
{
	struct effects does;

	effects_of(s, sql, strlen(sql), &does);
	note_parameters(s, sql, strlen(sql), &does);
	return does.set;
}

/* ---- what follows when it is executed ---- */

void
effects_spoil(struct session *s, unsigned set)
{
	if (set & (SQLCLASS_LOAD | SQLMENTION_SEED))
		s->hold->lease.srv->spoiled = true;
}

/* Notes that other sessions may have to parse their texts anew when this has been done. What is
 * temporary is the session's own, but DROP does not say whether it is. */
static void
note_defines(struct prepared_set *prepared, unsigned set)
{
	if (set & (SQLCLASS_DEFINES | SQLCLASS_CREATE))
		prepared->defines |= PREPARED_DEFINES;
	if (set & (SQLCLASS_OPAQUE | SQLCLASS_UNSURE))
		prepared->defines |= PREPARED_DEFINES_MAYBE;
}

void
effects_note_defines(struct session *s, unsigned set)
{
	note_defines(&s->hold->lease.srv->prepared, set);
}

/* Notes that statements which are prepared later in this lease may depend on what the text does. */
static void
note_altered(struct prepared_set *prepared, unsigned set)
{
	note_defines(prepared, set);
	if (set & (SQLCLASS_DEFINES | SQLCLASS_CREATE | SQLCLASS_TEMP | SQLCLASS_OPAQUE |
		   SQLCLASS_UNSURE | SQLCLASS_DISCARD_ALL | SQLCLASS_DISCARD_TEMP))
		prepared->altered = PREPARED_OBJECTS;
	else if ((set & (SQLCLASS_SET | SQLCLASS_SETCONFIG | SQLCLASS_SET_LOCAL)) &&
		 prepared->altered == PREPARED_UNALTERED)
		prepared->altered = PREPARED_SETTINGS;
}

/* Notes what the server is asked at the end of the lease, and whether it needs DISCARD ALL. */
static void
note_hold(struct hold *h, unsigned set)
{
	/* In a joined scope they are the scope's own: executor/joint.h. */
	if (hold_is_joined(h))
		set &= ~(unsigned)HOLD_OF_SCOPE;
	h->pinned |= set & EFFECTS_PIN;
	if (set & SETS)
		h->changed = true;
	if ((set & PINS_DOUBTFULLY) || ((set & UNPINS) && (h->pinned || h->discard)) ||
	    (h->pinned && h->changed))
		h->pins_doubtful = true;
	if (set & (SQLCLASS_OPAQUE | SQLCLASS_DISCARD_TEMP))
		h->discard = true;
	/* A DISCARD ALL that was sent before does not undo what this text does. */
	if (set & (EFFECTS_PIN | PINS_DOUBTFULLY | (SETS & ~SQLCLASS_DISCARD_ALL)))
		h->discard_all_sent = false;
}

void
effects_take(struct session *s, const struct message *m, unsigned set, const char *sql,
	     size_t bytes)
{
	struct progress *p = &s->hold->lease.srv->progress;

	if (s->rare->listening)
		set = channels_take(s, set);
	control_text(s, set, sql, bytes);
	/* EXECUTE: if the session has no PREPARE of its own, it is not known what it executes. */
	if ((set & SQLCLASS_EXECUTE) && !((s->hold->pinned | set) & SQLCLASS_PREPARE))
		set |= SQLCLASS_OPAQUE;
	sequences_mind(s, set);
	effects_spoil(s, set);
	if (set & (SETS | SQLCLASS_SET_LOCAL))
		resets_note(s, m, set, sql, bytes, lexing_flags(s, NULL));
	note_altered(&s->hold->lease.srv->prepared, set);
	if ((set & (SQLCLASS_DEALLOCATE | SQLCLASS_DISCARD_ALL)) && sql)
		deallocate_note(s, sql, bytes);
	note_hold(s->hold, set);
	if (hold_is_joined(s->hold) && !s->context.litters &&
	    (set & (HOLD_OF_SCOPE | SQLCLASS_OPAQUE | SQLCLASS_UNSURE | SQLCLASS_CREATE))) {
		s->hold->lease.pool->littered = s->context.litters = true;
		s->hold->lease.pool->litterer = s->id;
	}
	/* If DISCARD ALL succeeds, nothing pins any more. That is noted only if no other answer is
	 * due, which could be taken for its answer. */
	if (set == SQLCLASS_DISCARD_ALL && m && m->type == 'Q' && progress_at_rest(p)) {
		progress_forget_error(p);
		s->hold->discard_all_sent = true;
	}
}
