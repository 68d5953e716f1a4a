#include "relay/login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "conf/auth.h"
#include "executor/joint.h"
#include "pool/gate.h"
#include "relay/borrow.h"
#include "relay/cancel.h"
#include "relay/prove.h"
#include "relay/setup.h"
#include "session/admit.h"
#include "session/application.h"
#include "session/context.h"
#include "session/end.h"
#include "session/params.h"
#include "session/reply.h"
#include "session/session.h"
#include "session/site.h"
#include "session/telling.h"
#include "wire/canonical.h"
#include "wire/msg.h"
#include "wire/startup.h"

#define TOLD_MAX    (256 * 1024)    /* bytes of all that is told at login */
#define PATIENCE_US (200 * UNIT_MS) /* how long a login waits for a server that is free soon */
#define OPTIONS_MAX 32              /* how many `_pq_.` options the answer names */
/* Every user may come in to the console, even one who may use no pool. Sessions there without
 * rights are at most max_clients / GUESTS_PART + 1, so that they keep no client out. */
#define GUESTS_PART 10

static void
refuse_login(struct session *s, struct err *e)
{
	s->site->refused++;
	session_fail(s, e);
	err_clear(e);
}

static void
send_hello(struct session *s, struct buf *out)
{
	size_t key_bytes = greeting_key_bytes(s);
	uint8_t key[SESSION_KEY];

	session_cancel_key(s, key, key_bytes);
	msg_backend_key(out, lease_number(s->id), key, key_bytes);
	msg_ready(out, 'I');
	reply_send_buf(s, out);
}

static void
enter_console(struct session *s)
{
	const struct conf *conf = s->site->conf;
	struct buf out;

	session_set_state(s, SESSION_CONSOLE);
	buf_init(&out, 4096);
	msg_auth_ok(&out);
	/* The parameters that drivers look at. The version is that of a PostgreSQL that speaks as
	 * the console does. */
	msg_parameter_status(&out, "server_version", "15.0 (pgwith " PACKAGE_VERSION ")");
	msg_parameter_status(&out, "server_encoding", "UTF8");
	msg_parameter_status(&out, "client_encoding", "UTF8");
	msg_parameter_status(&out, "DateStyle", "ISO, MDY");
	msg_parameter_status(&out, "integer_datetimes", "on");
	msg_parameter_status(&out, "standard_conforming_strings", "on");
	send_hello(s, &out);
	buf_clear(&out);
	if (conf->log_connections)
		log_info("session", s->id, "console", LOG_TEXT("role", s->peer.role),
			 LOG_NUMBER("uid", s->peer.uid), LOG_NUMBER("pid", s->peer.pid));
}

/* ---- the pool's parameters ---- */

/* The client is in, and has been told so. */
static void
begin_session(struct session *s)
{
	s->site->let_in += !(s->peer.marks & PEER_INSIDE);
	if (s->site->conf->log_connections && !(s->peer.marks & PEER_INSIDE))
		log_info("session", s->id, "in", LOG_TEXT("pool", s->pool->conf->name),
			 LOG_TEXT("role", s->peer.role), LOG_NUMBER("uid", s->peer.uid),
			 LOG_NUMBER("pid", s->peer.pid));
	session_wake(s);
}

void
login_welcome(struct session *s)
{
	struct buf out;

	session_set_state(s, SESSION_IDLE);
	stream_resume(&s->stream);
	buf_init(&out, TOLD_MAX);
	msg_auth_ok(&out);
	params_notices(context_repeated(&s->context), context_repeated_bytes(&s->context), s->pool,
		       &out);
	telling_all(s, &out);
	send_hello(s, &out);
	buf_clear(&out);
	/* Startup parameters that no server has judged yet are judged with the first statement. */
	if (!s->context.unproven)
		context_forget_repeated(&s->context);
	begin_session(s);
}

/* Lets the client in with an answer that was kept. Returns false if there is none. */
static bool
welcome_as_before(struct session *s, const struct startup *st)
{
	const struct greeting *g =
	    s->pool->told && !pool_is_stale(s->pool) ? greeting_take(s, st) : NULL;

	if (g == NULL)
		return false;
	session_set_state(s, SESSION_IDLE);
	stream_resume(&s->stream);
	greeting_send(s, g);
	begin_session(s);
	return true;
}

