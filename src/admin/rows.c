#include "admin/rows.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "wire/msg.h"

/* oids and sizes as in PostgreSQL's pg_type.dat */
static const struct {
	uint32_t oid;
	int16_t size;
} types[] = {
    [COLUMN_TEXT] = {25, -1},      [COLUMN_INT] = {23, 4},  [COLUMN_BIGINT] = {20, 8},
    [COLUMN_NUMERIC] = {1700, -1}, [COLUMN_BOOL] = {16, 1}, [COLUMN_BYTEA] = {17, -1},
};

static uint16_t
format_of(const struct rows *r, unsigned column)
{
	return r->nformats == 0 ? 0 : r->nformats == 1 ? r->formats[0] : r->formats[column];
}

static void
put_u32(uint8_t *p, uint32_t value)
{
	p[0] = value >> 24;
	p[1] = value >> 16;
	p[2] = value >> 8;
	p[3] = value;
}

void
rows_describe(const struct rows *r)
{
	size_t at = msg_begin(r->out, 'T');

	buf_add_u16(r->out, (uint16_t)r->ncolumns);
	for (unsigned i = 0; i < r->ncolumns; i++) {
		buf_add_str(r->out, r->columns[i].name);
		buf_add_u32(r->out, 0); /* it is not a column of a table */
		buf_add_u16(r->out, 0);
		buf_add_u32(r->out, types[r->columns[i].type].oid);
		buf_add_u16(r->out, (uint16_t)types[r->columns[i].type].size);
		buf_add_u32(r->out, UINT32_MAX); /* no modifier */
		buf_add_u16(r->out, format_of(r, i));
	}
	msg_end(r->out, at);
}

void
rows_begin(struct rows *r)
{
	r->at = msg_begin(r->out, 'D');
	r->cell = 0;
	buf_add_u16(r->out, (uint16_t)r->ncolumns);
}

void
rows_end(struct rows *r)
{
	assert(r->cell == r->ncolumns);
	msg_end(r->out, r->at);
	r->count++;
}

void
rows_null(struct rows *r)
{
	assert(r->cell < r->ncolumns);
	buf_add_u32(r->out, UINT32_MAX);
	r->cell++;
}

void
rows_text(struct rows *r, const char *text)
{
	size_t at = r->out->len;

	if (text == NULL) {
		rows_null(r);
		return;
	}
	assert(r->cell < r->ncolumns && r->columns[r->cell].type == COLUMN_TEXT);
	buf_add_u32(r->out, 0);
	buf_add_clean(r->out, text, strlen(text));
	if (!r->out->failed)
		put_u32(buf_data(r->out) + at, (uint32_t)(r->out->len - at - 4));
	r->cell++;
}

/* PostgreSQL 15, src/backend/utils/adt/numeric.c, numeric_send(): digits of base 10000, the weight
 * of the first one, the sign, the scale, the digits. */
static void
add_numeric(struct buf *out, int64_t value)
{
	uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
	uint16_t digits[5];
	unsigned n = 0;

	for (; rest > 0; rest /= 10000)
		digits[n++] = rest % 10000;
	buf_add_u32(out, 8 + 2 * n);
	buf_add_u16(out, (uint16_t)n);
	buf_add_u16(out, n ? (uint16_t)(n - 1) : 0);
	buf_add_u16(out, value < 0 ? 0x4000 : 0);
	buf_add_u16(out, 0);
	while (n > 0)
		buf_add_u16(out, digits[--n]);
}

static void
add_binary(struct buf *out, enum column_type type, int64_t value)
{
	switch (type) {
	case COLUMN_INT:
		buf_add_u32(out, 4);
		buf_add_u32(out, (uint32_t)value);
		return;
	case COLUMN_BIGINT:
		buf_add_u32(out, 8);
		buf_add_u64(out, (uint64_t)value);
		return;
	default:
		add_numeric(out, value);
	}
}

/* Without printf(3), which took a fifth of the time of a table with thousands of clients, mostly
 * numbers, while the loop stands still. */
static void
add_decimal(struct buf *out, int64_t value)
{
	uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
	char text[24], *p = text + sizeof text;
	size_t length;

	do
		*--p = (char)('0' + rest % 10);
	while ((rest /= 10) > 0);
	if (value < 0)
		*--p = '-';
	length = (size_t)(text + sizeof text - p);
	buf_add_u32(out, (uint32_t)length);
	buf_add(out, p, length);
}

void
rows_number(struct rows *r, int64_t value)
{
	enum column_type type = r->columns[r->cell].type;

	assert(r->cell < r->ncolumns);
	assert(type == COLUMN_INT || type == COLUMN_BIGINT || type == COLUMN_NUMERIC);
	if (type == COLUMN_INT && value > INT32_MAX)
		value = INT32_MAX;
	if (format_of(r, r->cell++) == 1)
		add_binary(r->out, type, value);
	else
		add_decimal(r->out, value);
}

/* As add_numeric(), for a number of thousandths: there may be one more digit of base 10000 behind
 * the point. */
static void
add_thousandths(struct buf *out, uint64_t value)
{
	uint16_t digits[6];
	unsigned n = 0, whole;

	digits[n++] = (uint16_t)(value % 1000 * 10);
	for (value /= 1000; value > 0; value /= 10000)
		digits[n++] = value % 10000;
	whole = n - 1;
	/* Zero is written without digits. */
	if (digits[0] == 0 && whole == 0)
		n = 0;
	buf_add_u32(out, 8 + 2 * n);
	buf_add_u16(out, (uint16_t)n);
	buf_add_u16(out, n ? (uint16_t)(whole - 1) : 0);
	buf_add_u16(out, 0);
	buf_add_u16(out, 3);
	while (n > 0)
		buf_add_u16(out, digits[--n]);
}

void
rows_ms(struct rows *r, int64_t us)
{
	char text[32];
	int length;

	assert(r->cell < r->ncolumns && r->columns[r->cell].type == COLUMN_NUMERIC && us >= 0);
	if (format_of(r, r->cell++) == 1) {
		add_thousandths(r->out, (uint64_t)us);
		return;
	}
	length = snprintf(text, sizeof text, "%lld.%03lld", (long long)(us / 1000),
			  (long long)(us % 1000));
	buf_add_u32(r->out, (uint32_t)length);
	buf_add(r->out, text, (size_t)length);
}

void
rows_bool(struct rows *r, bool value)
{
	assert(r->cell < r->ncolumns && r->columns[r->cell].type == COLUMN_BOOL);
	buf_add_u32(r->out, 1);
	buf_add_u8(r->out, format_of(r, r->cell) == 1 ? value : value ? 't' : 'f');
	r->cell++;
}

/* As text, it is in the hex format of bytea (PostgreSQL 15 documentation, 8.4.1). */
void
rows_bytes(struct rows *r, const void *data, size_t bytes)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;
	uint8_t *room;

	assert(r->cell < r->ncolumns && r->columns[r->cell].type == COLUMN_BYTEA);
	if (format_of(r, r->cell++) == 1) {
		buf_add_u32(r->out, (uint32_t)bytes);
		buf_add(r->out, data, bytes);
		return;
	}
	buf_add_u32(r->out, (uint32_t)(2 + 2 * bytes));
	buf_add(r->out, "\\x", 2);
	room = buf_room(r->out, 2 * bytes);
	if (room == NULL)
		return;
	for (size_t i = 0; i < bytes; i++) {
		*room++ = (uint8_t)digits[p[i] >> 4];
		*room++ = (uint8_t)digits[p[i] & 15];
	}
	buf_grew(r->out, 2 * bytes);
}
