#include "wire/sqlname.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

struct reading {
	const char *at, *end; /* the text that is left to read */
	unsigned flags;
	char *out;
	size_t length, size; /* written to `out`, and its room */
	bool bad;            /* the value is not certain: sqlname_read() returns -1 */
};

static void
add_char(struct reading *r, char c)
{
	if (c == 0 || r->length + 1 >= r->size)
		r->bad = true;
	else
		r->out[r->length++] = c;
}

/* Adds the character or byte that an escape stands for. */
static void
add_escaped_char(struct reading *r, uint32_t c)
{
	if (c >= 0x80)
		r->bad = true;
	else
		add_char(r, (char)c);
}

/* Reads from `least` to `most` digits of that base. */
static uint32_t
read_digits(struct reading *r, unsigned base, unsigned least, unsigned most)
{
	uint32_t value = 0;
	unsigned n = 0;

	for (; n < most && r->at < r->end && sqltext_digit(*r->at) < base; n++)
		value = value * base + sqltext_digit(*r->at++);
	r->bad |= n < least;
	return value;
}

/* Reads the rest of an escape of E'...', behind its backslash. */
static void
read_backslash_escape(struct reading *r)
{
	static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
	const char *name;
	char c;

	if (r->at == r->end) {
		r->bad = true;
		return;
	}
	c = *r->at++;
	name = c ? strchr(names, c) : NULL;
	if (c >= '0' && c <= '7') {
		r->at--;
		add_escaped_char(r, read_digits(r, 8, 1, 3) & 0xff);
	} else if (c == 'x' && r->at < r->end && sqltext_digit(*r->at) < 16) {
		add_escaped_char(r, read_digits(r, 16, 1, 2));
	} else if (c == 'u' || c == 'U') {
		add_escaped_char(r, c == 'u' ? read_digits(r, 16, 4, 4) : read_digits(r, 16, 8, 8));
	} else if ((uint8_t)c >= 0x80) {
		r->bad = true;
	} else {
		add_char(r, name ? values[name - names] : c);
	}
}

/* Reads the rest of an escape of U&"..." or U&'...', behind its escape character: XXXX, +XXXXXX, or
 * the escape character again, which stands for itself. */
static void
read_unicode_escape(struct reading *r, char escape)
{
	if (r->at < r->end && *r->at == escape) {
		r->at++;
		add_char(r, escape);
	} else if (r->at < r->end && *r->at == '+') {
		r->at++;
		add_escaped_char(r, read_digits(r, 16, 6, 6));
	} else {
		add_escaped_char(r, read_digits(r, 16, 4, 4));
	}
}

/* Reads all between two quotes. `escape`: the escape character of U&, '\\' of E'', or 0. */
static void
read_between_quotes(struct reading *r, char quote, char escape, bool is_unicode)
{
	while (r->at < r->end && !r->bad) {
		size_t n = sqltext_character(r->at, r->end, r->flags);
		char c = *r->at;

		if (escape && c == escape) {
			r->at++;
			if (is_unicode)
				read_unicode_escape(r, escape);
			else
				read_backslash_escape(r);
			continue;
		}
		if (c == quote) {
			/* A doubled quote stands for one. With anything else behind it, the string
			 * goes on in another pair of quotes, which is not read. */
			r->bad |= r->end - r->at < 2 || r->at[1] != quote;
			r->at++;
		}
		while (n-- > 0 && r->at < r->end)
			add_char(r, *r->at++);
	}
}

/* Reads '...', E'...' or $...$, with the quotes. */
static void
read_plain_string(struct reading *r)
{
	const char *tag;
	char escape = 0;

	if (*r->at == '$') {
		tag = memchr(r->at + 1, '$', (size_t)(r->end - r->at - 1));
		if (tag == NULL || r->end - tag <= tag - r->at + 1) {
			r->bad = true;
			return;
		}
		r->end -= tag - r->at + 1;
		r->at = tag + 1;
		read_between_quotes(r, 0, 0, false);
		return;
	}
	if (*r->at == '\'') {
		escape = r->flags & SQLTEXT_BACKSLASH ? '\\' : 0;
	} else if ((*r->at | 0x20) == 'e') {
		escape = '\\';
		r->at++;
	} else {
		r->bad = true;
		return;
	}
	r->at++;
	if (r->end - r->at < 1 || r->end[-1] != '\'') {
		r->bad = true;
		return;
	}
	r->end--;
	read_between_quotes(r, '\'', escape, false);
}

/* The escape character of a U&"..." or U&'...', behind which `at` stands: that of its UESCAPE, or a
 * backslash. 0 if it is not certain. */
static char
uescape_character(const char *at, const char *end, unsigned flags)
{
	char text[4];
	struct reading r = {.end = end, .flags = flags, .out = text, .size = sizeof text};
	struct sqltext_token tok;
	struct sqltext t;

	if (at == end)
		return '\\';
	/* UESCAPE and its string stand there, with blanks and comments between. PostgreSQL takes no
	 * hexadecimal digit, quote, blank or plus sign as escape character. */
	sqltext_init(&t, at, (size_t)(end - at), flags);
	while (sqltext_token(&t, &tok) != SQLTEXT_END && tok.kind != SQLTEXT_STRING)
		;
	r.at = tok.start;
	if (tok.kind != SQLTEXT_STRING)
		return 0;
	read_plain_string(&r);
	if (r.bad || r.length != 1 || sqltext_digit(text[0]) < 16 ||
	    strchr("+'\" \t\n\r\f\v", text[0]))
		return 0;
	return text[0];
}