void
login_failed(struct session *s, const struct err *e)
{
	/* A server was wanted only to judge the startup parameters. */
	if (s->state == SESSION_LOGIN && s->pool->told && e->id != ERR_SHUTDOWN) {
		login_welcome(s);
		return;
	}
	s->site->refused++;
	session_fail(s, e);
}

/* Can the client be let in now, without a server? Yes, if it is known what its startup parameters
 * come to, and the pool's parameters are fresh. If not, a server is asked, but only if one is idle
 * or will be free soon: a login never waits for another session. Otherwise the client is let in;
 * with its first statement it is told what the server makes of its parameters, or refused. */
static bool
can_be_let_in(struct session *s)
{
	enum telling told;

	if (s->pool->told == NULL)
		return false;
	context_start(s);
	told = telling_start(s);
	s->context.unproven = told != TELLING_CERTAIN;
	if (told == TELLING_CERTAIN && !pool_is_stale(s->pool))
		return true;
	if (s->hold->lease.srv)
		return false;
	switch (told) {
	case TELLING_CERTAIN:
		return pool_take_idle(s->pool) == NULL;
	case TELLING_LIKELY:
		return !pool_is_free_soon(s->pool);
	default:
		/* A server is waited for, PATIENCE_US at most. */
		return gate_paused(s->pool);
	}
}

void
login_granted(struct session *s)
{
	if (can_be_let_in(s)) {
		lease_return(&s->hold->lease, false);
		login_welcome(s);
	} else {
		setup_begin(s);
	}
}

void
login_again(struct session *s)
{
	struct err e;
	int r;

	if (can_be_let_in(s)) {
		login_welcome(s);
		return;
	}
	if (s->state != SESSION_LOGIN)
		session_set_state(s, SESSION_LOGIN);
	r = borrow_ask(s, &e);
	if (r == -E_AGAIN) {
		session_begins_to_wait(s);
	} else if (r == 0) {
		login_granted(s);
	} else {
		login_failed(s, &e);
		err_clear(&e);
	}
}

/* ---- the packet ---- */

/* Returns false with the reason in *e if the client wants to replicate, or the value is invalid. */
static bool
check_replication(const char *value, struct err *e)
{
	int on = value == NULL ? 0 : strcmp(value, "database") == 0 ? 1 : canonical_bool(value);

	if (on == 0)
		return true;
	if (on > 0) {
		err_make(e, ERR_REPLICATION);
	} else {
		err_make(e, ERR_STARTUP_VALUE, "replication", value);
		err_hint(e, "Valid values are: \"false\", 0, \"true\", 1, \"database\".");
	}
	return false;
}

/* The newest minor version of protocol 3 that is offered. Pgwithd could offer 3.2 everywhere, but a
 * client gets what its server would offer. Before the pool has had a server that is 3.0, which
 * every client understands. */
static unsigned
newest_minor(const struct session *s, const char *database)
{
	const char *version = pools_told(&s->site->pools, database, "server_version");

	return version && atoi(version) >= 18 ? 2 : 0;
}

/* If the client asks for a newer minor version, or for options of the protocol that are not known,
 * it is told which version is spoken and which options are unknown (PostgreSQL 18 documentation,
 * 54.2.1). */
static void
negotiate(struct session *s, const struct startup *st, const char *database)
{
	const char *options[OPTIONS_MAX], *at = st->params, *name, *value;
	unsigned n = 0, newest = st->minor > 0 ? newest_minor(s, database) : 0;
	struct buf out;

	while (st->asks_options && startup_next(&at, &name, &value))
		if (strncmp(name, "_pq_.", 5) == 0 && n < OPTIONS_MAX)
			options[n++] = name;
	s->peer.minor = (uint8_t)(st->minor < newest ? st->minor : newest);
	if (s->peer.minor == st->minor && n == 0)
		return;
	buf_init(&out, 2 * STARTUP_LARGEST);
	msg_negotiate(&out, 3 << 16 | s->peer.minor, options, n);
	reply_send_buf(s, &out);
	buf_clear(&out);
}

/* Returns false with the reason in *e. */
static bool
check_packet(struct session *s, const struct startup *st, struct err *e)
{
	const char *user;

	user = st->user;
	if (user == NULL || *user == 0) {
		err_make(e, ERR_NO_USER);
		return false;
	}
	s->peer.role = atom_of(&s->site->atoms, user);
	return check_replication(st->replication, e);
}

