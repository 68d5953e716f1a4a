#include "base/tracepack.h"

#include <string.h>

#include "base/err.h"

#define NUMBER_MAX 10                   /* bytes of a number, at most */
#define EVENT_MAX  (2 + 5 * NUMBER_MAX) /* bytes of an event, at most */

enum { HAS_OTHER = 16, HAS_NAME = 32, HAS_NAME2 = 64, KIND = 15 };

/* ---- writing ---- */

static uint8_t *
put_number(uint8_t *at, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*at++ = (uint8_t)value | 0x80;
	*at++ = (uint8_t)value;
	return at;
}

/* A difference, with its sign in the lowest bit. */
static uint64_t
folded(int64_t value)
{
	return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

static int64_t
unfolded(uint64_t value)
{
	return (int64_t)(value >> 1 ^ -(value & 1));
}

void
tracepack_begin(struct tracepack_writer *w, struct buf *out, unsigned flags, int64_t now_us,
		uint64_t lost)
{
	uint8_t *start = buf_room(out, 2 + 2 * NUMBER_MAX), *at = start;

	*w = (struct tracepack_writer){.out = out, .at_us = now_us};
	if (start == NULL)
		return;
	*at++ = TRACEPACK_VERSION;
	*at++ = (uint8_t)flags;
	at = put_number(at, (uint64_t)now_us);
	at = put_number(at, lost);
	buf_grew(out, (size_t)(at - start));
}

void
tracepack_name(struct tracepack_writer *w, unsigned number, const char *name)
{
	size_t bytes = strlen(name);
	uint8_t *start = buf_room(w->out, 1 + 2 * NUMBER_MAX + bytes), *at = start;

	if (start == NULL)
		return;
	*at++ = TRACEPACK_NAME;
	at = put_number(at, number);
	at = put_number(at, bytes);
	memcpy(at, name, bytes);
	buf_grew(w->out, (size_t)(at - start) + bytes);
}

void
tracepack_event(struct tracepack_writer *w, const struct trace_event *e)
{
	uint8_t *start = buf_room(w->out, EVENT_MAX), *at = start;

	if (start == NULL)
		return;
	*at++ = (uint8_t)(e->kind | (e->other ? HAS_OTHER : 0) | (e->name ? HAS_NAME : 0) |
			  (e->name2 ? HAS_NAME2 : 0));
	*at++ = e->state;
	at = put_number(at, folded(e->at_us - w->at_us));
	at = put_number(at, e->subject);
	if (e->other)
		at = put_number(at, e->other);
	if (e->name)
		at = put_number(at, e->name);
	if (e->name2)
		at = put_number(at, e->name2);
	w->at_us = e->at_us;
	buf_grew(w->out, (size_t)(at - start));
}

/* ---- reading ---- */

static uint8_t
get_byte(struct tracepack_reader *r)
{
	if (r->at == r->end) {
		r->failed = true;
		return 0;
	}
	return *r->at++;
}

static uint64_t
get_number(struct tracepack_reader *r)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = get_byte(r);

		/* The tenth byte has the highest bit of 64 only. */
		if (shift == 63 && byte > 1)
			break;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return value;
	}
	r->failed = true;
	return 0;
}

/* The number of a name. */
static uint16_t
get_name(struct tracepack_reader *r)
{
	uint64_t number = get_number(r);

	if (number < 1 || number > TRACE_NAMES)
		r->failed = true;
	return r->failed ? 0 : (uint16_t)number;
}

int
tracepack_read(struct tracepack_reader *r, const void *portion, size_t bytes)
{
	uint8_t version;

	*r = (struct tracepack_reader){.at = portion, .end = (const uint8_t *)portion + bytes};
	version = get_byte(r);
	if (!r->failed && version != TRACEPACK_VERSION)
		return -E_RANGE;
	r->flags = get_byte(r);
	r->now_us = r->at_us = (int64_t)get_number(r);
	r->lost = get_number(r);
	return r->failed || r->now_us < 0 ? -E_SYNTAX : 0;
}

static void
read_name(struct tracepack_reader *r, struct tracepack_record *out)
{
	uint64_t bytes;

	out->number = get_name(r);
	bytes = get_number(r);
	if (r->failed || bytes >= TRACE_NAME || bytes > (size_t)(r->end - r->at)) {
		r->failed = true;
		return;
	}
	out->text = (const char *)r->at;
	out->bytes = (size_t)bytes;
	r->at += bytes;
}

static void
read_event(struct tracepack_reader *r, uint8_t first, struct trace_event *e)
{
	*e = (struct trace_event){.kind = first & KIND, .state = get_byte(r)};
	/* Unsigned, because a damaged portion may overflow. */
	r->at_us = (int64_t)((uint64_t)r->at_us + (uint64_t)unfolded(get_number(r)));
	e->at_us = r->at_us;
	e->subject = get_number(r);
	if (first & HAS_OTHER)
		e->other = get_number(r);
	if (first & HAS_NAME)
		e->name = get_name(r);
	if (first & HAS_NAME2)
		e->name2 = get_name(r);
	/* No time is negative, so that the difference of two times fits into 64 bits. */
	if (e->at_us < 0 || e->kind >= TRACE_NKINDS ||
	    first > (KIND | HAS_OTHER | HAS_NAME | HAS_NAME2))
		r->failed = true;
}

int
tracepack_next(struct tracepack_reader *r, struct tracepack_record *out)
{
	uint8_t first;

	if (r->failed)
		return -E_SYNTAX;
	if (r->at == r->end)
		return 0;
	first = get_byte(r);
	out->is_name = first == TRACEPACK_NAME;
	if (out->is_name)
		read_name(r, out);
	else
		read_event(r, first, &out->event);
	return r->failed ? -E_SYNTAX : 1;
}
