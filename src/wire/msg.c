#include "wire/msg.h"

#include <stdio.h>
#include <string.h>

#include "wire/reader.h"

/* Takes the first part of a message that did not fit out of the buf again: the whole messages
 * before it can still be sent. */
static void
truncate_to(struct buf *b, size_t at)
{
	b->len = at;
}

size_t
msg_begin(struct buf *b, char type)
{
	size_t at = b->len;

	buf_add_u8(b, (uint8_t)type);
	buf_add_u32(b, 0);
	return at;
}

void
msg_end(struct buf *b, size_t at)
{
	uint32_t length;
	uint8_t *p;

	if (b->failed) {
		truncate_to(b, at);
		return;
	}
	length = (uint32_t)(b->len - at - 1);
	p = buf_data(b) + at + 1;
	p[0] = length >> 24;
	p[1] = length >> 16;
	p[2] = length >> 8;
	p[3] = length;
}

void
msg_auth_ok(struct buf *b)
{
	size_t at = msg_begin(b, 'R');

	buf_add_u32(b, 0);
	msg_end(b, at);
}

void
msg_auth(struct buf *b, enum msg_auth code, const void *data, size_t bytes)
{
	size_t at = msg_begin(b, 'R');

	buf_add_u32(b, code);
	buf_add(b, data, bytes);
	msg_end(b, at);
}

void
msg_parameter_status(struct buf *b, const char *name, const char *value)
{
	size_t at = msg_begin(b, 'S');

	buf_add_str(b, name);
	buf_add_str(b, value);
	msg_end(b, at);
}

void
msg_backend_key(struct buf *b, uint32_t pid, const uint8_t *key, size_t bytes)
{
	size_t at = msg_begin(b, 'K');

	buf_add_u32(b, pid);
	buf_add(b, key, bytes);
	msg_end(b, at);
}

void
msg_ready(struct buf *b, char status)
{
	size_t at = msg_begin(b, 'Z');

	buf_add_u8(b, (uint8_t)status);
	msg_end(b, at);
}

void
msg_complete(struct buf *b, const char *tag)
{
	size_t at = msg_begin(b, 'C');

	buf_add_str(b, tag);
	msg_end(b, at);
}

void
msg_negotiate(struct buf *b, uint32_t version, const char *const *options, unsigned noptions)
{
	size_t at = msg_begin(b, 'v');

	buf_add_u32(b, version);
	buf_add_u32(b, noptions);
	for (unsigned i = 0; i < noptions; i++)
		buf_add_str(b, options[i]);
	msg_end(b, at);
}

static void
add_field(struct buf *b, char name, const char *value)
{
	if (value == NULL)
		return;
	buf_add_u8(b, (uint8_t)name);
	buf_add_str(b, value);
}

/* ErrorResponse or NoticeResponse. `position`: 0 for none. */
static void
add_report(struct buf *b, char type, const char *severity, const char *sqlstate,
	   const char *message, const char *detail, const char *hint, unsigned position)
{
	char number[16];

	size_t at = msg_begin(b, type);

	add_field(b, 'S', severity);
	add_field(b, 'V', severity);
	add_field(b, 'C', sqlstate);
	add_field(b, 'M', message);
	add_field(b, 'D', detail);
	add_field(b, 'H', hint);
	if (position > 0) {
		snprintf(number, sizeof number, "%u", position);
		add_field(b, 'P', number);
	}
	buf_add_u8(b, 0);
	msg_end(b, at);
}

void
msg_report(struct buf *b, char type, const char *severity, const char *sqlstate,
	   const char *message, const char *detail, const char *hint)
{
	add_report(b, type, severity, sqlstate, message, detail, hint, 0);
}

void
msg_err(struct buf *b, const struct err *e)
{
	add_report(b, 'E', err_kind(e->id)->fatal ? "FATAL" : "ERROR", e->sqlstate, e->message,
		   e->detail, e->hint, e->position);
}

void
msg_notice(struct buf *b, const char *severity, const struct err *e)
{
	add_report(b, 'N', severity, e->sqlstate, e->message, e->detail, e->hint, 0);
}