/* Counts the sessions of the console that have no rights there. */
static unsigned
count_guests(const struct site *site)
{
	static const enum session_state states[] = {SESSION_CONSOLE, SESSION_CONSOLE_BUSY};
	const struct list_node *n;
	unsigned count = 0;

	for (unsigned i = 0; i < sizeof states / sizeof *states; i++)
		LIST_EACH (n, &site->in_state[states[i]])
			count += !site->console->reserved(LIST_OBJ(n, const struct session, node));
	return count;
}

/* Returns false with the reason in *e. */
static bool
there_is_room(const struct session *s, bool console, struct err *e)
{
	const struct site *site = s->site;
	unsigned most = (unsigned)site->conf->max_clients, guests = 1 + most / GUESTS_PART;
	bool reserved = console && site->console->reserved(s);
	/* Connections that have not said who they are, or not proved it, take nobody's place; this
	 * one has. */
	unsigned clients = site_sessions(site) - site->in_state[SESSION_STARTUP].count -
			   site->in_state[SESSION_PASSWORD].count +
			   (s->state == SESSION_STARTUP || s->state == SESSION_PASSWORD);

	if (clients > most && !reserved && !(s->peer.marks & PEER_INSIDE)) {
		err_make(e, ERR_TOO_MANY_CLIENTS, most);
	} else if (console && !reserved && count_guests(site) >= guests) {
		err_make(e, ERR_TOO_MANY_CLIENTS, most);
		err_detail(e,
			   "%u of them are for the console's sessions of roles that are in "
			   "neither admin_users nor stats_users",
			   guests);
	} else if (site->phase > SITE_FINISHING && !console) {
		err_make(e, ERR_SHUTDOWN);
	} else {
		return true;
	}
	return false;
}

static void
keep_params(struct session *s, const struct buf *params, const struct buf *repeated)
{
	struct context *c = &s->context;

	if (params->len > 0)
		c->startup = atom_get(&s->site->atoms, buf_data(params), params->len);
	if (repeated->len == 0)
		return;
	c->repeated = mem_alloc(sizeof *c->repeated);
	buf_init(c->repeated, repeated->len);
	buf_add(c->repeated, buf_data(repeated), repeated->len);
}

static const char *
database_of(const struct session *s, const struct startup *st)
{
	const char *database = st->database;

	return database && *database ? database : s->peer.role;
}

/* Does the name lead to the console? PgBouncer's exporters and dashboards ask for it under
 * PgBouncer's name. */
static bool
is_console(const struct session *s, const char *database)
{
	const struct pool *group;

	if (strcmp(database, CONSOLE_DATABASE) == 0)
		return true;
	if (strcmp(database, "pgbouncer") != 0)
		return false;
	group = gate_find(&s->site->pools, database);
	return group == NULL || group->removed;
}

#define JOIN_PARAM "pgwith.join"

/* May the packet ask to join a scope? */
static bool
may_join(const struct startup *st)
{
	const char *options = startup_get(st, "options");
	const char *at = st->params, *name, *value;

	if (options && strcasestr(options, JOIN_PARAM))
		return true;
	while (startup_next(&at, &name, &value))
		if (strcasecmp(name, JOIN_PARAM) == 0)
			return true;
	return false;
}

/* Takes the tokens out of the startup parameters. The caller frees the result; NULL: there are
 * none. */
static char *
take_tokens(struct buf *params)
{
	const char *at = (const char *)buf_data(params), *end = at + params->len;
	char *tokens = NULL;
	struct buf rest;

	buf_init(&rest, PARAMS_MAX);
	while (at < end) {
		const char *name = at, *value = name + strlen(name) + 1;

		at = value + strlen(value) + 1;
		if (strcasecmp(name, JOIN_PARAM) != 0) {
			buf_add(&rest, name, (size_t)(at - name));
			continue;
		}
		free(tokens);
		tokens = mem_strdup(value);
	}
	buf_reset(params);
	buf_add(params, buf_data(&rest), rest.len);
	buf_clear(&rest);
	return tokens;
}

