#include "session/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "daemon/daemon.h"
#include "executor/executor.h"
#include "executor/split.h"
#include "session/admit.h"
#include "session/begin.h"
#include "session/control.h"
#include "session/resets.h"
#include "session/slow.h"
#include "session/users.h"
#include "wire/msg.h"
#include "wire/sqlclass.h"
#include "wire/sqlmention.h"

#define OUT_MAX \
	(64 * 1024 * 1024) /* bytes queued for a client: an answer of the console may be long */
#define IN_MAX     (SESSION_WHOLE_MAX + LOOP_SCRATCH) /* bytes of a client kept while it waits */
#define CLOSING_US (5 * UNIT_S)                       /* to take its last words */

#define TO(state) (1u << (state))
#define ENDS      (TO(SESSION_CLOSING) | TO(SESSION_CLOSED) | TO(SESSION_LEAVING))

static const struct {
	const char *name;
	unsigned next;
} states[SESSION_NSTATES] = {
    [SESSION_STARTUP] = {"startup", TO(SESSION_LOOKUP) | TO(SESSION_LOGIN) | TO(SESSION_CANCEL) |
					TO(SESSION_IDLE) | TO(SESSION_CONSOLE) | ENDS},
    [SESSION_LOOKUP] = {"lookup",
			TO(SESSION_LOGIN) | TO(SESSION_IDLE) | TO(SESSION_CONSOLE) | ENDS},
    [SESSION_LOGIN] = {"login", TO(SESSION_IDLE) | TO(SESSION_SETUP) | ENDS},
    [SESSION_CANCEL] = {"cancel", ENDS},
    [SESSION_IDLE] = {"idle", TO(SESSION_WAITING) | TO(SESSION_SETUP) | TO(SESSION_ACTIVE) |
				  TO(SESSION_SCOPE) | ENDS},
    [SESSION_WAITING] = {"waiting",
			 TO(SESSION_IDLE) | TO(SESSION_SETUP) | TO(SESSION_ACTIVE) | ENDS},
    [SESSION_SETUP] = {"setup", TO(SESSION_LOGIN) | TO(SESSION_IDLE) | TO(SESSION_ACTIVE) | ENDS},
    [SESSION_ACTIVE] = {"active", TO(SESSION_IDLE) | TO(SESSION_SAVING) | TO(SESSION_SCOPE) | ENDS},
    [SESSION_SAVING] = {"saving", TO(SESSION_ACTIVE) | ENDS},
    [SESSION_SCOPE] = {"scope", TO(SESSION_IDLE) | TO(SESSION_ACTIVE) | ENDS},
    [SESSION_LEAVING] = {"leaving", TO(SESSION_CLOSED)},
    [SESSION_CONSOLE] = {"console", ENDS},
    [SESSION_CLOSING] = {"closing", TO(SESSION_CLOSED)},
    [SESSION_CLOSED] = {"closed", 0},
};

const char *
session_state_name(enum session_state state)
{
	return states[state].name;
}

void
session_set_state(struct session *s, enum session_state to)
{
	struct daemon *d = s->daemon;

	if (!(states[s->state].next & TO(to)))
		log_fatal("session", s->id, "illegal move",
			  LOG_MOVE(states[s->state].name, states[to].name));
	log_debug("session", s->id, "", LOG_MOVE(states[s->state].name, states[to].name));
	list_remove(&d->in_state[s->state], &s->node);
	s->state = to;
	s->since_us = loop_now_us(d->loop);
	if (to != SESSION_CLOSED)
		list_append(&d->in_state[to], &s->node);
}

const char *
session_pin_word(unsigned pinned)
{
	if (pinned & SESSION_PIN_STATEMENT)
		return "prepared statement";
	if (pinned & SESSION_PIN_MODE)
		return "mode session";
	if (pinned & SESSION_PIN_SETTING)
		return "unknown setting";
	if (pinned & SQLMENTION_SEED)
		return "setseed";
	return pinned ? sqlclass_name(pinned) : NULL;
}

const char *
session_pin_name(const struct session *s)
{
	return session_pin_word(s->pinned);
}

void
session_describe(const struct session *s, char *out, size_t out_size)
{
	const struct server *srv = s->lease->srv;
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
		 s->role ? s->role : "?", (int)s->pid,
		 units_elapsed_str(loop_now_us(s->daemon->loop) -
				       (srv ? s->lease->since_us : s->since_us),
				   elapsed, sizeof elapsed),
		 doing);
}

/* ---- the stream ---- */

