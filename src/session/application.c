#include "session/application.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/trace.h"
#include "base/utf8.h"
#include "pool/pool.h"
#include "session/params.h"
#include "session/site.h"
#include "wire/canonical.h"

#define NAME "application_name"
/* The name that a server connection has if the conninfo of its pool gives none (pool/resolve.c). */
#define FALLBACK "pgwith"

#define TOLD_MAX (4 * CANONICAL_NAME_MAX + 8)

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

void
application_start(struct session *s)
{
	const char *encoding = pool_param(s->pool, "server_encoding");
	const char *version = pool_param(s->pool, "server_version");
	bool utf8 = encoding && strcmp(encoding, "UTF8") == 0;
	struct atoms *atoms = &s->site->atoms;
	char text[TOLD_MAX], *given;

	if (s->context.application == NULL)
		s->context.application = default_name(s);
	if (s->context.application_told)
		return;
	canonical_application(s->context.application, utf8, version ? atoi(version) : 0, text,
			      sizeof text);
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
application_name(const struct context *c)
{
	return c->application_set    ? c->application_set
	       : c->application_told ? c->application_told
	       : c->application      ? c->application
				     : "";
}

void
application_set(struct session *s, const char *value)
{
	struct context *c = &s->context;

	atom_drop(&s->site->atoms, c->application_set);
	c->application_set =
	    value && (c->application_told == NULL || strcmp(value, c->application_told) != 0)
		? atom_of(&s->site->atoms, value)
		: NULL;
	if (trace_on)
		trace_add(TRACE_WHO, loop_now_us(s->site->loop), s->id, (uint64_t)s->peer.pid, 0,
			  s->peer.role, application_name(c));
}

bool
application_differs(const struct session *s)
{
	const struct told *told = s->hold->lease.srv->told;
	const char *have = told ? told->application : NULL;

	return have && strcmp(have, application_name(&s->context)) != 0;
}

void
application_call(const struct context *c, struct buf *sql)
{
	const char *value = c->application_set ? c->application_set : c->application;

	buf_add_fmt(sql, "pg_catalog.set_config('" NAME "',");
	params_bytes_literal(sql, value ? value : "");
	buf_add_fmt(sql, ",false)");
}