/* Returns false with the reason in *e. */
static bool
join_scope(struct session *s, struct buf *params, struct buf *repeated, struct err *e)
{
	char *tokens = take_tokens(params);
	bool joined = tokens == NULL || joint_join(s, tokens, e);

	free(take_tokens(repeated));
	free(tokens);
	return joined;
}

/* The user of the client may come in: finds the pool, or the console. */
static void
enter_database(struct session *s, const struct startup *st)
{
	struct site *site = s->site;
	const char *database = database_of(s, st);
	bool console = is_console(s, database);
	bool joins;
	struct pool *pool;
	struct buf params, repeated;
	struct err e;

	if (!there_is_room(s, console, &e)) {
		refuse_login(s, &e);
		return;
	}
	if (console) {
		enter_console(s);
		return;
	}
	pool = pools_find(&site->pools, database, s->peer.role);
	if (pool == NULL) {
		err_make(&e, ERR_NO_POOL, database);
		refuse_login(s, &e);
		return;
	}
	if (gate_refuses(pool, &e) ||
	    (peer_is_counted(&s->peer) &&
	     !party_admit(&site->pools.parties, s->peer.role, s->peer.uid, &e))) {
		refuse_login(s, &e);
		return;
	}
	/* From here on it is counted as one of its parties. */
	s->pool = pool;
	s->context.mode = (uint8_t)s->pool->conf->mode;
	s->context.pin = s->pool->conf->pin;
	s->context.listens =
	    s->pool->conf->listen_mode == CONF_LISTEN_SHARED && s->context.mode != CONF_SESSION;
	joins = may_join(st);
	if (!joins && welcome_as_before(s, st))
		return;
	buf_init(&params, PARAMS_MAX);
	buf_init(&repeated, PARAMS_MAX);
	if (params_read(st, &params, &repeated, &e) < 0 ||
	    (joins && !join_scope(s, &params, &repeated, &e))) {
		refuse_login(s, &e);
	} else {
		application_take(s, &params);
		keep_params(s, &params, &repeated);
		login_again(s);
		/* Values that PostgreSQL looks at one by one may get a NOTICE each. */
		if (s->state == SESSION_IDLE && repeated.len == 0 && !joins)
			greeting_keep(s, st);
	}
	buf_clear(&params);
	buf_clear(&repeated);
}

/* By what may the client of this packet come in? AUTH_... bits. */
static unsigned
methods_of(const struct session *s, const struct startup *st)
{
	const struct conf *conf = s->site->conf;

	if (s->peer.marks & PEER_INSIDE)
		return AUTH_PEER;
	return auth_methods(is_console(s, database_of(s, st)) ? conf->auth_console : conf->auth);
}

/* The operating system does not let the client in: asks it for its password, or refuses it. */
static void
ask_or_refuse(struct session *s, unsigned methods, struct err *e)
{
	if (!(methods & AUTH_SCRAM)) {
		refuse_login(s, e);
		return;
	}
	err_clear(e);
	prove_begin(s);
}

/* Lets the client in or refuses it, if that can be decided now. Otherwise the session waits in
 * SESSION_LOOKUP or SESSION_PASSWORD, and keeps the packet, `data`, for login_looked_up() or
 * login_proved(). */
static void
admit_user(struct session *s, const struct startup *st, const uint8_t *data)
{
	unsigned methods = methods_of(s, st);
	struct err e = {.id = ERR_NONE};
	enum access r = ACCESS_NO;

	if (methods & AUTH_PEER)
		r = admit_login(s, s->peer.role, database_of(s, st), &e);
	if (r == ACCESS_YES) {
		enter_database(s, st);
		return;
	}
	if (s->peer.packet == NULL)
		peer_keep_packet(&s->peer, data, st->length);
	if (r == ACCESS_NO)
		ask_or_refuse(s, methods, &e);
}

static void
begin_login(struct session *s, const struct startup *st, const uint8_t *data)
{
	const char *database = st->database;
	struct err e;

	if (st->major != 3) {
		err_make(&e, ERR_PROTOCOL_VERSION, st->major, st->minor);
		refuse_login(s, &e);
		return;
	}
	if (database == NULL || *database == 0)
		database = st->user;
	negotiate(s, st, database ? database : "");
	if (s->state != SESSION_STARTUP)
		return;
	if (check_packet(s, st, &e))
		admit_user(s, st, data);
	else
		refuse_login(s, &e);
}

