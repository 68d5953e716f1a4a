#include "session/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/trace.h"
#include "base/units.h"
#include "session/application.h"
#include "session/context.h"
#include "session/deallocate.h"
#include "session/holds.h"
#include "session/resets.h"
#include "session/sequences.h"
#include "session/site.h"
#include "wire/msg.h"
#include "wire/sqlclass.h"
#include "wire/sqlcommand.h"
#include "wire/sqlmention.h"

/* Bytes queued for a client: an answer of the console may be long. */
#define OUT_MAX (64 * 1024 * 1024)
/* Bytes of a client that are kept while it waits. */
#define IN_MAX (SESSION_WHOLE_MAX + LOOP_SCRATCH)

#define TO(state) (1u << (state))

static const struct {
	const char *name;
	unsigned next;
} states[SESSION_NSTATES] = {
    [SESSION_STARTUP] = {"startup", TO(SESSION_LOOKUP) | TO(SESSION_PASSWORD) | TO(SESSION_LOGIN) |
					TO(SESSION_CANCEL) | TO(SESSION_IDLE) |
					TO(SESSION_CONSOLE) | SESSION_GONE},
    [SESSION_LOOKUP] = {"lookup", TO(SESSION_PASSWORD) | TO(SESSION_LOGIN) | TO(SESSION_IDLE) |
				      TO(SESSION_CONSOLE) | SESSION_GONE},
    [SESSION_PASSWORD] = {"password", TO(SESSION_LOGIN) | TO(SESSION_IDLE) | TO(SESSION_CONSOLE) |
					  SESSION_GONE},
    [SESSION_LOGIN] = {"login", TO(SESSION_IDLE) | TO(SESSION_GREETING) | SESSION_GONE},
    [SESSION_CANCEL] = {"cancel", SESSION_GONE},
    [SESSION_IDLE] = {"idle", TO(SESSION_WAITING) | TO(SESSION_SETUP) | TO(SESSION_ACTIVE) |
				  TO(SESSION_SCOPE) | SESSION_GONE},
    [SESSION_WAITING] = {"waiting",
			 TO(SESSION_IDLE) | TO(SESSION_SETUP) | TO(SESSION_ACTIVE) | SESSION_GONE},
    [SESSION_GREETING] = {"setup", TO(SESSION_LOGIN) | TO(SESSION_IDLE) | SESSION_GONE},
    [SESSION_SETUP] = {"setup", TO(SESSION_IDLE) | TO(SESSION_ACTIVE) | SESSION_GONE},
    [SESSION_ACTIVE] = {"active",
			TO(SESSION_IDLE) | TO(SESSION_SAVING) | TO(SESSION_SCOPE) | SESSION_GONE},
    [SESSION_SAVING] = {"saving", TO(SESSION_ACTIVE) | SESSION_GONE},
    [SESSION_SCOPE] = {"scope", TO(SESSION_IDLE) | TO(SESSION_ACTIVE) | SESSION_GONE},
    [SESSION_LEAVING] = {"leaving", TO(SESSION_CLOSED)},
    [SESSION_CONSOLE] = {"console", TO(SESSION_CONSOLE_BUSY) | SESSION_GONE},
    [SESSION_CONSOLE_BUSY] = {"console", TO(SESSION_CONSOLE) | SESSION_GONE},
    [SESSION_CLOSING] = {"closing", TO(SESSION_CLOSED)},
    [SESSION_CLOSED] = {"closed", 0},
};

const char *
session_state_name(enum session_state state)
{
	return states[state].name;
}

bool
session_may_move(enum session_state from, enum session_state to)
{
	return states[from].next & TO(to);
}

bool
session_was_let_in(const struct session *s)
{
	switch (s->state) {
	case SESSION_STARTUP:
	case SESSION_LOOKUP:
	case SESSION_PASSWORD:
	case SESSION_LOGIN:
	case SESSION_CANCEL:
	case SESSION_GREETING:
		return false;
	case SESSION_LEAVING:
	case SESSION_CLOSING:
	case SESSION_CLOSED:
		return s->end.let_in;
	default:
		return true;
	}
}

/* All others are TRACE_ABSENT, consoles, too. */
static const uint8_t traced_as[SESSION_NSTATES] = {
    [SESSION_LOGIN] = TRACE_PRESENT,     [SESSION_GREETING] = TRACE_PARAMETERS,
    [SESSION_IDLE] = TRACE_PRESENT,      [SESSION_WAITING] = TRACE_PRESENT,
    [SESSION_ACTIVE] = TRACE_PRESENT,    [SESSION_SETUP] = TRACE_PARAMETERS,
    [SESSION_SAVING] = TRACE_PARAMETERS, [SESSION_SCOPE] = TRACE_WORK,
    [SESSION_LEAVING] = TRACE_WORK,
};

