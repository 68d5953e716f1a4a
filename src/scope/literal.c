#include "scope/literal.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

#define SHOWN 40 /* bytes of a text that an error shows at most */

/* The bytes of the character at `p`, of which none but the first may be taken for ASCII. */
static size_t
character(const char *p, const char *end, unsigned flags)
{
	return flags & SQLTEXT_HALVES ? sqltext_character(p, end, flags) : 1;
}

/* The decoded text, which grows up to `max` bytes. */
struct text {
	char *bytes;
	size_t length, max;
	bool full; /* a byte did not fit */
};

/* `most`: the length of the text before it is decoded; decoding never makes it longer. */
static void
text_init(struct text *t, size_t most, size_t max)
{
	t->bytes = mem_alloc((most < max ? most : max) + 1);
	t->length = 0;
	t->max = max;
	t->full = false;
}

static void
append_char(struct text *t, char c)
{
	if (t->length == t->max)
		t->full = true;
	else
		t->bytes[t->length++] = c;
}

static void
append_utf8(struct text *t, uint32_t c)
{
	if (c < 0x80) {
		append_char(t, (char)c);
		return;
	}
	if (c < 0x800) {
		append_char(t, (char)(0xc0 | c >> 6));
	} else {
		if (c < 0x10000) {
			append_char(t, (char)(0xe0 | c >> 12));
		} else {
			append_char(t, (char)(0xf0 | c >> 18));
			append_char(t, (char)(0x80 | (c >> 12 & 0x3f)));
		}
		append_char(t, (char)(0x80 | (c >> 6 & 0x3f)));
	}
	append_char(t, (char)(0x80 | (c & 0x3f)));
}

static int
set_fault(struct literal_fault *fault, const char *at, const char *why)
{
	fault->at = at;
	fault->why = why;
	return -E_SYNTAX;
}

/* ---- escapes ---- */

/* Reads up to `most` digits of that base and moves *p behind them. Returns how many they were. */
static unsigned
scan_digits(const char **p, const char *end, unsigned base, unsigned most, uint32_t *value)
{
	unsigned n = 0;

	for (*value = 0; n < most && *p < end && sqltext_digit(**p) < base; n++, ++*p)
		*value = *value * base + sqltext_digit(**p);
	return n;
}

/* Reads uXXXX or UXXXXXXXX, behind the backslash. False if digits are missing. */
static bool
scan_code_point(const char **p, const char *end, uint32_t *c)
{
	unsigned wanted = **p == 'u' ? 4 : 8;

	++*p;
	return scan_digits(p, end, 16, wanted, c) == wanted;
}

/* Decodes \uXXXX or \UXXXXXXXX. Two surrogates, one right behind the other, make one character: as
 * scan.l, xeunicode and xeunicodefail. */
static int
decode_unicode_escape(struct text *t, const char **p, const char *end, struct literal_fault *fault)
{
	const char *backslash = *p - 1;
	uint32_t c, second;

	if (!scan_code_point(p, end, &c))
		return set_fault(fault, backslash, "\\uXXXX or \\UXXXXXXXX");
	if (c >= 0xd800 && c <= 0xdbff) {
		if (end - *p < 2 || **p != '\\' || ((*p)[1] | 0x20) != 'u')
			return set_fault(fault, backslash, "both halves of a surrogate pair");
		++*p;
		if (!scan_code_point(p, end, &second) || second < 0xdc00 || second > 0xdfff)
			return set_fault(fault, backslash, "both halves of a surrogate pair");
		c = 0x10000 + ((c & 0x3ff) << 10 | (second & 0x3ff));
	} else if (c >= 0xdc00 && c <= 0xdfff) {
		return set_fault(fault, backslash, "both halves of a surrogate pair");
	}
	if (c == 0 || c > 0x10ffff)
		return set_fault(fault, backslash, "a Unicode character other than NUL");
	append_utf8(t, c);
	return 0;
}

/* Decodes an escape: *p is behind its backslash, and moves behind the escape. */
static int
decode_escape(struct text *t, const char **p, const char *end, struct literal_fault *fault)
{
	static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
	const char *backslash = *p - 1, *name;
	uint32_t value;

	if (**p == 'u' || **p == 'U')
		return decode_unicode_escape(t, p, end, fault);
	if (**p >= '0' && **p <= '7') {
		scan_digits(p, end, 8, 3, &value);
	} else if (**p == 'x' && end - *p >= 2 && sqltext_digit((*p)[1]) < 16) {
		++*p;
		scan_digits(p, end, 16, 2, &value);
	} else {
		name = **p ? strchr(names, **p) : NULL;
		value = (uint8_t)(name ? values[name - names] : **p);
		++*p;
	}
	/* Octal escapes from \400 on lose their ninth bit, as in PostgreSQL. */
	if ((value & 0xff) == 0)
		return set_fault(fault, backslash, "a string without NUL");
	append_char(t, (char)value);
	return 0;
}

