#include "session/application.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/trace.h"
#include "base/utf8.h"
#include "conf/naming.h"
#include "pool/pool.h"
#include "session/params.h"
#include "session/shown.h"
#include "session/site.h"
#include "wire/canonical.h"

#define NAME "application_name"
/* The name that a server connection has if the conninfo of its pool gives none (pool/resolve.c). */
#define FALLBACK "pgwith"

#define TOLD_MAX (4 * CANONICAL_NAME_MAX + 8)
/* Bytes of what a format makes, before it is cut: more than PostgreSQL keeps of it. */
#define MADE_MAX 512

void
application_take(struct session *s, struct buf *params)
{
	const char *at = (const char *)buf_data(params), *end = at + params->len;
	struct buf rest;

	buf_init(&rest, PARAMS_MAX);
	while (at < end) {
		const char *name = at, *value = name + strlen(name) + 1;

		at = value + strlen(value) + 1;
		if (strcasecmp(name, NAME) == 0) {
			atom_drop(&s->site->atoms, s->context.application);
			s->context.application = atom_of(&s->site->atoms, value);
		} else {
			buf_add(&rest, name, (size_t)(at - name));
		}
	}
	buf_reset(params);
	buf_add(params, buf_data(&rest), rest.len);
	buf_clear(&rest);
}

static bool
is_utf8(const char *text)
{
	size_t bytes = strlen(text);
	uint32_t character;
	unsigned n;

	for (; bytes > 0; text += n, bytes -= n)
		if ((n = utf8_read(text, bytes, &character)) == 0)
			return false;
	return true;
}

static bool
is_ascii(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 32 || (unsigned char)*text > 126)
			return false;
	return true;
}

/* The name of a client that gives none: that of the pool's conninfo, or of a setting of the server;
 * otherwise it is empty, as with PostgreSQL. */
static const char *
default_name(const struct session *s)
{
	const char *own = pool_param(s->pool, NAME);

	return atom_of(&s->site->atoms, own && strcmp(own, FALLBACK) != 0 ? own : "");
}

/* Is the server's encoding UTF-8? */
static bool
server_is_utf8(const struct session *s)
{
	const char *encoding = pool_param(s->pool, "server_encoding");

	return encoding && strcmp(encoding, "UTF8") == 0;
}

/* Writes the name as a server reports it, into TOLD_MAX bytes. */
static void
spell(const struct session *s, const char *name, char *text)
{
	const char *version = pool_param(s->pool, "server_version");

	canonical_application(name, server_is_utf8(s), version ? atoi(version) : 0, text, TOLD_MAX);
}

/* ---- the name that is made of a format ---- */

/* Writes the name that the format of `conf` makes for the session whose own name is `own`, as a
 * server reports it, into TOLD_MAX bytes. */
static void
make(const struct session *s, const struct conf_pool *conf, const char *own, const char *scope,
     char *text)
{
	const struct shown *shown = s->rare->shown;
	char program[sizeof shown->program], made[MADE_MAX];
	struct naming_values v = {
	    .name = own,
	    .program = shown ? shown->program : program,
	    .scope = scope,
	    .pid = s->peer.pid,
	    .uid = s->peer.uid,
	    .session = s->id,
	};

	if (shown == NULL && peer_program(s->peer.pid, program, sizeof program) == NULL)
		snprintf(program, sizeof program, "?");
	naming_write(conf->application_name, &v, made, sizeof made);
	spell(s, made, text);
	/* Escapes (\xNN) may have made it longer. What is cut here is what the server would cut, so
	 * it reports exactly this text. */
	text[CANONICAL_NAME_MAX] = 0;
}

void
application_make_now(struct session *s, const char *own)
{
	struct shown *shown = s->rare->shown;
	char text[TOLD_MAX];

	atom_drop(&s->site->atoms, shown->now);
	if (shown->of_pool) {
		own = pool_param(s->pool, NAME);
		shown->now = atom_of(&s->site->atoms, own ? own : "");
		return;
	}
	make(s, s->pool->conf, own, "", text);
	shown->now = atom_of(&s->site->atoms, text);
}

/* ---- the name of a session ---- */