void
session_trace(const struct session *s, bool again)
{
	enum trace_session as = traced_as[s->state];
	int64_t now_us = loop_now_us(s->site->loop);

	if (as == TRACE_ABSENT)
		return;
	trace_add(TRACE_WHO, now_us, s->id, (uint64_t)s->peer.pid, again, s->peer.role,
		  application_name(s));
	trace_add(TRACE_SESSION, now_us, s->id, 0, as, s->pool ? s->pool->conf->name : NULL, NULL);
}

/* The session has changed its state. */
static void __attribute__((noinline, cold))
trace_move(const struct session *s, enum session_state from)
{
	enum trace_session was = traced_as[from], is = traced_as[s->state];
	bool let_in =
	    s->state == SESSION_IDLE && (from == SESSION_LOGIN || from == SESSION_GREETING);

	/* At login the server may have changed the application_name. */
	if (was == TRACE_ABSENT || let_in)
		session_trace(s, false);
	else if (is != was)
		trace_add(TRACE_SESSION, loop_now_us(s->site->loop), s->id, 0, is, NULL, NULL);
}

void
session_set_state(struct session *s, enum session_state to)
{
	struct site *site = s->site;
	enum session_state from = s->state;
	bool at_console = session_is_at_console(s);

	if (!session_may_move(s->state, to))
		log_fatal("session", s->id, "illegal move",
			  LOG_MOVE(states[s->state].name, states[to].name));
	if (SESSION_GONE & TO(to))
		s->end.let_in = session_was_let_in(s);
	list_remove(&site->in_state[s->state], &s->node);
	/* People see one state of the console only. */
	if (!at_console || (SESSION_GONE & TO(to))) {
		log_debug("session", s->id, "", LOG_MOVE(states[s->state].name, states[to].name));
		s->since_us = loop_now_us(site->loop);
	}
	s->state = (uint8_t)to;
	if (trace_on)
		trace_move(s, from);
	if (to != SESSION_CLOSED)
		list_append(&site->in_state[to], &s->node);
	else if (list_linked(&s->woken))
		list_remove(&site->woken, &s->woken);
}

void
session_wake(struct session *s)
{
	if (s->state == SESSION_CLOSED || list_linked(&s->woken))
		return;
	list_append(&s->site->woken, &s->woken);
	loop_leave_work(s->site->loop);
}

const char *
session_pin_word(unsigned pinned)
{
	if (pinned & HOLD_PIN_STATEMENT)
		return "prepared statement";
	if (pinned & HOLD_PIN_MODE)
		return "mode session";
	if (pinned & HOLD_PIN_SETTING)
		return "unknown setting";
	if (pinned & SQLMENTION_SEED)
		return "setseed";
	return pinned ? sqlclass_name(pinned) : NULL;
}

bool
session_waits_for_bind(const struct session *s)
{
	const struct unnamed *u = s->context.unnamed;

	return u && u->waits && u->here && s->context.pin;
}

const char *
session_pin_name(const struct session *s)
{
	if (session_waits_for_bind(s))
		return session_pin_word(HOLD_PIN_STATEMENT);
	return session_pin_word(s->hold->pinned);
}

void
session_describe(const struct session *s, char *out, size_t out_size)
{
	const struct server *srv = s->hold->lease.srv;
	const char *doing = states[s->state].name;
	char elapsed[32];

	if (srv) {
		if (progress_busy(&srv->progress))
			doing = "running";
		else if (srv->progress.status == 'T')
			doing = "idle in transaction";
		else if (srv->progress.status == 'E')
			doing = "idle in transaction (aborted)";
		else
			doing = "idle, pinned";
	}
	snprintf(out, out_size, "session %llu (%s, pid %d, %s, %s)", (unsigned long long)s->id,
		 s->peer.role ? s->peer.role : "?", (int)s->peer.pid,
		 units_elapsed_str(loop_now_us(s->site->loop) -
				       (srv ? s->hold->lease.since_us : s->since_us),
				   elapsed, sizeof elapsed),
		 doing);
}

void
session_begins_to_wait(struct session *s)
{
	stream_pause(&s->stream);
	if (!s->stream.ended)
		return;
	/* The stream has told on_hangup() of the end already, at a time when that was no reason to
	 * close. This makes it tell once more. */
	stream_resume(&s->stream);
	stream_pause(&s->stream);
}

