#include "base/logline.h"

#include <stdio.h>
#include <string.h>

#include "base/fnv.h"
#include "base/utf8.h"

#define VALUE_MAX   1200 /* bytes of a value, or of a word, unescaped */
#define MESSAGE_MAX 1400 /* JSON: bytes of the message, escaped */
#define MEMBERS_MAX 1900 /* JSON: bytes of the members, escaped */
#define NAME_BYTES  48   /* bytes of the name of a member */
#define CLOSE_MAX   8    /* bytes left free for close_span() */

/* A text that grows up to `max` bytes. What does not fit is replaced by "...", and nothing is added
 * after that but by close_span(). */
struct span {
	char *at;
	size_t len, max;
	bool cut;
};

/* ---- bytes ---- */

static void
put_bytes(struct span *s, const void *bytes, size_t n)
{
	if (s->cut)
		return;
	if (s->len + n > s->max - 3) {
		s->cut = true;
		memcpy(s->at + s->len, "...", 3);
		s->len += 3;
		return;
	}
	memcpy(s->at + s->len, bytes, n);
	s->len += n;
}

/* Most of what stands between the parts of a line is one character. */
static void
put_char(struct span *s, char c)
{
	if (s->cut || s->len + 1 > s->max - 3) {
		put_bytes(s, &c, 1);
		return;
	}
	s->at[s->len++] = c;
}

/* Adds as many of the bytes as there is room for: they may be cut anywhere. */
static void
put_most(struct span *s, const void *bytes, size_t n)
{
	size_t room = s->max - 3 - s->len;

	if (s->cut || n <= room) {
		put_bytes(s, bytes, n);
		return;
	}
	put_bytes(s, bytes, room);
	put_bytes(s, bytes, n - room);
}

static void
put_string(struct span *s, const char *text)
{
	put_bytes(s, text, strlen(text));
}

/* Adds a character even if the span is full: for the quote that ends a value. */
static void
close_span(struct span *s, char c)
{
	s->at[s->len++] = c;
}

enum escaping { PLAIN, QUOTED, JSON };

static void
put_control(struct span *to, const char *bytes, unsigned length, uint32_t c, enum escaping how)
{
	char hex[16];

	if (how == JSON && c == '\n') {
		put_bytes(to, "\\n", 2);
	} else if (how == JSON && c == '\t') {
		put_bytes(to, "\\t", 2);
	} else if (how == JSON) {
		put_bytes(to, hex, (size_t)snprintf(hex, sizeof hex, "\\u%04x", (unsigned)c));
	} else {
		for (unsigned i = 0; i < length; i++)
			put_bytes(to, hex,
				  (size_t)snprintf(hex, sizeof hex, "\\x%02x", (uint8_t)bytes[i]));
	}
}