/* The session may have left LOOKUP or PASSWORD: then the packet is needed no more. */
static void
packet_done(struct session *s)
{
	if (s->state == SESSION_LOOKUP ||
	    (s->state == SESSION_PASSWORD && !(s->peer.marks & PEER_PROVED)))
		return;
	peer_drop_packet(&s->peer);
	if (s->state == SESSION_CONSOLE) {
		stream_resume(&s->stream);
		session_wake(s);
	}
}

void
login_looked_up(struct session *s)
{
	struct startup st;
	const uint8_t *data = buf_data(s->peer.packet);

	/* This does not fail: the packet was read before. */
	if (startup_read(data, s->peer.packet->len, &st) == 0)
		admit_user(s, &st, data);
	packet_done(s);
}

void
login_not_looked_up(struct session *s, const struct err *e)
{
	struct startup st;

	if (startup_read(buf_data(s->peer.packet), s->peer.packet->len, &st) == 0 &&
	    methods_of(s, &st) & AUTH_SCRAM)
		prove_begin(s);
	else
		login_failed(s, e);
}

void
login_proved(struct session *s)
{
	struct startup st;
	struct err e;

	s->peer.marks |= PEER_PROVED;
	if (startup_read(buf_data(s->peer.packet), s->peer.packet->len, &st) == 0) {
		if (admit_proved(s, database_of(s, &st), &e))
			enter_database(s, &st);
		else
			refuse_login(s, &e);
	}
	packet_done(s);
}

/* A CancelRequest. Its connection stays open until the server has got the cancel, as with
 * PostgreSQL: a client that waits for its end can send the next query, and the cancel does not hit
 * that. */
static void
carry_out_cancel(struct session *s, const struct startup *st)
{
	struct session *target = session_by_number(s->site, st->pid);
	size_t key_bytes = target ? greeting_key_bytes(target) : 0;
	uint8_t key[SESSION_KEY];

	session_set_state(s, SESSION_CANCEL);
	if (target)
		session_cancel_key(target, key, key_bytes);
	if (target && st->secret_bytes == key_bytes &&
	    CRYPTO_memcmp(key, st->secret, key_bytes) == 0 && cancel_session(target, s->id))
		return;
	session_close(s, CLEANUP_CLIENT_LEFT, "cancel");
}

/* The client asks for encryption, which there is not. If it asks for the same again, its request is
 * taken for a protocol version, as PostgreSQL does (15, tcop/postmaster.c,
 * ProcessStartupPacket()). */
static size_t
decline_encryption(struct session *s, const struct startup *st, bool *asked, unsigned minor)
{
	struct err e;

	if (*asked) {
		err_make(&e, ERR_PROTOCOL_VERSION, 1234, minor);
		refuse_login(s, &e);
		return 0;
	}
	*asked = true;
	reply_send(s, "N", 1);
	return st->length;
}

/* Handles one packet. Returns how many bytes it used; 0: more are needed, or no packet comes any
 * more. */
static size_t
handle_packet(struct session *s, const uint8_t *data, size_t bytes)
{
	struct startup st;
	struct err e;

	session_drop_kept(s, s->in->len);
	switch (startup_read(data, bytes, &st)) {
	case 0:
		break;
	case -E_AGAIN:
		return 0;
	case -E_RANGE:
		/* The sender does not speak the protocol, and would not understand an error.
		 * PostgreSQL closes without a word, too. */
		log_info_often("session", s->id, "refused", LOG_NUMBER("uid", s->peer.uid),
			       LOG_NUMBER("pid", s->peer.pid),
			       LOG_PHRASE("why", "invalid length of startup packet:", st.length));
		s->site->refused++;
		session_close(s, CLEANUP_CLIENT_REFUSED, "no startup packet");
		return 0;
	default:
		err_make(&e, ERR_STARTUP_LAYOUT);
		refuse_login(s, &e);
		return 0;
	}
	switch (st.kind) {
	case STARTUP_SSL:
		return decline_encryption(s, &st, &s->peer.asked_tls, 5679);
	case STARTUP_GSSENC:
		return decline_encryption(s, &st, &s->peer.asked_gss, 5680);
	case STARTUP_CANCEL:
		carry_out_cancel(s, &st);
		return 0;
	default:
		/* A client may send messages before it is let in: they are kept. */
		if (bytes > st.length)
			buf_add(session_keep(s), data + st.length, bytes - st.length);
		begin_login(s, &st, data);
		return 0;
	}
}