void
application_start(struct session *s)
{
	struct atoms *atoms = &s->site->atoms;
	bool utf8 = server_is_utf8(s);
	char text[TOLD_MAX], *given;

	if (s->context.application == NULL)
		s->context.application = default_name(s);
	if (s->context.application_told)
		return;
	spell(s, s->context.application, text);
	s->context.application_told = atom_of(atoms, text);
	given = mem_strndup(s->context.application,
			    canonical_name_length(s->context.application, utf8));
	/* The name is sent in the server's encoding. If it is not valid in that, it is sent as the
	 * server would have cleaned it. */
	text[CANONICAL_NAME_MAX] = 0;
	atom_drop(atoms, s->context.application);
	s->context.application =
	    atom_of(atoms, is_ascii(given) || (utf8 && is_utf8(given)) ? given : text);
	free(given);
}

const char *
application_name(const struct session *s)
{
	const struct context *c = &s->context;

	return c->application_set    ? c->application_set
	       : s->rare->shown      ? s->rare->shown->own_told
	       : c->application_told ? c->application_told
	       : c->application      ? c->application
				     : "";
}

/* The name of the server at its login. */
static const char *
name_of_server(const struct server *srv)
{
	return srv->own && srv->own->application ? srv->own->application : "";
}

const char *
application_given(const struct session *s, const struct hold *h)
{
	const struct shown *shown = s->rare->shown;

	if (h->named)
		return h->named;
	if (shown == NULL)
		return application_name(s);
	return shown->of_pool && h->lease.srv ? name_of_server(h->lease.srv) : shown->now;
}

/* The client has set this name, which is an atom; NULL: it has its own of the startup packet. */
static void
note_set(struct session *s, const char *set)
{
	struct context *c = &s->context;
	const struct shown *shown = s->rare->shown;

	atom_drop(&s->site->atoms, c->application_set);
	c->application_set = set;
	if (shown)
		application_make_now(s, set ? set : shown->own);
	if (trace_on)
		trace_add(TRACE_WHO, loop_now_us(s->site->loop), s->id, (uint64_t)s->peer.pid, 0,
			  s->peer.role, application_name(s));
}

void
application_set(struct session *s, const char *value)
{
	const struct context *c = &s->context;
	const char *has = value ? value : name_of_server(s->hold->lease.srv);

	/* The server has the name that it was given, or that the client has set before. */
	if ((s->hold->named || s->rare->shown) &&
	    (strcmp(has, application_given(s, s->hold)) == 0 ||
	     (c->application_set && strcmp(has, c->application_set) == 0)))
		return;
	note_set(s,
		 value && (c->application_told == NULL || strcmp(value, c->application_told) != 0)
		     ? atom_of(&s->site->atoms, value)
		     : NULL);
}

void
application_unset(struct session *s)
{
	note_set(s, NULL);
}

bool
application_differs(const struct session *s)
{
	const struct told *told = s->hold->lease.srv->told;
	const char *have = told ? told->application : NULL;

	return have && strcmp(have, application_given(s, s->hold)) != 0;
}

void
application_call(const struct session *s, struct buf *sql)
{
	const struct context *c = &s->context;
	const char *value;

	if (s->hold->named || s->rare->shown)
		value = application_given(s, s->hold);
	else
		value = c->application_set ? c->application_set : c->application;
	buf_add_fmt(sql, "pg_catalog.set_config('" NAME "',");
	params_bytes_literal(sql, value ? value : "");
	buf_add_fmt(sql, ",false)");
}

const char *
application_after_reset(const struct session *s)
{
	const struct context *c = &s->context;
	const struct shown *shown = s->rare->shown;

	/* The server's name is made of the name of the startup packet already. */
	if ((s->hold->named && c->application_set == NULL) || (shown && shown->of_pool))
		return application_given(s, s->hold);
	return c->application_told ? c->application_told : "";
}

/* ---- leases ---- */

void
application_begin_lease(struct session *s)
{
	free(s->hold->named);
	s->hold->named = NULL;
}

void
application_enter(struct session *s, const char *scope)
{
	const struct context *c = &s->context;
	const struct conf_pool *conf = s->hold->lease.pool->conf;
	enum naming kind = naming_kind(conf->application_name);
	const char *name = application_name(s), *own = c->application_set;
	const struct shown *shown = s->rare->shown;
	char text[TOLD_MAX];

	if (kind == NAMING_CLIENT && shown == NULL && s->hold->named == NULL)
		return;
	if (own == NULL)
		own = shown ? shown->own : c->application;
	if (kind == NAMING_POOL)
		name = name_of_server(s->hold->lease.srv);
	if (kind == NAMING_FORMAT) {
		make(s, conf, own ? own : "", scope, text);
		name = text;
	}
	application_begin_lease(s);
	if (strcmp(name, application_given(s, s->hold)) != 0)
		s->hold->named = mem_strdup(name);
}
