#include "session/lexing.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "pool/pool.h"
#include "wire/sqltext.h"

/* Have all messages of the client's been answered? */
static bool
all_answered(const struct progress *p)
{
	return p->ready_due == p->own_syncs && !p->extended;
}

/* Returns the value that context.parameters_sql gives to a parameter, up to a quote; or NULL. */
static const char *
value_of_session(const struct session *s, const char *name)
{
	char text[64];
	const char *at;

	if (s->context.parameters_sql == NULL)
		return NULL;
	snprintf(text, sizeof text, "'%s','", name);
	at = strcasestr(s->context.parameters_sql, text);
	return at ? at + strlen(text) : NULL;
}

/* Returns the value that is in force when the next text comes to the server, up to NUL or quote. */
static const char *
value_in_force(const struct session *s, const char *name)
{
	const struct lease *l = &s->hold->lease;
	const char *value = NULL;

	if (l->state == LEASE_HELD && l->srv->progress.own_syncs == 0)
		value = server_told(l->srv, name);
	if (value == NULL)
		value = value_of_session(s, name);
	if (value == NULL)
		value = pool_param(s->pool, name);
	return value ? value : "";
}

/* PostgreSQL takes a boolean by any beginning of its words that is not ambiguous. */
static bool
is_off(const char *value)
{
	size_t n = strcspn(value, "'");

	return (n > 0 && strncasecmp(value, "false", n) == 0) ||
	       (n > 0 && strncasecmp(value, "no", n) == 0) ||
	       (n > 1 && strncasecmp(value, "off", n) == 0) || (n == 1 && *value == '0');
}

unsigned
lexing_flags(const struct session *s, bool *certain)
{
	char encoding[64];
	const char *value;
	unsigned flags = 0;

	if (certain)
		*certain = s->hold->lease.state != LEASE_HELD ||
			   all_answered(&s->hold->lease.srv->progress);
	if (is_off(value_in_force(s, "standard_conforming_strings")))
		flags |= SQLTEXT_BACKSLASH;
	value = value_in_force(s, "client_encoding");
	snprintf(encoding, sizeof encoding, "%.*s", (int)strcspn(value, "'"), value);
	return flags | sqltext_encoding(encoding);
}

bool
lexing_each(bool (*with)(void *arg, unsigned flags), void *arg)
{
	static const unsigned encodings[] = {0, SQLTEXT_SJIS, SQLTEXT_DOUBLE, SQLTEXT_GB18030};

	for (unsigned i = 0; i < sizeof encodings / sizeof *encodings; i++)
		if (!with(arg, encodings[i]) || !with(arg, encodings[i] | SQLTEXT_BACKSLASH))
			return false;
	return true;
}
