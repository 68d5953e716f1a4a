#include "session/context.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/atom.h"
#include "base/fnv.h"
#include "base/mem.h"
#include "pool/pool.h"
#include "session/application.h"
#include "session/batch.h"
#include "session/holds.h"
#include "session/params.h"
#include "session/setcalls.h"
#include "session/site.h"
#include "session/unlisted.h"
#include "wire/msg.h"

static const char *const identity[] = {"role", "session_authorization"};
#define IDENTITY identity, sizeof identity / sizeof *identity

/* Parameters that a server may refuse though it has accepted them before: they name something that
 * can be gone since, or they can be changed no more. */
static const char *const refusable[] = {"temp_buffers", "default_tablespace", "temp_tablespaces",
					"default_table_access_method",
					"default_text_search_config"};
#define REFUSABLE refusable, sizeof refusable / sizeof *refusable

/* Does the SQL set a parameter of plpgsql? Any such name can be set until the first DO loads the
 * library; then it may be refused. */
static bool
sets_plpgsql(const char *sql)
{
	return sql && strcasestr(sql, "set_config('plpgsql.");
}

/* Returns a hash of the names that the SQL sets, without the values. */
static uint64_t
hash_names(const char *sql)
{
	uint64_t hash = FNV_SEED;
	struct setcall c;

	while (setcalls_next(&sql, &c))
		hash = fnv_bytes(hash, c.name, strcspn(c.name, "'") + 1);
	return hash;
}

static bool
has_accepted(const struct server *srv, uint64_t names)
{
	for (size_t i = 0; i < SERVER_TAKEN; i++)
		if (srv->taken[i] == names)
			return true;
	return false;
}

void
context_note_accepted(struct server *srv, const char *sql)
{
	uint64_t names = hash_names(sql);

	if (sql && !has_accepted(srv, names))
		srv->taken[srv->ntaken++ % SERVER_TAKEN] = names;
}

void
context_start(struct session *s)
{
	const char *at = s->context.startup, *end = at + atom_bytes(at);
	struct buf sql;

	while (at < end) {
		const char *name = at;

		if (!unlisted_startup(&s->context, name))
			holds_need(s)->pinned |= HOLD_PIN_SETTING;
		at = name + strlen(name) + 1;
		at += strlen(at) + 1;
	}
	buf_init(&sql, SETCALLS_MAX);
	params_setup(s->context.startup, atom_bytes(s->context.startup), s->pool, &sql);
	free(s->context.parameters_sql);
	s->context.parameters_sql =
	    sql.len > 0 && !sql.failed ? mem_strdup((char *)buf_data(&sql)) : NULL;
	buf_clear(&sql);
}

/* ---- what was told ---- */

static bool
is_set_by_session(const struct session *s, const char *name)
{
	const char *at = s->context.parameters_sql;
	struct setcall c;

	while (setcalls_next(&at, &c))
		if (setcalls_is(&c, name))
			return true;
	return false;
}

/* Is there a client that relies on the value that it was told? */
static bool
may_be_relied_on(const char *name)
{
	return strcasecmp(name, "application_name") != 0 && !params_fixed(name);
}

/* Does the client rely on the value that it was told? It does if the value says how data are
 * written, or if the startup packet has set it. */
static bool
is_relied_on(const struct session *s, const char *name)
{
	static const char *const names[] = {"client_encoding", "DateStyle", "IntervalStyle",
					    "TimeZone", "standard_conforming_strings"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcasecmp(names[i], name) == 0)
			return true;
	return may_be_relied_on(name) &&
	       params_value(s->context.startup, atom_bytes(s->context.startup), name);
}

/* Makes the parameter a startup parameter with this value, and adds the call that sets it. */
static void
add_to_startup(struct session *s, const char *name, const char *value, struct buf *sql)
{
	const char *at = s->context.startup, *end = at + atom_bytes(at);
	struct buf startup;

	buf_init(&startup, SETCALLS_MAX);
	while (at < end) {
		const char *n = at, *v = n + strlen(n) + 1;

		if (strcasecmp(n, name) != 0) {
			buf_add_str(&startup, n);
			buf_add_str(&startup, v);
		}
		at = v + strlen(v) + 1;
	}
	buf_add_str(&startup, name);
	buf_add_str(&startup, value);
	buf_add_fmt(sql, sql->len ? ", pg_catalog.set_config(" : "SELECT pg_catalog.set_config(");
	params_literal(sql, name);
	buf_add_u8(sql, ',');
	params_literal(sql, value);
	buf_add_fmt(sql, ",false)");
	if (!startup.failed) {
		atom_drop(&s->site->atoms, s->context.startup);
		s->context.startup = atom_get(&s->site->atoms, buf_data(&startup), startup.len);
	}
	buf_clear(&startup);
}