static void
on_readable(struct stream *st, void *arg)
{
	struct session *s = arg;

	switch (s->state) {
	case SESSION_STARTUP:
		login_readable(s);
		return;
	case SESSION_CLOSING:
	case SESSION_CANCEL: {
		/* Nothing more is wanted; only the end matters. */
		ssize_t n = stream_read(st, loop_scratch(s->daemon->loop), LOOP_SCRATCH);

		if (n == 0 || (n < 0 && n != -E_AGAIN))
			session_close(s, CLEANUP_CLIENT_GONE, "client gone");
		return;
	}
	case SESSION_CLOSED:
		return;
	default:
		request_readable(s);
	}
}

static void
on_drained(struct stream *st, void *arg)
{
	struct session *s = arg;

	if (s->state == SESSION_CLOSING) {
		session_close(s, CLEANUP_CLIENT_REFUSED, "told");
		return;
	}
	if (s->lease->state == LEASE_HELD)
		stream_resume(&s->lease->srv->stream);
	/* Its messages have waited for that. */
	if (s->state == SESSION_IDLE || s->state == SESSION_ACTIVE || s->state == SESSION_CONSOLE) {
		if (!s->held)
			stream_resume(st);
		request_resume(s);
	}
}

/* Does it wait for somebody else: a server, a lock, an answer of the system? */
static bool
is_waiting(const struct session *s)
{
	switch (s->state) {
	case SESSION_WAITING:
	case SESSION_LOGIN:
	case SESSION_LOOKUP:
		return true;
	case SESSION_SCOPE:
		return scopes_wait(s);
	default:
		return s->state == SESSION_CONSOLE && s->held;
	}
}

void
session_begins_to_wait(struct session *s)
{
	stream_pause(&s->stream);
	if (!s->stream.ended)
		return;
	/* on_hangup() has been told of the end already, when something ran. */
	stream_resume(&s->stream);
	stream_pause(&s->stream);
}

/* While it is not read from: it waits, or its server is slow. What runs, and stands before a
 * Terminate, is done all the same; who only waits leaves at once. */
static bool
on_hangup(struct stream *st, void *arg)
{
	struct session *s = arg;

	if (!is_waiting(s) && request_said_terminate(s))
		return false;
	session_close(s, CLEANUP_CLIENT_GONE, "client gone");
	return true;
}

static const struct stream_ops stream_ops = {on_readable, on_drained, on_hangup};

void
session_accept(struct daemon *d, int fd)
{
	struct session *s;
	struct ucred peer = {0};
	struct timespec wall;
	socklen_t len = sizeof peer;

	if (d->phase > DAEMON_DRAINING || daemon_sessions(d) >= d->max_sessions ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
		close(fd);
		return;
	}
	s = mem_calloc(1, sizeof *s);
	s->daemon = d;
	s->id = idmap_add(&d->sessions, s);
	s->state = SESSION_STARTUP;
	s->connected_us = s->since_us = loop_now_us(d->loop);
	clock_gettime(CLOCK_REALTIME, &wall);
	s->connected_at = wall.tv_sec;
	s->uid = peer.uid;
	s->gid = peer.gid;
	s->pid = peer.pid;
	/* Without a random secret anybody could cancel: the id can be guessed. */
	if (getrandom(s->secret, sizeof s->secret, 0) != sizeof s->secret)
		log_fatal("", LOG_ALONE, "no random numbers");
	buf_init(&s->in, IN_MAX);
	lease_init(&s->own, &relay_lease_ops, s, s->id);
	s->lease = &s->own;
	list_append(&d->in_state[SESSION_STARTUP], &s->node);
	stream_init(&s->stream, d->loop, fd, OUT_MAX, &stream_ops, s);
	d->sessions_ever++;
}

struct session *
session_adopt(struct daemon *d, uint64_t id, int fd, enum session_state state)
{
	struct session *s;

	if (id == 0 || id > d->sessions.last || idmap_get(&d->sessions, id))
		return NULL;
	s = mem_calloc(1, sizeof *s);
	s->daemon = d;
	s->id = id;
	idmap_put(&d->sessions, id, s);
	s->state = state;
	buf_init(&s->in, IN_MAX);
	lease_init(&s->own, &relay_lease_ops, s, s->id);
	s->lease = &s->own;
	list_append(&d->in_state[state], &s->node);
	stream_init(&s->stream, d->loop, fd, OUT_MAX, &stream_ops, s);
	return s;
}

struct session *
session_by_number(struct daemon *d, uint32_t number)
{
	uint64_t last = d->sessions.last, part = number - LEASE_NUMBER_FIRST;

	if (number < LEASE_NUMBER_FIRST || part >= LEASE_NUMBERS || part > last)
		return NULL;
	/* The last id that has this number. */
	return idmap_get(&d->sessions, last - (last - part) % LEASE_NUMBERS);
}

/* ---- telling ---- */

void
session_send(struct session *s, const void *data, size_t bytes)
{
	/* Its client is gone, and what has begun goes on. */
	if (s->stream.fd < 0)
		return;
	if (stream_write(&s->stream, data, bytes) < 0)
		session_close(s, CLEANUP_CLIENT_REFUSED, "it does not read what it asked for");
}

