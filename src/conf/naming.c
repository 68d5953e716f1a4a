#include "conf/naming.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/words.h"
#include "conf/quote.h"

#define LETTERS  "apuesc"
#define EXPECTED "expected client, pool, or a format in single quotes, like '%a %p'"

enum naming
naming_kind(const char *value)
{
	return strcasecmp(value, "client") == 0 ? NAMING_CLIENT
	       : strcasecmp(value, "pool") == 0 ? NAMING_POOL
						: NAMING_FORMAT;
}

/* Is the whole value in single quotes? */
static bool
is_quoted(const char *value)
{
	size_t n = strlen(value);

	return n >= 2 && value[0] == '\'' && value[n - 1] == '\'';
}

/* Returns the format without its quotes, and its length. */
static const char *
text_of(const char *value, size_t *bytes)
{
	bool quoted = is_quoted(value);

	*bytes = strlen(value) - (quoted ? 2 : 0);
	return value + quoted;
}

/* Returns the first % of the format that no known letter follows, or NULL. */
static const char *
wrong_escape(const char *at, size_t bytes)
{
	const char *end = at + bytes;

	for (; at < end; at++) {
		if (*at != '%')
			continue;
		if (at + 1 == end || strchr(LETTERS "%", at[1]) == NULL)
			return at;
		at++;
	}
	return NULL;
}

/* Does the value begin with a quote, and not end with one, or the other way round? */
static bool
is_half_quoted(const char *value)
{
	size_t n = strlen(value);

	return n >= 2 && (value[0] == '\'') != (value[n - 1] == '\'');
}

char *
naming_check(const char *value)
{
	static const char *const words[] = {"client", "pool"};
	const char *text, *wrong, *nearest;
	char *quoted, *why;
	size_t bytes;

	if (naming_kind(value) != NAMING_FORMAT)
		return NULL;
	if (is_half_quoted(value)) {
		quoted = quote_text(value);
		why = mem_printf("%s: the quote at the %s; %s", quoted,
				 *value == '\'' ? "beginning has none at the end"
						: "end has none at the beginning",
				 EXPECTED);
		free(quoted);
		return why;
	}
	text = text_of(value, &bytes);
	wrong = wrong_escape(text, bytes);
	if (wrong == NULL && (is_quoted(value) || memchr(text, '%', bytes)))
		return NULL;
	quoted = quote_text(value);
	nearest = wrong ? NULL : words_nearest(value, words, 2);
	if (wrong)
		why = mem_printf("%s: %%%.*s is not known; expected %%a (application_name of the "
				 "client), %%p (its pid), %%u (its uid), %%e (its program), %%s "
				 "(its session), %%c (its scope) or %%%%",
				 quoted, wrong + 1 < text + bytes, wrong + 1);
	else
		why =
		    mem_printf("%s: %s%s%s%s", quoted, EXPECTED, nearest ? "; did you mean \"" : "",
			       nearest ? nearest : "", nearest ? "\"?" : "");
	free(quoted);
	return why;
}

bool
naming_uses(const char *value, char letter)
{
	size_t bytes;
	const char *at = text_of(value, &bytes), *end = at + bytes;

	if (naming_kind(value) != NAMING_FORMAT)
		return false;
	for (; at + 1 < end; at++) {
		if (*at != '%')
			continue;
		if (at[1] == letter)
			return true;
		at++;
	}
	return false;
}

/* Returns the text of one letter. `number` has room for any number. */
static const char *
value_of(const struct naming_values *v, char letter, char number[24])
{
	switch (letter) {
	case 'a':
		return v->name;
	case 'e':
		return v->program;
	case 'c':
		return v->scope;
	case 'p':
		snprintf(number, 24, "%" PRId64, v->pid);
		return number;
	case 'u':
		snprintf(number, 24, "%" PRId64, v->uid);
		return number;
	case 's':
		snprintf(number, 24, "%" PRIu64, v->session);
		return number;
	default:
		return "%";
	}
}

void
naming_write(const char *format, const struct naming_values *v, char *out, size_t size)
{
	size_t bytes, n = 0;
	const char *at = text_of(format, &bytes), *end = at + bytes;
	char number[24];

	for (; at < end && n + 1 < size; at++) {
		if (*at != '%' || at + 1 == end) {
			out[n++] = *at;
			continue;
		}
		n += (size_t)snprintf(out + n, size - n, "%s", value_of(v, *++at, number));
		if (n >= size)
			n = size - 1;
	}
	out[n] = 0;
}