/* Puts the calls before those of parameters_sql, in which role and authorization are last. */
static void
put_ahead(struct session *s, struct buf *sql)
{
	if (s->context.parameters_sql && sql->len > 0)
		buf_add_fmt(sql, ", %s", s->context.parameters_sql + strlen("SELECT "));
	buf_add_u8(sql, 0);
	if (sql->len > 1 && !sql->failed) {
		free(s->context.parameters_sql);
		s->context.parameters_sql = mem_strdup((char *)buf_data(sql));
	}
}

void
context_keep_told(struct session *s)
{
	const struct server *srv = s->hold->lease.srv;
	const char *at = NULL, *name, *value;
	bool alike = true;
	struct buf sql;
	uint64_t pair;

	if (s->context.told == NULL || srv->own == s->context.told ||
	    told_is_alike(s->context.told, srv->own, srv->told_at_login))
		return;
	pair = told_pair(s->context.told, srv->own);
	if (pair != 0 && pair == s->context.compared)
		return;
	s->context.compared = pair;
	buf_init(&sql, SETCALLS_MAX);
	while (told_next(s->context.told, &at, &name, &value)) {
		const char *own = told_get(srv->own, name),
			   *was = told_get(srv->told_at_login, name);

		/* If the server has reloaded its configuration, the client is told, as always. */
		if (own == NULL || was == NULL || !may_be_relied_on(name) ||
		    strcmp(own, value) == 0 || strcmp(was, value) == 0)
			continue;
		alike = false;
		if (is_relied_on(s, name) && !is_set_by_session(s, name))
			add_to_startup(s, name, value, &sql);
	}
	put_ahead(s, &sql);
	buf_clear(&sql);
	if (alike)
		told_note_alike(s->context.told, srv->own, srv->told_at_login);
}

void
context_moves(struct session *s)
{
	const char *at = NULL, *name, *value;
	struct buf sql;

	buf_init(&sql, SETCALLS_MAX);
	while (told_next(s->context.told, &at, &name, &value))
		if (is_relied_on(s, name) && !is_set_by_session(s, name))
			add_to_startup(s, name, value, &sql);
	put_ahead(s, &sql);
	buf_clear(&sql);
}

void
context_discarded(struct session *s)
{
	struct server *srv = s->hold->lease.srv;

	s->hold->pinned &= HOLD_PIN_MODE;
	s->hold->changed = s->hold->pins_doubtful = false;
	if (s->context.names)
		names_clear(s->context.names, &srv->prepared);
	prepared_forget(&srv->prepared);
	free(srv->context);
	srv->context = NULL;
	srv->lingers = false;
	srv->sequences = s->id;
	application_unset(s);
	context_start(s);
}

/* ---- giving ---- */

void
context_own(struct progress *p, const char *sql, struct buf *out)
{
	size_t at = msg_begin(out, 'P');

	buf_add_u8(out, 0);
	buf_add_str(out, sql);
	buf_add_u16(out, 0);
	msg_end(out, at);
	at = msg_begin(out, 'B');
	buf_add_u16(out, 0); /* portal and statement: both "" */
	buf_add_u16(out, 0); /* formats of parameters */
	buf_add_u16(out, 0); /* parameters */
	buf_add_u16(out, 0); /* formats of results */
	msg_end(out, at);
	at = msg_begin(out, 'E');
	buf_add_u8(out, 0);
	buf_add_u32(out, 0);
	msg_end(out, at);
	for (int i = 0; i < 3; i++)
		progress_sent_as(p, PROGRESS_OWN);
}

#define HASTY_MS 2000 /* a statement_timeout below this may end statements of ours */

/* Is it a short statement_timeout? The value is spelled as by a server or in a startup packet. */
static bool
is_short(const char *value)
{
	char *unit;
	double ms = strtod(value, &unit);

	unit += strspn(unit, " ");
	if (strncmp(unit, "us", 2) == 0)
		ms /= 1000;
	else if (*unit == 's')
		ms *= 1000;
	else if (*unit != '\'' && strncmp(unit, "ms", 2) != 0)
		ms *= 60000;
	return ms > 0 && ms < HASTY_MS;
}

static bool
is_hasty(const struct server *srv)
{
	const char *value = server_has_set(srv, "'statement_timeout','");

	return value && is_short(value);
}

/* Has the server of session->hold been given the session's parameters? NULL: it has its own. */
static bool
has_parameters(const struct session *s)
{
	const struct server *srv = s->hold->lease.srv;
	const char *have = srv->context, *want = s->context.parameters_sql;

	return !srv->lingers && (have == want || (have && want && strcmp(have, want) == 0));
}

/* May the server have parameters that are to be reset? */
static bool
has_any(const struct server *srv)
{
	return srv->context || srv->lingers;
}

bool
context_is_doubtful(const struct session *s)
{
	const struct server *srv = s->hold->lease.srv;

	if (has_parameters(s))
		return false;
	return setcalls_have(srv->context, IDENTITY) ||
	       setcalls_have(s->context.parameters_sql, IDENTITY) ||
	       setcalls_have(s->context.parameters_sql, REFUSABLE) ||
	       sets_plpgsql(s->context.parameters_sql) || is_hasty(srv) ||
	       (s->context.parameters_sql &&
		!has_accepted(srv, hash_names(s->context.parameters_sql)));
}