/* ---- bytes that are kept ---- */

const struct buf session_in_none;

struct buf *
session_keep(struct session *s)
{
	if (s->in == &session_in_none) {
		s->in = mem_alloc(sizeof *s->in);
		buf_init(s->in, IN_MAX);
	}
	return s->in;
}

void
session_drop_kept(struct session *s, size_t bytes)
{
	if (s->in == &session_in_none)
		return;
	buf_drop(s->in, bytes);
	if (s->in->len > 0)
		return;
	buf_clear(s->in);
	free(s->in);
	s->in = (struct buf *)&session_in_none;
}

/* ---- what few sessions have ---- */

const struct rare rare_none;

struct rare *
session_rare(struct session *s)
{
	if (s->rare == &rare_none)
		s->rare = mem_calloc(1, sizeof *s->rare);
	return s->rare;
}

void
session_drop_rare(struct session *s)
{
	if (s->rare == &rare_none || memcmp(s->rare, &rare_none, sizeof rare_none) != 0)
		return;
	free(s->rare);
	s->rare = (struct rare *)&rare_none;
}

/* ---- the beginning ---- */

void
session_set_none(struct session *s)
{
	s->in = (struct buf *)&session_in_none;
	s->rare = (struct rare *)&rare_none;
	holds_start(s);
}

/* Sets the members that every session needs. `s` has its id. */
static void
start(struct session *s, struct site *site, int fd, enum session_state state)
{
	s->site = site;
	s->state = (uint8_t)state;
	session_set_none(s);
	block_init(&s->block);
	list_append(&site->in_state[state], &s->node);
	stream_init(&s->stream, site->loop, fd, OUT_MAX, site->ops->stream, s);
}

struct session *
session_new(struct site *site, int fd, const struct ucred *peer)
{
	struct session *s = mem_calloc(1, sizeof *s);

	s->id = idmap_add(&site->sessions, s);
	s->since_us = loop_now_us(site->loop);
	s->peer.connected_at = time(NULL);
	s->peer.uid = peer->uid;
	s->peer.gid = peer->gid;
	s->peer.pid = peer->pid;
	start(s, site, fd, SESSION_STARTUP);
	return s;
}

void
session_cancel_key(const struct session *s, uint8_t *key, size_t bytes)
{
	/* Without a secret anybody could cancel: the id can be guessed. */
	for (uint64_t i = 0; bytes > 0; i++) {
		const uint64_t of[] = {s->id, i};
		uint64_t part = siphash(s->site->cancel_seed, of, sizeof of);
		size_t n = bytes < sizeof part ? bytes : sizeof part;

		memcpy(key, &part, n);
		key += n;
		bytes -= n;
	}
}

struct session *
session_adopt(struct site *site, uint64_t id, int fd, enum session_state state)
{
	struct session *s;

	if (id == 0 || id > site->sessions.last || idmap_get(&site->sessions, id))
		return NULL;
	s = mem_calloc(1, sizeof *s);
	s->id = id;
	idmap_put(&site->sessions, id, s);
	start(s, site, fd, state);
	return s;
}

void
session_begin_lease(struct session *s)
{
	deallocate_forget(s);
	progress_tell_as_said(&s->hold->lease.srv->progress);
	unnamed_begin_lease(s->context.unnamed);
	s->hold->discard_all_sent = s->hold->discard = s->hold->changed = s->hold->pins_doubtful =
	    false;
	s->hold->cancel_due = false;
	if (s->hold == s->own)
		s->hold->apart = s->hold->lease.pool != s->pool && !hold_is_joined(s->hold);
	s->hold->command = SQLCOMMAND_NONE;
	if (s->hold->named)
		application_begin_lease(s);
	s->context.resetting = s->context.resets_undo = false;
	resets_forget(s);
	sequences_lease(s);
	context_keep_told(s);
	if (s->context.mode == CONF_SESSION && !hold_is_joined(s->hold))
		s->hold->pinned |= HOLD_PIN_MODE;
}

struct session *
session_by_number(struct site *site, uint32_t number)
{
	uint64_t last = site->sessions.last, part = number - LEASE_NUMBER_FIRST;

	if (number < LEASE_NUMBER_FIRST || part >= LEASE_NUMBERS || part > last)
		return NULL;
	/* Numbers are used again: this is the last id that has had this one. */
	return idmap_get(&site->sessions, last - (last - part) % LEASE_NUMBERS);
}