void
msg_row_description(struct buf *b, const struct msg_column *c, unsigned n)
{
	size_t at = msg_begin(b, 'T');

	buf_add_u16(b, (uint16_t)n);
	for (unsigned i = 0; i < n; i++) {
		buf_add_str(b, c[i].name);
		buf_add_u32(b, 0); /* table oid: not a column of a table */
		buf_add_u16(b, 0); /* attribute number */
		buf_add_u32(b, c[i].type_oid);
		buf_add_u16(b, (uint16_t)c[i].type_size);
		buf_add_u32(b, (uint32_t)c[i].modifier);
		buf_add_u16(b, c[i].format);
	}
	msg_end(b, at);
}

/* The number of values and the values, as in DataRow and Bind. */
static void
add_values(struct buf *b, const char *const *values, unsigned n)
{
	buf_add_u16(b, (uint16_t)n);
	for (unsigned i = 0; i < n; i++) {
		if (values[i] == NULL) {
			buf_add_u32(b, UINT32_MAX);
			continue;
		}
		buf_add_u32(b, (uint32_t)strlen(values[i]));
		buf_add(b, values[i], strlen(values[i]));
	}
}

void
msg_data_row(struct buf *b, const char *const *values, unsigned n)
{
	size_t at = msg_begin(b, 'D');

	add_values(b, values, n);
	msg_end(b, at);
}

void
msg_query(struct buf *b, const char *sql)
{
	size_t at = msg_begin(b, 'Q');

	buf_add_str(b, sql);
	msg_end(b, at);
}

void
msg_parse(struct buf *b, const char *statement, const char *sql, const uint32_t *types,
	  unsigned ntypes)
{
	size_t at = msg_begin(b, 'P');

	buf_add_str(b, statement);
	buf_add_str(b, sql);
	buf_add_u16(b, (uint16_t)ntypes);
	for (unsigned i = 0; i < ntypes; i++)
		buf_add_u32(b, types[i]);
	msg_end(b, at);
}

void
msg_bind(struct buf *b, const char *portal, const char *statement, const char *const *values,
	 unsigned n)
{
	size_t at = msg_begin(b, 'B');

	buf_add_str(b, portal);
	buf_add_str(b, statement);
	buf_add_u16(b, 0); /* formats: all are texts */
	add_values(b, values, n);
	buf_add_u16(b, 0); /* formats of the result */
	msg_end(b, at);
}

void
msg_execute(struct buf *b, const char *portal)
{
	size_t at = msg_begin(b, 'E');

	buf_add_str(b, portal);
	buf_add_u32(b, 0); /* rows: all */
	msg_end(b, at);
}

void
msg_close(struct buf *b, char kind, const char *name)
{
	size_t at = msg_begin(b, 'C');

	buf_add_u8(b, (uint8_t)kind);
	buf_add_str(b, name);
	msg_end(b, at);
}

void
msg_sync(struct buf *b)
{
	msg_end(b, msg_begin(b, 'S'));
}

void
msg_flush(struct buf *b)
{
	msg_end(b, msg_begin(b, 'H'));
}

void
msg_copy_fail(struct buf *b, const char *reason)
{
	size_t at = msg_begin(b, 'f');

	buf_add_str(b, reason);
	msg_end(b, at);
}

void
msg_terminate(struct buf *b)
{
	msg_end(b, msg_begin(b, 'X'));
}

void
msg_startup(struct buf *b, const char *const *pairs)
{
	size_t at = b->len;
	uint32_t length;
	uint8_t *p;

	buf_add_u32(b, 0);
	buf_add_u32(b, 3 << 16);
	for (; *pairs; pairs++)
		buf_add_str(b, *pairs);
	buf_add_u8(b, 0);
	if (b->failed) {
		truncate_to(b, at);
		return;
	}
	length = (uint32_t)(b->len - at);
	p = buf_data(b) + at;
	p[0] = length >> 24;
	p[1] = length >> 16;
	p[2] = length >> 8;
	p[3] = length;
}

void
msg_cancel_request(struct buf *b, uint32_t pid, uint32_t secret)
{
	size_t at = b->len;

	buf_add_u32(b, 16);
	buf_add_u32(b, 1234 << 16 | 5678);
	buf_add_u32(b, pid);
	buf_add_u32(b, secret);
	if (b->failed)
		truncate_to(b, at);
}

const char *
msg_report_field(const uint8_t *body, size_t bytes, char name)
{
	struct reader r;
	const char *value;
	char f;

	reader_init(&r, body, bytes);
	while ((f = (char)reader_u8(&r)) != 0) {
		value = reader_str(&r);
		if (r.failed)
			return NULL;
		if (f == name)
			return value;
	}
	return NULL;
}