/* Reads U&"..." or U&'...', with its UESCAPE if there is one. */
static void
read_unicode_string(struct reading *r)
{
	char quote = r->at[2], escape;
	const char *p = r->at + 3, *close;

	while ((close = memchr(p, quote, (size_t)(r->end - p))) != NULL && close + 1 < r->end &&
	       close[1] == quote)
		p = close + 2;
	escape = close ? uescape_character(close + 1, r->end, r->flags) : 0;
	if (escape == 0) {
		r->bad = true;
		return;
	}
	r->at += 3;
	r->end = close;
	read_between_quotes(r, quote, escape, true);
}

/* Reads a name without quotes: letters of ASCII in lower case. */
static void
read_plain_name(struct reading *r)
{
	while (r->at < r->end && !r->bad) {
		size_t n = sqltext_character(r->at, r->end, r->flags);
		bool alone = n == 1;

		for (; n > 0; n--, r->at++)
			add_char(r, alone ? sqltext_lower(*r->at) : *r->at);
	}
}

bool
sqlname_is_ascii(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((uint8_t)text[i] >= 0x80)
			return false;
	return true;
}

/* Cuts a long name. PostgreSQL cuts between two characters of the server's encoding. Without flags
 * that is taken to be UTF-8; with another encoding the cut is certain only if all is ASCII. */
static long
cut_name(char *out, size_t length, unsigned flags)
{
	size_t n = SQLNAME_SIZE - 1;

	if (length <= n)
		return (long)length;
	if (!(flags & ~(unsigned)SQLTEXT_BACKSLASH))
		while (n > 0 && ((uint8_t)out[n] & 0xc0) == 0x80)
			n--;
	else if (!sqlname_is_ascii(out, length))
		return -1;
	out[n] = 0;
	return (long)n;
}

long
sqlname_read(const struct sqltext_token *tok, unsigned flags, char *out, size_t size)
{
	char text[1024];
	bool is_name = tok->kind != SQLTEXT_STRING;
	struct reading r = {.at = tok->start,
			    .end = tok->start + tok->length,
			    .flags = flags,
			    .out = is_name ? text : out,
			    .size = is_name ? sizeof text : size};
	long n;

	if (size == 0)
		return -1;
	out[0] = 0;
	if (tok->kind != SQLTEXT_NAME && tok->kind != SQLTEXT_QUOTED && tok->kind != SQLTEXT_STRING)
		return -1;
	if (tok->kind == SQLTEXT_NAME) {
		read_plain_name(&r);
	} else if (tok->length >= 4 && (*r.at | 0x20) == 'u' && r.at[1] == '&') {
		read_unicode_string(&r);
	} else if (tok->kind == SQLTEXT_STRING) {
		read_plain_string(&r);
	} else {
		r.bad = tok->length < 3 || r.end[-1] != '"';
		r.at++;
		r.end--;
		if (!r.bad)
			read_between_quotes(&r, '"', 0, false);
	}
	if (r.bad)
		return -1;
	r.out[r.length] = 0;
	if (!is_name)
		return (long)r.length;
	n = cut_name(text, r.length, flags);
	if (n < 0 || (size_t)n >= size)
		return -1;
	memcpy(out, text, (size_t)n + 1);
	return n;
}

enum sqltext_word
sqlname_word(const struct sqltext_token *tok, unsigned flags)
{
	enum sqltext_word w;
	char name_text[SQLNAME_SIZE];
	long n;

	if (tok->kind != SQLTEXT_QUOTED || tok->length < 3)
		return tok->word;
	if (*tok->start == '"') {
		w = sqltext_word(tok->start + 1, tok->length - 2);
	} else {
		n = sqlname_read(tok, flags, name_text, sizeof name_text);
		w = n > 0 ? sqltext_word(name_text, (size_t)n) : SQLWORD_OTHER;
	}
	switch (w) {
	case SQLWORD_PG_ADVISORY_LOCK:
	case SQLWORD_PG_ADVISORY_LOCK_SHARED:
	case SQLWORD_PG_ADVISORY_UNLOCK:
	case SQLWORD_PG_ADVISORY_UNLOCK_ALL:
	case SQLWORD_PG_ADVISORY_UNLOCK_SHARED:
	case SQLWORD_PG_CATALOG:
	case SQLWORD_PG_SETTINGS:
	case SQLWORD_PG_TEMP:
	case SQLWORD_PG_TRY_ADVISORY_LOCK:
	case SQLWORD_PG_TRY_ADVISORY_LOCK_SHARED:
	case SQLWORD_SET_CONFIG:
	case SQLWORD_SET_LIMIT:
	case SQLWORD_SETTING:
	SQLWORDS_OF_BINDERS:
	SQLWORDS_OF_RUNNERS:
		return w;
	default:
		return SQLWORD_OTHER;
	}
}