/* ---- quotes ---- */

/* Decodes the text between the quotes, from `p` to `end`. `quote`: 0 for a dollar quote. */
static int
decode_quoted(struct text *t, const char *p, const char *end, char quote, bool escapes,
	      unsigned flags, struct literal_fault *fault)
{
	int rc;

	while (p < end) {
		size_t n = character(p, end, flags);

		if (memchr(p, 0, n))
			return set_fault(fault, p, "text without NUL");
		if (*p == '\\' && escapes) {
			p++;
			rc = decode_escape(t, &p, end, fault);
			if (rc != 0)
				return rc;
			continue;
		}
		if (*p == quote) {
			/* A lone quote: the token is an E'...' that goes on in another pair of
			 * quotes on the next line, which sqltext reads as one token. */
			if (end - p < 2 || p[1] != quote)
				return set_fault(fault, p, "the string in one pair of quotes");
			p++;
		}
		for (; n > 0; n--)
			append_char(t, *p++);
	}
	return 0;
}

/* Returns rc, or -E_TOOBIG if the text did not fit. The text is given to the caller if that is 0,
 * else freed. */
static int
finish_text(struct text *t, int rc, char **out)
{
	if (rc == 0 && t->full)
		rc = -E_TOOBIG;
	if (rc != 0) {
		free(t->bytes);
		*out = NULL;
		return rc;
	}
	t->bytes[t->length] = 0;
	*out = t->bytes;
	return 0;
}

int
literal_string(const struct sqltext_token *tok, unsigned flags, size_t max, char **text,
	       struct literal_fault *fault)
{
	const char *p = tok->start, *end = p + tok->length;
	bool escapes = false;
	char quote = '\'';
	struct text t;

	*text = NULL;
	if (*p == '$') {
		p = (const char *)memchr(p + 1, '$', tok->length - 1) + 1;
		end -= p - tok->start;
		quote = 0;
	} else if (*p == '\'' || *p == 'e' || *p == 'E') {
		escapes = *p != '\'' || (flags & SQLTEXT_BACKSLASH);
		p += *p == '\'' ? 1 : 2;
		end--;
	} else {
		return set_fault(fault, p, "a string as '...', E'...' or $$...$$");
	}
	text_init(&t, (size_t)(end - p), max);
	fault->at = tok->start;
	fault->why = "a shorter string";
	return finish_text(&t, decode_quoted(&t, p, end, quote, escapes, flags, fault), text);
}

int
literal_name(const struct sqltext_token *tok, unsigned flags, size_t max, char **name,
	     struct literal_fault *fault)
{
	const char *p = tok->start, *end = p + tok->length;
	struct text t;
	int rc = 0;

	*name = NULL;
	if (tok->kind == SQLTEXT_QUOTED && (*p != '"' || tok->length < 3))
		return set_fault(fault, p,
				 *p == '"' ? "a name that is not empty" : "a name without U&");
	text_init(&t, tok->length, max);
	fault->at = p;
	fault->why = "a shorter name";
	if (tok->kind == SQLTEXT_QUOTED) {
		rc = decode_quoted(&t, p + 1, end - 1, '"', false, flags, fault);
	} else {
		while (p < end) {
			size_t n = character(p, end, flags);
			bool alone = n == 1;

			for (; n > 0; n--, p++)
				append_char(&t, alone ? sqltext_lower(*p) : *p);
		}
	}
	return finish_text(&t, rc, name);
}

char *
literal_shown(const char *text, size_t bytes)
{
	bool cut = bytes > SHOWN;
	struct buf b;
	char *out;

	if (cut) {
		bytes = SHOWN;
		/* The cut must not be inside a character of UTF-8. */
		while (bytes > 1 && (text[bytes] & 0xc0) == 0x80)
			bytes--;
	}
	buf_init(&b, 4 * SHOWN + 4);
	buf_add_clean(&b, text, bytes);
	if (cut)
		buf_add_str(&b, "...");
	else
		buf_add_u8(&b, 0);
	out = mem_strdup((const char *)buf_data(&b));
	buf_clear(&b);
	return out;
}