bool
context_differs(const struct session *s)
{
	return !has_parameters(s) || application_differs(s);
}

void
context_change(const struct session *s, struct buf *sql)
{
	if (has_any(s->hold->lease.srv))
		buf_add_fmt(sql,
			    "RESET statement_timeout; RESET ROLE; RESET SESSION AUTHORIZATION; "
			    "RESET ALL; ");
	buf_add_fmt(sql, "%s", s->context.parameters_sql ? s->context.parameters_sql : "");
	/* RESET ALL, here or in params_check(), has reset application_name. */
	if (has_any(s->hold->lease.srv) || context_repeated_bytes(&s->context) > 0 ||
	    application_differs(s)) {
		buf_add_fmt(sql, s->context.parameters_sql ? ", " : "SELECT ");
		application_call(s, sql);
	}
}

static void
send_application(const struct session *s, struct buf *out)
{
	struct buf sql;

	buf_init(&sql, SETCALLS_MAX);
	buf_add_fmt(&sql, "SELECT ");
	application_call(s, &sql);
	buf_add_u8(&sql, 0);
	context_own(&s->hold->lease.srv->progress, (char *)buf_data(&sql), out);
	buf_clear(&sql);
}

void
context_apply(struct session *s)
{
	struct server *srv = s->hold->lease.srv;
	const char *have = srv->context, *want = s->context.parameters_sql;
	bool other = !has_parameters(s), reset = other && has_any(srv);
	struct buf *out;

	if (!other && !application_differs(s))
		return;
	out = batch_for(s);
	if (reset) {
		/* The role is reset first: it may not be allowed to reset the rest. */
		if (srv->lingers || strcasestr(have, "'role'"))
			context_own(&srv->progress, "RESET ROLE", out);
		if (srv->lingers || strcasestr(have, "'session_authorization'"))
			context_own(&srv->progress, "RESET SESSION AUTHORIZATION", out);
		context_own(&srv->progress, "RESET ALL", out);
	}
	/* RESET ALL has reset application_name. A statement_timeout of the session must not hit
	 * that, so it comes ahead. */
	if (reset || application_differs(s))
		send_application(s, out);
	if (other && want)
		context_own(&srv->progress, want, out);
	msg_sync(out);
	progress_sent_own_sync(&srv->progress);
	context_applied(s);
}

void
context_applied(struct session *s)
{
	struct server *srv = s->hold->lease.srv;

	free(srv->context);
	srv->context = s->context.parameters_sql ? mem_strdup(s->context.parameters_sql) : NULL;
	srv->lingers = false;
}

bool
context_may_be_taken(const struct session *s)
{
	if (s->context.refused || s->context.wants_fresh)
		return false;
	return s->context.accepted || setcalls_have(s->context.parameters_sql, REFUSABLE) ||
	       setcalls_have(s->hold->lease.srv->context, IDENTITY) || s->context.probes;
}

void
context_taken(struct session *s)
{
	context_applied(s);
	s->context.accepted = true;
	context_note_accepted(s->hold->lease.srv, s->context.parameters_sql);
	s->context.wants_fresh = s->context.refused = s->context.probes = false;
}

void
context_give_in(struct session *s)
{
	const char *at = s->context.parameters_sql;
	struct setcall c;
	struct buf sql;

	s->context.refused = false;
	if (!setcalls_have(s->context.parameters_sql, IDENTITY)) {
		context_start(s);
		return;
	}
	buf_init(&sql, SETCALLS_MAX);
	while (setcalls_next(&at, &c)) {
		if (setcalls_is_any(&c, IDENTITY))
			continue;
		buf_add_fmt(&sql, sql.len > 0 ? ", " : "SELECT ");
		buf_add(&sql, c.at, (size_t)(c.end - c.at));
	}
	free(s->context.parameters_sql);
	s->context.parameters_sql =
	    sql.len > 0 ? mem_strndup((char *)buf_data(&sql), sql.len) : NULL;
	buf_clear(&sql);
}

void
context_forget_repeated(struct context *c)
{
	if (c->repeated)
		buf_clear(c->repeated);
	free(c->repeated);
	c->repeated = NULL;
}

void
context_clear(struct context *c, struct tolds *all, struct atoms *atoms)
{
	atom_drop(atoms, c->startup);
	context_forget_repeated(c);
	free(c->parameters_sql);
	free(c->unlisted);
	unnamed_forget(c->unnamed, NULL);
	free(c->unnamed);
	atom_drop(atoms, c->application);
	atom_drop(atoms, c->application_told);
	atom_drop(atoms, c->application_set);
	told_drop(all, c->told);
	told_drop(all, c->greeted);
	free(c->names);
}
