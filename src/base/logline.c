#include "base/logline.h"

#include <stdio.h>
#include <string.h>

#include "base/fnv.h"
#include "base/utf8.h"

#define VALUE_MAX   1200 /* bytes of a value, or of a word, unescaped */
#define MESSAGE_MAX 1400 /* JSON: bytes of the message, escaped */
#define MEMBERS_MAX 1900 /* JSON: bytes of the members, escaped */
#define NAME_BYTES  48   /* bytes of the name of a member */
#define CLOSE_MAX   8    /* room to end what was cut */

/* Bytes up to `max`; then "..." and no more, but for what close_span() adds. */
struct span {
	char *at;
	size_t len, max;
	bool cut;
};

/* ---- bytes ---- */

static void
put(struct span *s, const void *bytes, size_t n)
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

/* As much of it as there is room for; it may be cut anywhere. */
static void
put_most(struct span *s, const void *bytes, size_t n)
{
	size_t room = s->max - 3 - s->len;

	if (s->cut || n <= room) {
		put(s, bytes, n);
		return;
	}
	put(s, bytes, room);
	put(s, bytes, n - room);
}

static void
put_string(struct span *s, const char *text)
{
	put(s, text, strlen(text));
}

/* Also if it is full. */
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
		put(to, "\\n", 2);
	} else if (how == JSON && c == '\t') {
		put(to, "\\t", 2);
	} else if (how == JSON) {
		put(to, hex, (size_t)snprintf(hex, sizeof hex, "\\u%04x", (unsigned)c));
	} else {
		for (unsigned i = 0; i < length; i++)
			put(to, hex,
			    (size_t)snprintf(hex, sizeof hex, "\\x%02x", (uint8_t)bytes[i]));
	}
}

static void
escape(struct span *to, const char *text, size_t bytes, enum escaping how)
{
	for (size_t at = 0; at < bytes;) {
		uint32_t c;
		unsigned length;
		size_t plain = at;

		/* The usual bytes. */
		while (plain < bytes && text[plain] >= ' ' && text[plain] <= '~' &&
		       text[plain] != '"' && text[plain] != '\\')
			plain++;
		put_most(to, text + at, plain - at);
		at = plain;
		if (at == bytes)
			return;
		length = utf8_read(text + at, bytes - at, &c);
		if (length == 0 && how == JSON) {
			put(to, "\xef\xbf\xbd", 3);
		} else if (length == 0) {
			put_control(to, text + at, 1, 0, how);
		} else if (utf8_is_control(c)) {
			put_control(to, text + at, length, c, how);
		} else {
			char both[8] = "\\";
			unsigned more = how != PLAIN && (c == '"' || c == '\\');

			memcpy(both + more, text + at, length);
			put(to, both, more + length);
		}
		at += length ? length : 1;
	}
}

static bool
needs_quotes(const char *text, size_t bytes)
{
	for (size_t at = 0; at < bytes;) {
		uint32_t c;
		unsigned length = utf8_read(text + at, bytes - at, &c);

		if (length == 0 || utf8_is_control(c) || c == ' ' || c == '"' || c == '\\')
			return true;
		at += length;
	}
	return false;
}

/* ---- numbers ---- */

#define NUMBER_MAX 32                 /* bytes */
#define EXACT_US   (INT64_C(1) << 50) /* more is not exact as a double */

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

/* As printf("%.1f") of the quotient. It decides by the quotient's binary digits what lies just
 * between two results: that is left to it. */
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

/* The digits of the value and its unit, or NULL if it is no number. */
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

/* A text as far as it is shown. */
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
	escape(to, s->text, s->bytes, how);
	if (s->cut)
		put_most(to, "...", 3);
}

/* A value that needs no escaping is there as a whole, or not at all. */
static void
put_plain(struct span *to, const struct shown *s)
{
	if (to->len + s->bytes + (s->cut ? 3 : 0) > to->max - 3)
		put(to, s->text, to->max);
	put(to, s->text, s->bytes);
	if (s->cut)
		put(to, "...", 3);
}

/* ---- the message ---- */

/* A blank, unless it is the first word. */
static void
put_gap(struct span *s)
{
	if (s->len > 0)
		put(s, " ", 1);
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

/* The values are those behind the subject: the message is the first of them. */
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
		put(to, " ", 1);
	if (v->is == LOG_IS_TEXT)
		put_shown(to, &s, PLAIN);
	else if (format_number(v, number, &s.bytes))
		put(to, number, s.bytes);
	put(to, ":", 1);
}

/* Also if the line is full, there is room for the quote that ends the value. */
static void
put_quoted(struct span *to, const struct log_value *v)
{
	struct shown s = shown_text(v->text, v->bytes);
	char number[NUMBER_MAX];

	if (to->cut)
		return;
	put(to, "\"", 1);
	put_shown(to, &s, QUOTED);
	if (v->is == LOG_IS_PHRASE) {
		put(to, " ", 1);
		put(to, number, format_integer(number, v->number, false));
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
	put(to, "=", 1);
	if (v->is == LOG_IS_QUOTED || v->is == LOG_IS_PHRASE) {
		put_quoted(to, v);
		return;
	}
	if ((unit = format_number(v, number, &length)) != NULL) {
		memcpy(number + length, unit, strlen(unit));
		put(to, number, length + strlen(unit));
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
		escape(&s, error, strlen(error), PLAIN);
	}
	l->len = s.len;
}

/* ---- values as JSON, RFC 8259 ---- */

/* What log itself calls its members. */
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
	put(to, ",\"", 2);
	put_string(to, v->key);
	if (is_taken(v->key))
		put(to, "_", 1);
	if (unit && *unit) {
		put(to, "_", 1);
		put_string(to, unit);
	}
	put(to, "\":", 2);
	if (unit) {
		put(to, number, length);
		return;
	}
	s = shown_text(v->text, v->bytes);
	put(to, "\"", 1);
	put_shown(to, &s, JSON);
	if (v->is == LOG_IS_PHRASE) {
		put(to, " ", 1);
		put(to, number, format_integer(number, v->number, false));
	}
	close_span(to, '"');
}

/* A part of the line with a limit of its own, so that no part crowds out the others. */
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
	put(&s, "\"", 1);
	part = part_of(&s, MEMBERS_MAX);
	if (values->is != LOG_IS_NOTHING) {
		put_member(&part, values);
	} else if (values->key[0]) {
		put_string(&part, ",\"subject\":\"");
		put_string(&part, values->key);
		put(&part, "\"", 1);
	}
	for (const struct log_value *v = values + 1; v->is != LOG_IS_END; v++)
		if (v->key)
			put_member(&part, v);
	s.len += part.len;
	if (error) {
		put_string(&s, ",\"error\":\"");
		escape(&s, error, strlen(error), JSON);
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

/* With an end, so that "a", "bc" is not "ab", "c". */
static uint64_t
add_text(uint64_t kind, const char *text, size_t bytes)
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
		kind = add_text(kind, v->key, LOG_TO_NUL);
		kind = add_text(kind, v->text, v->bytes);
		kind = add_text(kind, v->to, LOG_TO_NUL);
	}
	return add_text(kind, error, LOG_TO_NUL);
}