void
session_send_buf(struct session *s, const struct buf *b)
{
	if (b->failed)
		session_close(s, CLEANUP_CLIENT_REFUSED, "the answer is too long");
	else
		session_send(s, buf_data(b), b->len);
}

void
session_ready(struct session *s, struct buf *out)
{
	msg_ready(out, scopes_status(s));
	s->queries++;
	if (s->pool)
		s->pool->stats.queries++;
}

void
session_log_error(const struct session *s, const struct err *e)
{
	if (s->daemon->conf->log_pooler_errors)
		log_info_often(
		    "session", s->id, "error", LOG_TEXT("pool", s->pool ? s->pool->conf->name : ""),
		    LOG_TEXT("role", s->role ? s->role : ""), LOG_NUMBER("pid", s->pid),
		    LOG_TEXT("sqlstate", e->sqlstate), LOG_TEXT("kind", err_kind(e->id)->name),
		    LOG_QUOTED("why", e->message));
}

void
session_refuse(struct session *s, char type, const struct err *e)
{
	struct buf out;

	session_log_error(s, e);
	buf_init(&out, 64 * 1024);
	parts_drop(s);
	msg_err(&out, e);
	daemon_count_error(s->daemon, e);
	/* A transaction that was begun here has failed. */
	if (s->begun == BEGUN_YES)
		s->begun = BEGUN_FAILED;
	if (type == 'Q' || type == 'F')
		session_ready(s, &out);
	else
		s->skip_sync = true;
	session_send_buf(s, &out);
	buf_clear(&out);
}

static void
last_words(struct session *s, const struct err *e, struct buf *out)
{
	const struct server *srv = s->state == SESSION_ACTIVE ? s->lease->srv : NULL;

	if (s->daemon->conf->log_pooler_errors)
		log_info_often("session", s->id, "refused",
			       LOG_TEXT("pool", s->pool ? s->pool->conf->name : ""),
			       LOG_TEXT("role", s->role ? s->role : ""), LOG_NUMBER("pid", s->pid),
			       LOG_TEXT("sqlstate", e->sqlstate),
			       LOG_TEXT("kind", err_kind(e->id)->name),
			       LOG_QUOTED("why", e->message));
	s->last_words = (uint8_t)e->id;
	daemon_count_error(s->daemon, e);
	/* No error can be put into the middle of a message. */
	if (srv && srv->progress.from_have > 0 && !srv->progress.from_drop)
		return;
	/* The last words are fatal, whatever they are elsewhere. */
	msg_report(out, 'E', "FATAL", e->sqlstate, e->message, e->detail, e->hint);
}

static enum cleanup_why
cleanup_because(const struct err *e)
{
	return e->id == ERR_SHUTDOWN || e->id == ERR_DRAINED ? CLEANUP_SHUTDOWN
	       : e->id == ERR_KILLED                         ? CLEANUP_KILLED
							     : CLEANUP_CLIENT_REFUSED;
}

/* Its scopes are not kept open for a client that reads slowly: what the kernel does not take of the
 * last words at once is lost. */
static void
tell_and_leave(struct session *s, const struct err *e)
{
	struct buf out;

	buf_init(&out, 64 * 1024);
	last_words(s, e, &out);
	session_send_buf(s, &out);
	buf_clear(&out);
	session_close(s, cleanup_because(e), err_kind(e->id)->name);
}

void
session_fail(struct session *s, const struct err *e)
{
	struct buf out;

	if (s->state == SESSION_CLOSING || s->state == SESSION_CLOSED ||
	    s->state == SESSION_LEAVING)
		return;
	if (scopes_open(s)) {
		tell_and_leave(s, e);
		return;
	}
	buf_init(&out, 64 * 1024);
	last_words(s, e, &out);
	if (s->names)
		names_clear(s->names, s->lease->srv ? &s->lease->srv->prepared : NULL);
	unnamed_forget(&s->unnamed, s->lease->srv ? &s->lease->srv->prepared.tracked : NULL);
	if (s->slow)
		slow_end(s, "error", e->sqlstate);
	if (s->lease->state == LEASE_HELD)
		lease_end(s->lease, cleanup_because(e));
	else
		lease_leave(s->lease);
	session_set_state(s, SESSION_CLOSING);
	session_send_buf(s, &out);
	buf_clear(&out);
	if (s->state == SESSION_CLOSING && stream_queued(&s->stream) == 0)
		session_close(s, CLEANUP_CLIENT_REFUSED, "told");
	else
		stream_resume(&s->stream);
}

/* ---- the end ---- */

