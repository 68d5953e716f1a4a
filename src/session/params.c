#include "session/params.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

#define WORD_MAX 4096 /* bytes of one word of options; the packet itself is not much longer */

static bool
for_login(const char *name)
{
	static const char *const names[] = {"user", "database", "application_name", "replication",
					    "options"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return strncmp(name, "_pq_.", 5) == 0;
}

/* Cuts the next word at white space; a backslash takes the next character as it is. False at the
 * end. */
static bool
next_word(const char **at, char *word)
{
	const char *p = *at;
	size_t n = 0;

	while (isspace((unsigned char)*p))
		p++;
	if (*p == 0)
		return false;
	while (*p && !isspace((unsigned char)*p)) {
		if (*p == '\\' && p[1])
			p++;
		if (n < WORD_MAX - 1)
			word[n++] = *p;
		p++;
	}
	word[n] = 0;
	*at = p;
	return true;
}

/* name=value; in a name a - stands for _ as in PostgreSQL's ParseLongOption(). */
static int
add_setting(char *setting, struct buf *out)
{
	char *equals = strchr(setting, '=');

	if (equals == NULL || equals == setting)
		return -E_SYNTAX;
	*equals = 0;
	for (char *p = setting; *p; p++)
		if (*p == '-')
			*p = '_';
	buf_add_str(out, setting);
	buf_add_str(out, equals + 1);
	return 0;
}

static int
read_options(const char *options, struct buf *out, char *why, size_t why_size)
{
	char word[WORD_MAX];

	while (next_word(&options, word)) {
		int r;

		if (strcmp(word, "-c") == 0)
			r = next_word(&options, word) ? add_setting(word, out) : -E_SYNTAX;
		else if (strncmp(word, "-c", 2) == 0 || strncmp(word, "--", 2) == 0)
			r = add_setting(word + 2, out);
		else
			r = -E_SYNTAX;
		if (r < 0) {
			snprintf(why, why_size, "\"%.100s\"", word);
			return r;
		}
	}
	return 0;
}

int
params_read(const struct startup *st, struct buf *out, char *why, size_t why_size)
{
	const char *at = st->params, *name, *value;
	const char *options = startup_get(st, "options");

	/* options first: a parameter of its own wins over them, as in PostgreSQL. */
	if (options && read_options(options, out, why, why_size) < 0)
		return -E_SYNTAX;
	while (startup_next(&at, &name, &value)) {
		if (for_login(name))
			continue;
		buf_add_str(out, name);
		buf_add_str(out, value);
	}
	return 0;
}

/* UTF8, utf-8, 'utf-8' and unicode are one encoding to PostgreSQL. */
static void
plain_encoding(const char *from, char *to, size_t size)
{
	size_t n = 0;

	for (; *from && n < size - 1; from++)
		if (isalnum((unsigned char)*from))
			to[n++] = (char)tolower((unsigned char)*from);
	to[n] = 0;
	if (strcmp(to, "unicode") == 0)
		snprintf(to, size, "utf8");
}

bool
params_same(const char *name, const char *wanted, const char *reported)
{
	if (strcasecmp(name, "client_encoding") == 0) {
		char a[64], b[64];

		plain_encoding(wanted, a, sizeof a);
		plain_encoding(reported, b, sizeof b);
		return strcmp(a, b) == 0;
	}
	if (strcasecmp(name, "DateStyle") == 0) {
		/* "ISO" leaves the order of "ISO, MDY" as it is. */
		size_t n = strlen(wanted);

		return strncasecmp(wanted, reported, n) == 0 &&
		       (reported[n] == 0 || (n > 0 && reported[n] == ','));
	}
	return strcasecmp(wanted, reported) == 0;
}

void
params_literal(struct buf *sql, const char *text)
{
	buf_add_fmt(sql, strchr(text, '\\') ? " E'" : "'");
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			buf_add_u8(sql, (uint8_t)*text);
		buf_add_u8(sql, (uint8_t)*text);
	}
	buf_add_u8(sql, '\'');
}

void
params_setup(const char *params, size_t bytes, const struct pool *pool, struct buf *sql)
{
	const char *at = params, *end = params + bytes;
	bool any = false;

	while (at < end) {
		const char *name = at, *value = name + strlen(name) + 1, *reported = NULL;

		at = value + strlen(value) + 1;
		for (unsigned i = 0; i < pool->nparams; i++)
			if (strcasecmp(pool->params[i].name, name) == 0)
				reported = pool->params[i].value;
		if (reported && params_same(name, value, reported))
			continue;
		buf_add_fmt(sql,
			    any ? ", pg_catalog.set_config(" : "SELECT pg_catalog.set_config(");
		params_literal(sql, name);
		buf_add_u8(sql, ',');
		params_literal(sql, value);
		buf_add_fmt(sql, ",false)");
		any = true;
	}
	if (any)
		buf_add_u8(sql, 0);
}
