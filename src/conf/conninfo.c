#include "conf/conninfo.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/words.h"

/* Bytes: more than twice CONF_VALUE_MAX, because quoting may double the length of a value. */
#define SHOWN_MAX (256 << 10)

/* Settings that cannot stand in a conninfo, because pgwithd decides them. */
static const struct {
	const char *keyword;
	const char *accepted; /* the one value that changes nothing, or NULL */
	const char *why;
} refused[] = {
    {"replication", NULL, "replication connections cannot be pooled"},
    {"connect_timeout", NULL, "use the option connect_timeout of the pool"},
    {"gssencmode", "disable", "bytes encrypted by GSSAPI cannot be relayed; use TLS (sslmode)"},
};

/* May a quotation from it in a message of libpq be part of a password? */
static bool
may_hold_password(const char *conninfo)
{
	return strcasestr(conninfo, "password") != NULL ||
	       (strstr(conninfo, "://") != NULL && strchr(conninfo, '@') != NULL);
}

static bool
is_keyword(const char *word, size_t bytes)
{
	PQconninfoOption *known = PQconndefaults();
	bool found = bytes == 1; /* "=" and the like */

	for (PQconninfoOption *o = known; o && o->keyword && !found; o++)
		found = strlen(o->keyword) == bytes && memcmp(o->keyword, word, bytes) == 0;
	PQconninfoFree(known);
	return found;
}

/* libpq's words in one line, without what they quote from a conninfo that may hold a password. */
static char *
libpq_words(const char *message, const char *conninfo)
{
	bool hide = may_hold_password(conninfo);
	struct buf b;
	char *out;

	/* If the conninfo has quotes itself, the end of a quotation cannot be found. */
	if (hide && strchr(conninfo, '"'))
		return mem_strdup("libpq cannot parse it (its words may hold the password)");
	buf_init(&b, SHOWN_MAX);
	buf_add_fmt(&b, "libpq: ");
	while (*message) {
		const char *end = *message == '"' ? strchr(message + 1, '"') : NULL;

		if (end == NULL) {
			char c = *message++;

			if (c != '\n' || *message)
				buf_add_u8(&b, c == '\n' ? ' ' : c);
			continue;
		}
		if (hide && !is_keyword(message + 1, end - message - 1))
			buf_add(&b, "\"...\"", 5);
		else
			buf_add(&b, message, end + 1 - message);
		message = end + 1;
	}
	out = mem_strndup((char *)buf_data(&b), b.len);
	buf_clear(&b);
	return out;
}

/* The keyword of libpq that is nearest to the one that libpq's message calls invalid, or NULL. It
 * points into *known, which the caller frees with PQconninfoFree(). */
static const char *
nearest_keyword(const char *message, const char *conninfo, PQconninfoOption **known)
{
	static const char unknown[] = "invalid connection option \"";
	const char *at = strstr(message, unknown), *words[128], *nearest;
	unsigned count = 0;
	char *word;

	*known = PQconndefaults();
	if (at == NULL || may_hold_password(conninfo))
		return NULL;
	at += strlen(unknown);
	word = mem_strndup(at, strcspn(at, "\""));
	for (PQconninfoOption *o = *known; o && o->keyword && count < 128; o++)
		words[count++] = o->keyword;
	nearest = words_nearest(word, words, count);
	free(word);
	return nearest;
}

/* libpq's message in one line, with what may have been meant. */
static char *
explain_parse_error(const char *message, const char *conninfo)
{
	PQconninfoOption *known;
	const char *nearest = nearest_keyword(message, conninfo, &known);
	char *words = libpq_words(message, conninfo), *why;

	if (nearest)
		why = mem_printf("%s; did you mean \"%s\"?", words, nearest);
	else if (strstr(conninfo, "//"))
		why = mem_printf("%s; a URI begins with postgresql://", words);
	else
		why = mem_printf("%s; expected keyword=value ..., or a URI", words);
	free(words);
	PQconninfoFree(known);
	return why;
}

char *
conninfo_check(const char *conninfo)
{
	char *message = NULL, *why = NULL;
	PQconninfoOption *options;

	if (conninfo[strspn(conninfo, " \t")] == '\0')
		return mem_strdup(
		    "empty; expected a libpq connection string, like \"host=/run/postgresql "
		    "dbname=app user=app\"");
	options = PQconninfoParse(conninfo, &message);
	if (options == NULL) {
		why = explain_parse_error(message ? message : "out of memory", conninfo);
		PQfreemem(message);
		return why;
	}
	for (unsigned i = 0; i < sizeof refused / sizeof *refused && !why; i++) {
		for (PQconninfoOption *o = options; o->keyword && !why; o++) {
			if (o->val == NULL || strcmp(o->keyword, refused[i].keyword) != 0)
				continue;
			if (refused[i].accepted && strcmp(o->val, refused[i].accepted) == 0)
				continue;
			why = mem_printf("%s cannot be set here: %s", o->keyword, refused[i].why);
		}
	}
	PQconninfoFree(options);
	return why;
}

/* PostgreSQL 15 documentation, 34.1.1.1: quotes around a value that is empty or has blanks, and a
 * backslash before each quote and backslash. */
static void
add_setting_value(struct buf *b, const char *value)
{
	bool quotes = *value == '\0' || strpbrk(value, " \t'\\") != NULL;

	if (quotes)
		buf_add_u8(b, '\'');
	for (; *value; value++) {
		if (*value == '\'' || *value == '\\')
			buf_add_u8(b, '\\');
		buf_add_u8(b, *value);
	}
	if (quotes)
		buf_add_u8(b, '\'');
}

char *
conninfo_shown(const char *conninfo)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
	struct buf b;
	char *out;

	if (options == NULL)
		return mem_strdup("********");
	buf_init(&b, SHOWN_MAX);
	for (PQconninfoOption *o = options; o->keyword; o++) {
		if (o->val == NULL)
			continue;
		if (b.len > 0)
			buf_add_u8(&b, ' ');
		buf_add_fmt(&b, "%s=", o->keyword);
		/* "*" marks passwords, sslpassword too: libpq-fe.h, PQconninfoOption. */
		if (o->dispchar && *o->dispchar == '*')
			buf_add_fmt(&b, "********");
		else
			add_setting_value(&b, o->val);
	}
	PQconninfoFree(options);
	out = b.len ? mem_strndup((char *)buf_data(&b), b.len) : mem_strdup("");
	buf_clear(&b);
	return out;
}
