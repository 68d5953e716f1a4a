#include "base/logline.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/utf8.h"

#define VALUE_MAX   1200 /* bytes of a value, or of a word with what it stands for, unescaped */
#define MESSAGE_MAX 1400 /* JSON: bytes of the message, escaped */
#define NAME_BYTES  48   /* bytes of the name of a member */
#define CLOSE_MAX   8    /* room to end what was cut */

/* Bytes up to `max`; then "..." and no more, but for what close_span() adds. */
struct span {
	char *at;
	size_t len, max;
	bool cut;
};

/* What a value is made of. */
struct value {
	char text[VALUE_MAX + CLOSE_MAX];
	struct span span;
	bool number;   /* it begins with a number that a conversion has made */
	size_t digits; /* of which these are the bytes */
	bool more;     /* a second conversion has added to it */
};

struct out {
	bool json;
	const char *at; /* in the format */
	va_list ap;
	uint64_t kind;
	struct span text;    /* text: the line; JSON: the message */
	struct span members; /* JSON: all but the message */
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

/* ---- conversions ---- */

struct spec {
	char flags[6];
	int width;
	int precision; /* -1: none */
	char length;   /* 0, H (hh), h, l, q (ll), j, z or t */
	char type;
};

static int
read_number(struct out *o)
{
	int n = 0;

	if (*o->at == '*') {
		o->at++;
		return va_arg(o->ap, int);
	}
	while (isdigit((unsigned char)*o->at))
		n = n * 10 + (*o->at++ - '0');
	return n;
}

/* printf(3). The format stands at its %. */
static void
read_spec(struct out *o, struct spec *sp)
{
	size_t n = 0;

	o->at++;
	for (; *o->at && strchr("-+ #0", *o->at); o->at++)
		if (n < sizeof sp->flags - 1)
			sp->flags[n++] = *o->at;
	sp->flags[n] = 0;
	sp->width = read_number(o);
	sp->precision = -1;
	if (*o->at == '.') {
		o->at++;
		sp->precision = read_number(o);
	}
	sp->length = 0;
	for (; *o->at && strchr("hlqjzt", *o->at); o->at++)
		sp->length = sp->length != *o->at ? *o->at : *o->at == 'h' ? 'H' : 'q';
	sp->type = *o->at ? *o->at++ : '%';
}

static long long
signed_argument(struct out *o, char length)
{
	switch (length) {
	case 'l':
		return va_arg(o->ap, long);
	case 'q':
		return va_arg(o->ap, long long);
	case 'j':
		return va_arg(o->ap, intmax_t);
	case 'z':
		return (long long)va_arg(o->ap, size_t);
	case 't':
		return va_arg(o->ap, ptrdiff_t);
	default:
		return va_arg(o->ap, int);
	}
}

static unsigned long long
unsigned_argument(struct out *o, char length)
{
	if (length == 0 || length == 'h' || length == 'H')
		return va_arg(o->ap, unsigned);
	return (unsigned long long)signed_argument(o, length);
}

static void
put_text(struct out *o, struct value *v, const char *text, size_t bytes)
{
	size_t fit;

	o->kind = hash_bytes(o->kind, text, bytes);
	/* So that "a", "bc" is not "ab", "c". */
	o->kind = hash_bytes(o->kind, "", 1);
	if (v->span.cut)
		return;
	fit = utf8_fit(text, bytes, v->span.max - 3 - v->span.len);
	put(&v->span, text, fit);
	/* The rest does not fit: that is to be seen. */
	if (fit < bytes)
		put(&v->span, text, v->span.max);
}

/* Most integers are plain. */
static size_t
put_digits(char *out, unsigned long long value, bool negative)
{
	char digits[24];
	size_t n = sizeof digits;

	do
		digits[--n] = (char)('0' + value % 10);
	while ((value /= 10) > 0);
	if (negative)
		digits[--n] = '-';
	memcpy(out, digits + n, sizeof digits - n);
	return sizeof digits - n;
}

static size_t
format_integer(struct out *o, const struct spec *sp, char *out, size_t size)
{
	bool is_signed = sp->type == 'd' || sp->type == 'i';
	long long value = is_signed ? signed_argument(o, sp->length)
				    : (long long)unsigned_argument(o, sp->length);
	bool negative = is_signed && value < 0;
	char format[24];
	int n;

	if (sp->flags[0] == 0 && sp->width == 0 && sp->precision < 0 &&
	    (is_signed || sp->type == 'u'))
		return put_digits(out,
				  negative ? -(unsigned long long)value : (unsigned long long)value,
				  negative);
	snprintf(format, sizeof format, "%%%s*.*ll%c", sp->flags, sp->type);
	n = snprintf(out, size, format, sp->width, sp->precision, value);
	return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

static size_t
format_double(struct out *o, const struct spec *sp, char *out, size_t size)
{
	char format[24];
	int n;

	snprintf(format, sizeof format, "%%%s*.*%c", sp->flags, sp->type);
	n = snprintf(out, size, format, sp->width, sp->precision, va_arg(o->ap, double));
	return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

/* The conversion that the format stands at: what comes of it is added to the value. */
static void
convert(struct out *o, struct value *v)
{
	bool first = v->span.len == 0;
	char number[400], c;
	struct spec sp;
	const char *s;
	size_t n;

	read_spec(o, &sp);
	switch (sp.type) {
	case '%':
		put(&v->span, "%", 1);
		return;
	case 's':
		s = va_arg(o->ap, const char *);
		if (s == NULL)
			s = "(null)";
		put_text(o, v, s, sp.precision >= 0 ? strnlen(s, (size_t)sp.precision) : strlen(s));
		v->more = true;
		return;
	case 'c':
		c = (char)va_arg(o->ap, int);
		put_text(o, v, &c, 1);
		v->more = true;
		return;
	case 'f':
	case 'e':
	case 'g':
		n = format_double(o, &sp, number, sizeof number);
		break;
	default: /* d i u x X o */
		n = format_integer(o, &sp, number, sizeof number);
	}
	put(&v->span, number, n);
	v->more |= !first;
	if (first && sp.type != 'x' && sp.type != 'X' && sp.type != 'o') {
		v->number = true;
		v->digits = v->span.len;
	}
}

/* Fills the value from the format up to one of these bytes, or its end. */
static void
read_value(struct out *o, struct value *v, const char *end)
{
	v->span = (struct span){.at = v->text, .max = VALUE_MAX};
	v->number = v->more = false;
	while (*o->at && strchr(end, *o->at) == NULL) {
		size_t n = strcspn(o->at, "%\" :");

		if (*o->at == '%') {
			convert(o, v);
			continue;
		}
		put(&v->span, o->at, n ? n : 1);
		o->at += n ? n : 1;
	}
}

/* ---- fields ---- */

/* RFC 8259, 6: no leading zeros, no plus sign, nothing like "inf". */
static bool
is_json_number(const char *s, size_t bytes)
{
	size_t at = 0;

	if (at < bytes && s[at] == '-')
		at++;
	if (at == bytes || !isdigit((unsigned char)s[at]))
		return false;
	if (s[at] == '0' && at + 1 < bytes && isdigit((unsigned char)s[at + 1]))
		return false;
	for (; at < bytes; at++)
		if (!isdigit((unsigned char)s[at]) &&
		    !(s[at] == '.' && at + 1 < bytes && isdigit((unsigned char)s[at + 1])))
			return false;
	return true;
}

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
put_member(struct out *o, const char *name, const struct value *v)
{
	struct span *m = &o->members;
	bool number =
	    v->number && !v->more && v->digits <= 24 && is_json_number(v->text, v->digits);
	const char *unit = number ? v->text + v->digits : "";
	size_t unit_bytes = number ? v->span.len - v->digits : 0;

	for (size_t i = 0; i < unit_bytes; i++)
		number &= islower((unsigned char)unit[i]) != 0;
	if (m->cut || m->len + 2 * NAME_BYTES > m->max) {
		m->cut = true;
		return;
	}
	put_string(m, ",\"");
	put_string(m, name);
	if (is_taken(name))
		put_string(m, "_");
	if (number && unit_bytes) {
		put_string(m, "_");
		put(m, unit, unit_bytes < 8 ? unit_bytes : 8);
	}
	put_string(m, "\":");
	if (number) {
		put(m, v->text, v->digits);
		return;
	}
	put_string(m, "\"");
	escape(m, v->text, v->span.len, JSON);
	close_span(m, '"');
}

/* A blank, unless it is the first word. */
static void
put_gap(struct span *s)
{
	if (s->len > 0)
		put(s, " ", 1);
}

static size_t
name_length(const char *s)
{
	size_t n = 0;

	if (!islower((unsigned char)*s))
		return 0;
	while (islower((unsigned char)s[n]) || isdigit((unsigned char)s[n]) || s[n] == '_')
		n++;
	return n < NAME_BYTES ? n : 0;
}

/* key=value, at which the format stands. */
static void
pair(struct out *o)
{
	size_t n = name_length(o->at);
	char name[NAME_BYTES + 1];
	struct value v;
	bool quoted;

	memcpy(name, o->at, n);
	name[n] = 0;
	o->at += n + 1;
	quoted = *o->at == '"';
	if (quoted)
		o->at++;
	read_value(o, &v, quoted ? "\"" : " ");
	if (quoted && *o->at)
		o->at++;
	if (o->json) {
		put_member(o, name, &v);
		return;
	}
	put_gap(&o->text);
	put_string(&o->text, name);
	put_string(&o->text, "=");
	if (!quoted && !needs_quotes(v.text, v.span.len)) {
		put(&o->text, v.text, v.span.len);
		return;
	}
	if (o->text.cut)
		return;
	put_string(&o->text, "\"");
	escape(&o->text, v.text, v.span.len, QUOTED);
	close_span(&o->text, '"');
}

static void
word(struct out *o)
{
	struct value v;

	read_value(o, &v, " ");
	put_gap(&o->text);
	escape(&o->text, v.text, v.span.len, o->json ? JSON : PLAIN);
}

/* Does the format begin with "session %llu: " or "pgwithd: "? The length of the word, or 0. */
static size_t
subject_length(const char *fmt, bool *id)
{
	size_t n = name_length(fmt), rest;

	*id = false;
	if (n == 0 || fmt[n] == ':')
		return n && fmt[n + 1] == ' ' ? n : 0;
	if (fmt[n] != ' ' || fmt[n + 1] != '%')
		return 0;
	*id = true;
	rest = n + 1 + strcspn(fmt + n + 1, ": ");
	return fmt[rest] == ':' && fmt[rest + 1] == ' ' ? n : 0;
}

static void
subject(struct out *o)
{
	char name[NAME_BYTES + 1];
	struct value v;
	bool id;
	size_t n = subject_length(o->at, &id);

	if (n == 0)
		return;
	memcpy(name, o->at, n);
	name[n] = 0;
	o->at += n + id;
	read_value(o, &v, ":");
	o->at += 2;
	if (o->json && id) {
		put_member(o, name, &v);
	} else if (o->json) {
		put_string(&o->members, ",\"subject\":\"");
		put_string(&o->members, name);
		put_string(&o->members, "\"");
	} else {
		put_string(&o->text, name);
		put_string(&o->text, id ? " " : "");
		escape(&o->text, v.text, v.span.len, PLAIN);
		put_string(&o->text, ":");
	}
}

/* The message, and everything else as members. */
static void
join(struct logline *l, const struct out *o, const char *error)
{
	struct span s = {.at = l->body, .max = LOGLINE_MAX - CLOSE_MAX};

	put_string(&s, "\"message\":\"");
	put(&s, o->text.at, o->text.len);
	put_string(&s, "\"");
	put(&s, o->members.at, o->members.len);
	if (error) {
		put_string(&s, ",\"error\":\"");
		escape(&s, error, strlen(error), JSON);
		close_span(&s, '"');
	}
	l->len = s.len;
}

void
logline_make(struct logline *l, bool json, const char *fmt, va_list ap, const char *error)
{
	char message[MESSAGE_MAX], members[LOGLINE_MAX - MESSAGE_MAX - 200];
	struct out o = {.json = json, .at = fmt};

	o.kind = hash_bytes(HASH_SEED, fmt, strlen(fmt));
	o.text = json ? (struct span){.at = message, .max = sizeof message - CLOSE_MAX}
		      : (struct span){.at = l->body, .max = LOGLINE_MAX - CLOSE_MAX};
	o.members = (struct span){.at = members, .max = sizeof members - CLOSE_MAX};
	va_copy(o.ap, ap);
	subject(&o);
	while (*o.at) {
		size_t n = name_length(o.at);

		if (*o.at == ' ')
			o.at++;
		else if (n > 0 && o.at[n] == '=')
			pair(&o);
		else
			word(&o);
	}
	va_end(o.ap);
	if (json) {
		join(l, &o, error);
	} else {
		if (error) {
			put_string(&o.text, ": ");
			escape(&o.text, error, strlen(error), PLAIN);
		}
		l->len = o.text.len;
	}
	if (error)
		o.kind = hash_bytes(o.kind, error, strlen(error));
	l->kind = o.kind;
}