static void
free_session(void *arg)
{
	struct session *s = arg;

	buf_clear(&s->in);
	user_drop(s->user);
	free(s->packet);
	free(s->role);
	free(s->application);
	free(s->application_told);
	free(s->application_set);
	free(s->repeated);
	told_drop(&s->daemon->pools.told, s->told);
	told_drop(&s->daemon->pools.told, s->greeted);
	told_drop(&s->daemon->pools.told, s->seen_own);
	told_drop(&s->daemon->pools.told, s->seen_told);
	if (s->answer)
		buf_clear(s->answer);
	free(s->answer);
	if (s->leaving)
		buf_clear(s->leaving);
	free(s->leaving);
	free(s->names);
	free(s->hidden);
	resets_forget(s);
	free(s->startup);
	free(s->setup);
	slow_free(s);
	control_free(s);
	if (s->scopes)
		scopes_free(s->scopes);
	free(s);
}

void
session_close(struct session *s, enum cleanup_why why, const char *text)
{
	struct daemon *d = s->daemon;
	bool was_in = s->let_in;

	if (s->state == SESSION_CLOSED)
		return;
	if (s->scopes && scopes_leave(s, why, text))
		return;
	if (s->console)
		d->console->closed(s);
	if (s->slow)
		slow_end(s, "cancelled", NULL);
	if (was_in && d->conf->log_disconnections)
		log_info("session", s->id, "left", LOG_TEXT("role", s->role),
			 LOG_NUMBER("pid", s->pid),
			 LOG_QUOTED("why", s->last_words ? err_kind(s->last_words)->name : text),
			 LOG_NUMBER("queries", s->queries));
	session_set_state(s, SESSION_CLOSED);
	stream_close(&s->stream);
	idmap_remove(&d->sessions, s->id);
	waits_end(&d->waits, s->id);
	listen_resume(d->listen);
	loop_defer(d->loop, free_session, s);
	if (s->names)
		names_clear(s->names, s->lease->srv ? &s->lease->srv->prepared : NULL);
	unnamed_forget(&s->unnamed, s->lease->srv ? &s->lease->srv->prepared.tracked : NULL);
	/* Last: the server may be granted to another session from here. */
	if (s->lease->state == LEASE_HELD)
		lease_end(s->lease, why);
	else
		lease_leave(s->lease);
}

void
session_give_up(struct session *s, const struct err *e)
{
	/* What it waits with is the first message that is kept. */
	char type = s->in.len && !parts_pending(s) ? (char)*buf_data(&s->in) : 'Q';

	lease_leave(s->lease);
	waits_end(&s->daemon->waits, s->id);
	request_failed(s, type, e);
}

bool
session_cancel(struct session *s, uint64_t requester)
{
	struct err e;

	switch (s->state) {
	case SESSION_SETUP:
	case SESSION_ACTIVE:
		return relay_cancel(s, requester);
	case SESSION_SCOPE:
		return scopes_cancel(s, requester);
	case SESSION_WAITING:
		err_make(&e, ERR_CANCELED_WAITING, s->pool->conf->name);
		session_give_up(s, &e);
		err_clear(&e);
		return false;
	case SESSION_CONSOLE:
		s->daemon->console->cancelled(s);
		return false;
	default:
		return false;
	}
}

void
session_sweep(struct daemon *d)
{
	int64_t now = loop_now_us(d->loop);
	struct list_node *n;
	char text[32], why[80];

	/* In order of time: whoever entered the state first stands first. */
	while ((n = list_first(&d->in_state[SESSION_STARTUP])) != NULL) {
		struct session *s = LIST_OBJ(n, struct session, node);

		if (now - s->since_us < d->conf->login_timeout_us)
			break;
		/* As PostgreSQL, without a word: it may know nothing of the protocol. */
		snprintf(why, sizeof why, "no complete startup packet within %s",
			 units_duration_str(d->conf->login_timeout_us, text, sizeof text));
		log_info_often("session", s->id, "refused", LOG_NUMBER("uid", s->uid),
			       LOG_NUMBER("pid", s->pid), LOG_QUOTED("why", why));
		d->refused++;
		session_close(s, CLEANUP_CLIENT_REFUSED, "login_timeout");
	}
	while ((n = list_first(&d->in_state[SESSION_LOOKUP])) != NULL) {
		struct session *s = LIST_OBJ(n, struct session, node);
		struct err e;

		if (now - s->since_us < d->conf->login_timeout_us)
			break;
		admit_too_late(s, d->conf->login_timeout_us, &e);
		login_failed(s, &e);
		err_clear(&e);
	}
	login_sweep(d);
	while ((n = list_first(&d->in_state[SESSION_CLOSING])) != NULL) {
		struct session *s = LIST_OBJ(n, struct session, node);

		if (now - s->since_us < CLOSING_US)
			break;
		session_close(s, CLEANUP_CLIENT_REFUSED, "it did not take its last words");
	}
}