void
login_readable(struct session *s)
{
	uint8_t data[STARTUP_LARGEST];
	size_t bytes = s->in->len, used = 0, n;
	ssize_t r;

	/* s->in has the beginning of a packet that comes in pieces. No more is read than the
	 * largest packet. */
	if (bytes > 0)
		memcpy(data, buf_data(s->in), bytes);
	r = stream_read(&s->stream, data + bytes, sizeof data - bytes);
	if (r == -E_AGAIN)
		return;
	if (r <= 0) {
		session_close(s, CLEANUP_CLIENT_GONE, "client gone");
		return;
	}
	bytes += (size_t)r;
	do {
		n = handle_packet(s, data + used, bytes - used);
		used += n;
	} while (n > 0 && s->state == SESSION_STARTUP);
	if (s->state == SESSION_CONSOLE)
		session_wake(s);
	if (s->state != SESSION_STARTUP)
		return;
	if (bytes > used)
		buf_add(session_keep(s), data + used, bytes - used);
}

/* ---- time limits ---- */

/* The list of a state is in order of time: the session that entered first stands first. */

static void
sweep_startup(struct site *site, int64_t now)
{
	struct list_node *n;
	char text[32], why[80];

	while ((n = list_first(&site->in_state[SESSION_STARTUP])) != NULL) {
		struct session *s = LIST_OBJ(n, struct session, node);

		if (now - s->since_us < site->conf->login_timeout_us)
			break;
		/* Closed without a word, as by PostgreSQL: it may not speak the protocol. */
		snprintf(why, sizeof why, "no complete startup packet within %s",
			 units_duration_str(site->conf->login_timeout_us, text, sizeof text));
		log_info_often("session", s->id, "refused", LOG_NUMBER("uid", s->peer.uid),
			       LOG_NUMBER("pid", s->peer.pid), LOG_QUOTED("why", why));
		site->refused++;
		session_close(s, CLEANUP_CLIENT_REFUSED, "login_timeout");
	}
}

static void
sweep_lookup(struct site *site, int64_t now)
{
	struct list_node *n;

	while ((n = list_first(&site->in_state[SESSION_LOOKUP])) != NULL) {
		struct session *s = LIST_OBJ(n, struct session, node);
		struct err e;

		if (now - s->since_us < site->conf->login_timeout_us)
			break;
		admit_too_late(s, site->conf->login_timeout_us, &e);
		login_failed(s, &e);
		err_clear(&e);
	}
}

static void
sweep_password(struct site *site, int64_t now)
{
	struct list_node *n;

	while ((n = list_first(&site->in_state[SESSION_PASSWORD])) != NULL) {
		struct session *s = LIST_OBJ(n, struct session, node);

		if (now - s->since_us < site->conf->login_timeout_us)
			break;
		prove_too_late(s);
	}
}

static void
sweep_waiting(struct site *site, int64_t now)
{
	struct list_node *n, *after;

	LIST_EACH_SAFE (n, after, &site->in_state[SESSION_LOGIN]) {
		struct session *s = LIST_OBJ(n, struct session, node);

		if (now - s->since_us < PATIENCE_US)
			return;
		/* A server was granted in this event: its turn comes. */
		if (s->pool->told == NULL || s->hold->lease.state != LEASE_WAITING)
			continue;
		lease_leave(&s->hold->lease);
		login_welcome(s);
	}
	/* The server that these have asked was idle, and does not answer. */
	LIST_EACH_SAFE (n, after, &site->in_state[SESSION_GREETING]) {
		struct session *s = LIST_OBJ(n, struct session, node);

		if (now - s->since_us < PATIENCE_US)
			return;
		if (s->pool->told == NULL)
			continue;
		setup_abandon(s);
		login_welcome(s);
	}
}

void
login_sweep(struct site *site)
{
	int64_t now = loop_now_us(site->loop);

	sweep_startup(site, now);
	sweep_lookup(site, now);
	sweep_password(site, now);
	sweep_waiting(site, now);
}