/* Is it printable ASCII that is never escaped? */
static inline bool
is_plain(char c)
{
	return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

static void
put_escaped(struct span *to, const char *text, size_t bytes, enum escaping how)
{
	for (size_t at = 0; at < bytes;) {
		uint32_t c;
		unsigned length;
		size_t plain = at;

		/* Printable ASCII, which is most of it, is added at once. */
		while (plain < bytes && is_plain(text[plain]))
			plain++;
		put_most(to, text + at, plain - at);
		at = plain;
		if (at == bytes)
			return;
		length = utf8_read(text + at, bytes - at, &c);
		if (length == 0 && how == JSON) {
			put_bytes(to, "\xef\xbf\xbd", 3);
		} else if (length == 0) {
			put_control(to, text + at, 1, 0, how);
		} else if (utf8_is_control(c)) {
			put_control(to, text + at, length, c, how);
		} else {
			char both[8] = "\\";
			unsigned more = how != PLAIN && (c == '"' || c == '\\');

			memcpy(both + more, text + at, length);
			put_bytes(to, both, more + length);
		}
		at += length ? length : 1;
	}
}

static bool
needs_quotes(const char *text, size_t bytes)
{
	for (size_t at = 0; at < bytes;) {
		uint32_t c;
		unsigned length;

		/* Most of it is printable ASCII. */
		if (is_plain(text[at]) && text[at] != ' ') {
			at++;
			continue;
		}
		length = utf8_read(text + at, bytes - at, &c);
		if (length == 0 || utf8_is_control(c) || c == ' ' || c == '"' || c == '\\')
			return true;
		at += length;
	}
	return false;
}

/* ---- numbers ---- */

#define NUMBER_MAX 32                 /* bytes of a number as text */
#define EXACT_US   (INT64_C(1) << 50) /* a larger number may not be exact as a double */

static size_t
format_integer(char *out, uint64_t size, bool negative)
{
	char digits[24];
	size_t n = sizeof digits;

	do
		digits[--n] = (char)('0' + size % 10);
	while ((size /= 10) > 0);
	if (negative)
		digits[--n] = '-';
	memcpy(out, digits + n, sizeof digits - n);
	return sizeof digits - n;
}

/* Writes us / unit_us as printf("%.1f") does. If that lies just between two results, printf()
 * itself is called, because it decides by the binary digits of the quotient. */
static size_t
format_elapsed(char *out, int64_t us, unsigned unit_us)
{
	uint64_t size = us < 0 ? -(uint64_t)us : (uint64_t)us;
	unsigned tenth = unit_us / 10;
	size_t n;

	if (size % tenth == tenth / 2 || size > EXACT_US)
		return (size_t)snprintf(out, NUMBER_MAX, "%.1f", (double)us / unit_us);
	size = (size + tenth / 2) / tenth;
	n = format_integer(out, size / 10, us < 0);
	out[n++] = '.';
	out[n++] = (char)('0' + size % 10);
	return n;
}

/* Writes the value's digits to `out` and returns its unit, "" if it has none; NULL if the value is
 * not a number. */
static const char *
format_number(const struct log_value *v, char *out, size_t *length)
{
	switch (v->is) {
	case LOG_IS_SIGNED:
		*length = (int64_t)v->number < 0 ? format_integer(out, -v->number, true)
						 : format_integer(out, v->number, false);
		return "";
	case LOG_IS_UNSIGNED:
		*length = format_integer(out, v->number, false);
		return "";
	case LOG_IS_MS:
		*length = format_elapsed(out, (int64_t)v->number, 1000);
		return "ms";
	case LOG_IS_S:
		*length = format_elapsed(out, (int64_t)v->number, 1000000);
		return "s";
	default:
		return NULL;
	}
}

/* ---- texts ---- */

/* The part of a text that is shown. */
struct shown {
	const char *text;
	size_t bytes;
	bool cut;
};

static struct shown
shown_text(const char *text, size_t bytes)
{
	struct shown s = {.text = text};

	if (text == NULL)
		return bytes == LOG_TO_NUL ? (struct shown){.text = "(null)", .bytes = 6}
					   : (struct shown){.text = ""};
	if (bytes == LOG_TO_NUL)
		bytes = strlen(text);
	s.bytes = utf8_fit(text, bytes, VALUE_MAX - 3);
	s.cut = s.bytes < bytes;
	return s;
}

static void
put_shown(struct span *to, const struct shown *s, enum escaping how)
{
	put_escaped(to, s->text, s->bytes, how);
	if (s->cut)
		put_most(to, "...", 3);
}

/* Adds a value that needs no escaping, as a whole or not at all. */
static void
put_plain(struct span *to, const struct shown *s)
{
	if (to->len + s->bytes + (s->cut ? 3 : 0) > to->max - 3)
		put_bytes(to, s->text, to->max);
	put_bytes(to, s->text, s->bytes);
	if (s->cut)
		put_bytes(to, "...", 3);
}

/* ---- the message ---- */

/* Adds a blank, unless the span is empty. */
static void
put_gap(struct span *s)
{
	if (s->len > 0)
		put_char(s, ' ');
}

static void
put_word(struct span *to, const char *text, size_t bytes, enum escaping how)
{
	struct shown s = shown_text(text, bytes);

	put_gap(to);
	put_shown(to, &s, how);
}

static void
put_move(struct span *to, const struct log_value *v, enum escaping how)
{
	put_word(to, v->text, v->bytes, how);
	put_word(to, "->", 2, how);
	put_word(to, v->to, LOG_TO_NUL, how);
}

/* Adds the words of the message. `values` begins behind the subject, with the message. */
static void
put_message(struct span *to, const struct log_value *values, enum escaping how)
{
	const struct log_value *v = values->text[0] ? values : values + 1;
	char number[NUMBER_MAX];
	size_t length;

	for (; v->is != LOG_IS_END; v++) {
		if (v->key)
			continue;
		if (v->is == LOG_IS_MOVE)
			put_move(to, v, how);
		else if (format_number(v, number, &length))
			put_word(to, number, length, how);
		else
			put_word(to, v->text, v->bytes, how);
	}
}

/* ---- values as text ---- */

static void
put_subject(struct span *to, const struct log_value *v)
{
	struct shown s = shown_text(v->text, v->bytes);
	char number[NUMBER_MAX];

	if (v->key[0] == 0)
		return;
	put_string(to, v->key);
	if (v->is != LOG_IS_NOTHING)
		put_char(to, ' ');
	if (v->is == LOG_IS_TEXT)
		put_shown(to, &s, PLAIN);
	else if (format_number(v, number, &s.bytes))
		put_bytes(to, number, s.bytes);
	put_char(to, ':');
}

/* Adds a value in quotes. The last quote is added even if the line is full. */
static void
put_quoted(struct span *to, const struct log_value *v)
{
	struct shown s = shown_text(v->text, v->bytes);
	char number[NUMBER_MAX];

	if (to->cut)
		return;
	put_char(to, '"');
	put_shown(to, &s, QUOTED);
	if (v->is == LOG_IS_PHRASE) {
		put_char(to, ' ');
		put_bytes(to, number, format_integer(number, v->number, false));
	}
	close_span(to, '"');
}

static void
put_pair(struct span *to, const struct log_value *v)
{
	char number[NUMBER_MAX];
	const char *unit;
	struct shown s;
	size_t length;

	put_gap(to);
	put_string(to, v->key);
	put_char(to, '=');
	if (v->is == LOG_IS_QUOTED || v->is == LOG_IS_PHRASE) {
		put_quoted(to, v);
		return;
	}
	if ((unit = format_number(v, number, &length)) != NULL) {
		memcpy(number + length, unit, strlen(unit));
		put_bytes(to, number, length + strlen(unit));
		return;
	}
	s = shown_text(v->text, v->bytes);
	if (needs_quotes(s.text, s.bytes))
		put_quoted(to, v);
	else
		put_plain(to, &s);
}

static void
make_text(struct logline *l, const struct log_value *values, const char *error)
{
	struct span s = {.at = l->body, .max = LOGLINE_MAX - CLOSE_MAX};

	put_subject(&s, values);
	put_message(&s, values + 1, PLAIN);
	for (const struct log_value *v = values + 1; v->is != LOG_IS_END; v++)
		if (v->key)
			put_pair(&s, v);
	if (error) {
		put_string(&s, ": ");
		put_escaped(&s, error, strlen(error), PLAIN);
	}
	l->len = s.len;
}

/* ---- values as JSON, RFC 8259 ---- */

/* Is it the name of a member that log itself writes? */
static bool
is_taken(const char *name)
{
	static const char *const taken[] = {"time",    "level",    "program", "process",
					    "message", "repeated", "error",   "subject"};

	for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
		if (strcmp(name, taken[i]) == 0)
			return true;
	return false;
}

static void
put_member(struct span *to, const struct log_value *v)
{
	char number[NUMBER_MAX];
	struct shown s;
	const char *unit;
	size_t length;

	if (to->cut || to->len + 2 * NAME_BYTES > to->max) {
		to->cut = true;
		return;
	}
	unit = format_number(v, number, &length);
	put_bytes(to, ",\"", 2);
	put_string(to, v->key);
	if (is_taken(v->key))
		put_char(to, '_');
	if (unit && *unit) {
		put_char(to, '_');
		put_string(to, unit);
	}
	put_bytes(to, "\":", 2);
	if (unit) {
		put_bytes(to, number, length);
		return;
	}
	s = shown_text(v->text, v->bytes);
	put_char(to, '"');
	put_shown(to, &s, JSON);
	if (v->is == LOG_IS_PHRASE) {
		put_char(to, ' ');
		put_bytes(to, number, format_integer(number, v->number, false));
	}
	close_span(to, '"');
}

/* A part of the line with its own maximum, so that a long part leaves room for the others. */
static struct span
part_of(const struct span *whole, size_t max)
{
	return (struct span){.at = whole->at + whole->len, .max = max - CLOSE_MAX};
}

static void
make_json(struct logline *l, const struct log_value *values, const char *error)
{
	struct span s = {.at = l->body, .max = LOGLINE_MAX - CLOSE_MAX}, part;

	put_string(&s, "\"message\":\"");
	part = part_of(&s, MESSAGE_MAX);
	put_message(&part, values + 1, JSON);
	s.len += part.len;
	put_char(&s, '"');
	part = part_of(&s, MEMBERS_MAX);
	if (values->is != LOG_IS_NOTHING) {
		put_member(&part, values);
	} else if (values->key[0]) {
		put_string(&part, ",\"subject\":\"");
		put_string(&part, values->key);
		put_char(&part, '"');
	}
	for (const struct log_value *v = values + 1; v->is != LOG_IS_END; v++)
		if (v->key)
			put_member(&part, v);
	s.len += part.len;
	if (error) {
		put_string(&s, ",\"error\":\"");
		put_escaped(&s, error, strlen(error), JSON);
		close_span(&s, '"');
	}
	l->len = s.len;
}

void
logline_make(struct logline *l, bool json, const struct log_value *values, const char *error)
{
	if (json)
		make_json(l, values, error);
	else
		make_text(l, values, error);
}

/* ---- kinds ---- */

/* Hashes a text with its end, so that "a", "bc" differs from "ab", "c". */
static uint64_t
hash_text(uint64_t kind, const char *text, size_t bytes)
{
	if (text)
		kind = fnv_bytes(kind, text, bytes == LOG_TO_NUL ? strlen(text) : bytes);
	return fnv_bytes(kind, "", 1);
}

uint64_t
logline_kind(const struct log_value *values, const char *error)
{
	uint64_t kind = FNV_SEED;

	for (const struct log_value *v = values; v->is != LOG_IS_END; v++) {
		kind = hash_text(kind, v->key, LOG_TO_NUL);
		kind = hash_text(kind, v->text, v->bytes);
		kind = hash_text(kind, v->to, LOG_TO_NUL);
	}
	return hash_text(kind, error, LOG_TO_NUL);
}
