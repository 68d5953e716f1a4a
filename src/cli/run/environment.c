#include "cli/run/environment.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

extern char **environ;

char **
environment_copy(void)
{
	unsigned n = 0;
	char **copy;

	while (environ[n])
		n++;
	copy = mem_calloc(n + 1, sizeof *copy);
	for (unsigned i = 0; i < n; i++)
		copy[i] = mem_strdup(environ[i]);
	return copy;
}

void
environment_free(char **e)
{
	for (char **p = e; p && *p; p++)
		free(*p);
	free(e);
}

/* ---- leading programs to a pool ---- */

#define BLANKS " \t\n\r\f\v"
#define JOIN   "pgwith.join="

/* The place of a variable, or that of the NULL at the end. */
static unsigned
find(char **e, const char *name)
{
	size_t bytes = strlen(name);
	unsigned i = 0;

	while (e[i] && (strncmp(e[i], name, bytes) != 0 || e[i][bytes] != '='))
		i++;
	return i;
}

/* Removes a variable, also one that is there twice. */
static void
drop(char **e, const char *name)
{
	unsigned i;

	while (e[i = find(e, name)]) {
		free(e[i]);
		for (; e[i]; i++)
			e[i] = e[i + 1];
	}
}

/* Sets a variable. Returns the environment. */
static char **
set(char **e, const char *name, const char *value)
{
	unsigned n = 0;

	drop(e, name);
	while (e[n])
		n++;
	e = mem_realloc(e, (n + 2) * sizeof *e);
	e[n] = mem_printf("%s=%s", name, value);
	e[n + 1] = NULL;
	return e;
}

/* Where the option begins whose value begins at `value`: -c VALUE, -cVALUE or --VALUE. NULL: it is
 * no option. */
static char *
option_at(char *options, char *value)
{
	char *at = value;

	while (at > options && strchr(BLANKS, at[-1]))
		at--;
	if (at - options >= 2 && strncmp(at - 2, "-c", 2) == 0)
		return at - 2;
	return at == value && at - options >= 2 && strncmp(at - 2, "--", 2) == 0 ? at - 2 : NULL;
}

/* Takes the tokens out of the text of PGOPTIONS. Returns them with a comma in front of each; the
 * caller frees. */
static char *
take_tokens(char *options)
{
	char *tokens = mem_strdup(""), *at = options, *begin, *more;

	while ((at = strstr(at, JOIN)) != NULL) {
		char *value = at + strlen(JOIN);
		size_t bytes = strcspn(value, BLANKS);

		begin = option_at(options, at);
		if (begin == NULL) {
			at = value;
			continue;
		}
		more = mem_printf("%s,%.*s", tokens, (int)bytes, value);
		free(tokens);
		tokens = more;
		memmove(begin, value + bytes, strlen(value + bytes) + 1);
		at = begin;
	}
	return tokens;
}

/* PGOPTIONS that joins the scopes; those that it joins so far stand behind. Without tokens it joins
 * nothing. The caller frees. */
static char *
options_with(const char *before, const char *tokens)
{
	char *options = mem_strdup(before), *older = take_tokens(options), *all;

	if (*tokens)
		all =
		    mem_printf("%s%s-c " JOIN "%s%s", options, *options ? " " : "", tokens, older);
	else
		all = mem_strdup(options);
	free(options);
	free(older);
	return all;
}

/* ---- a connection URL ---- */

/* Adds a text of which every byte that could mean something in a URL is %XX. */
static void
add_encoded(struct buf *b, const char *text)
{
	static const char plain[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

	for (; *text; text++)
		if (strchr(plain, *text))
			buf_add_u8(b, (uint8_t)*text);
		else
			buf_add_fmt(b, "%%%02X", (unsigned)(unsigned char)*text);
}

/* postgresql:///POOL?host=DIRECTORY&port=PORT&user=ROLE&options=... The caller frees. */
static char *
url_of(const struct environment_place *p)
{
	struct buf b;
	char *url;

	buf_init(&b, BUF_MAX);
	buf_add_fmt(&b, "postgresql:///");
	add_encoded(&b, p->database);
	buf_add_fmt(&b, "?host=");
	add_encoded(&b, p->host);
	buf_add_fmt(&b, "&port=");
	add_encoded(&b, p->port);
	buf_add_fmt(&b, "&user=");
	add_encoded(&b, p->user);
	if (*p->tokens) {
		buf_add_fmt(&b, "&options=");
		add_encoded(&b, "-c " JOIN);
		add_encoded(&b, p->tokens);
	}
	url = mem_strndup((const char *)buf_data(&b), b.len);
	buf_clear(&b);
	return url;
}

char **
environment_lead(char **e, const struct environment_place *p)
{
	static const char *const elsewhere[] = {
	    "PGHOSTADDR",       "PGSERVICE",     "PGREQUIREPEER",      "PGSSLMODE",
	    "PGREQUIRESSL",     "PGGSSENCMODE",  "PGREQUIREAUTH",      "PGCHANNELBINDING",
	    "PGSSLNEGOTIATION", "PGSSLCERTMODE", "PGLOADBALANCEHOSTS", "PGTARGETSESSIONATTRS"};
	char *options;
	unsigned at;

	for (unsigned i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
		drop(e, elsewhere[i]);
	e = set(e, "PGHOST", p->host);
	e = set(e, "PGPORT", p->port);
	e = set(e, "PGDATABASE", p->database);
	e = set(e, "PGUSER", p->user);
	if (p->url) {
		char *url = url_of(p);

		e = set(e, p->url, url);
		free(url);
	}
	at = find(e, "PGOPTIONS");
	if (*p->tokens == 0 && e[at] == NULL)
		return e;
	options = options_with(e[at] ? e[at] + strlen("PGOPTIONS=") : "", p->tokens);
	e = set(e, "PGOPTIONS", options);
	free(options);
	return e;
}
