#include "admin/exposition.h"

#include <string.h>

#include "base/utf8.h"

#define LABELS_MAX 4096

/* ---- numbers ---- */

static void
add_text(struct buf *out, const char *text)
{
	buf_add(out, text, strlen(text));
}

/* Without printf(3): a page may have ten thousand samples, and the loop stands still meanwhile. */
static void
add_decimal(struct buf *out, uint64_t value)
{
	char text[24], *p = text + sizeof text;

	do
		*--p = (char)('0' + value % 10);
	while ((value /= 10) > 0);
	buf_add(out, p, (size_t)(text + sizeof text - p));
}

/* Writes microseconds as seconds, without zeros at the end. OpenMetrics wants a point in a bound of
 * a bucket: 1.0. */
static void
add_seconds(struct buf *out, uint64_t us)
{
	char digits[6];
	unsigned n = sizeof digits;

	add_decimal(out, us / 1000000);
	us %= 1000000;
	for (unsigned i = n; i-- > 0; us /= 10)
		digits[i] = (char)('0' + us % 10);
	while (n > 1 && digits[n - 1] == '0')
		n--;
	buf_add_u8(out, '.');
	buf_add(out, digits, n);
}

/* ---- families ---- */

const char *
exposition_type_name(enum exposition_type type)
{
	static const char *const names[] = {"counter", "gauge", "histogram", "info"};

	return names[type];
}

void
exposition_init(struct exposition *x, struct buf *out, bool openmetrics)
{
	*x = (struct exposition){.out = out, .openmetrics = openmetrics};
	buf_init(&x->labels, LABELS_MAX);
}

void
exposition_end(struct exposition *x)
{
	if (x->openmetrics)
		add_text(x->out, "# EOF\n");
	buf_clear(&x->labels);
}

/* What every sample of the family has behind the family's name. */
static const char *
suffix_of(const struct exposition *x)
{
	switch (x->type) {
	case EXPOSITION_COUNTER:
		return "_total";
	case EXPOSITION_INFO:
		return "_info";
	default:
		return "";
	}
}

/* `name`: that of the family, as this format has it. */
static void
add_metadata(struct exposition *x, const char *keyword, const char *text)
{
	add_text(x->out, keyword);
	add_text(x->out, x->name);
	if (!x->openmetrics)
		add_text(x->out, suffix_of(x));
	buf_add_u8(x->out, ' ');
	add_text(x->out, text);
	buf_add_u8(x->out, '\n');
}

void
exposition_family(struct exposition *x, const char *name, enum exposition_type type,
		  const char *unit, const char *help)
{
	bool info = type == EXPOSITION_INFO && !x->openmetrics;

	x->name = name;
	x->type = type;
	add_metadata(x, "# HELP ", help);
	add_metadata(x, "# TYPE ", info ? "gauge" : exposition_type_name(type));
	if (x->openmetrics && *unit)
		add_metadata(x, "# UNIT ", unit);
	exposition_no_labels(x);
}

/* ---- labels ---- */

void
exposition_no_labels(struct exposition *x)
{
	buf_reset(&x->labels);
}

/* Adds one byte of a value that must not stand there as it is. */
static void
add_hidden(struct buf *out, uint8_t byte)
{
	static const char hex[] = "0123456789abcdef";
	const char text[] = {'\\', '\\', 'x', hex[byte >> 4], hex[byte & 15]};

	buf_add(out, text, sizeof text);
}

static void
add_value(struct buf *out, const char *value)
{
	size_t left = strlen(value), bytes;
	uint32_t character = 0;

	for (; left > 0; value += bytes, left -= bytes) {
		bytes = utf8_read(value, left, &character);
		if (bytes == 0 || utf8_is_control(character) ||
		    (*value == '\\' && value[1] == 'x')) {
			bytes = bytes ? bytes : 1;
			for (size_t i = 0; i < bytes; i++)
				add_hidden(out, (uint8_t)value[i]);
			continue;
		}
		if (*value == '\\' || *value == '"')
			buf_add_u8(out, '\\');
		buf_add(out, value, bytes);
	}
}

void
exposition_label(struct exposition *x, const char *name, const char *value)
{
	if (x->labels.len > 0)
		buf_add_u8(&x->labels, ',');
	add_text(&x->labels, name);
	add_text(&x->labels, "=\"");
	add_value(&x->labels, value);
	buf_add_u8(&x->labels, '"');
}

/* ---- samples ---- */

/* Writes name and labels of a sample, up to its value. `bound_us`: of a bucket; 0: it is none, -1:
 * the last one. */
static void
begin_sample(struct exposition *x, const char *suffix, int64_t bound_us)
{
	struct buf *out = x->out;

	add_text(out, x->name);
	add_text(out, suffix);
	if (x->labels.len > 0 || bound_us) {
		buf_add_u8(out, '{');
		buf_add(out, buf_data(&x->labels), x->labels.len);
		if (x->labels.len > 0 && bound_us)
			buf_add_u8(out, ',');
		if (bound_us) {
			add_text(out, "le=\"");
			if (bound_us < 0)
				add_text(out, "+Inf");
			else
				add_seconds(out, (uint64_t)bound_us);
			buf_add_u8(out, '"');
		}
		buf_add_u8(out, '}');
	}
	buf_add_u8(out, ' ');
}

static void
end_sample(struct exposition *x)
{
	buf_add_u8(x->out, '\n');
}

void
exposition_number(struct exposition *x, uint64_t value)
{
	begin_sample(x, suffix_of(x), 0);
	add_decimal(x->out, value);
	end_sample(x);
}

void
exposition_seconds(struct exposition *x, int64_t us)
{
	begin_sample(x, suffix_of(x), 0);
	add_seconds(x->out, us < 0 ? 0 : (uint64_t)us);
	end_sample(x);
}

static void
add_bucket(struct exposition *x, int64_t bound_us, uint64_t count)
{
	begin_sample(x, "_bucket", bound_us);
	add_decimal(x->out, count);
	end_sample(x);
}

/* Times are whole microseconds, cut off: one that is counted below the bound was less than it. */
static uint64_t
add_up(const struct histogram *h, unsigned *bucket, int64_t bound_us)
{
	uint64_t sum = 0;

	for (; *bucket < histogram_bucket(bound_us); (*bucket)++)
		sum += h->buckets[*bucket];
	return sum;
}

void
exposition_histogram(struct exposition *x, const struct histogram *h, enum exposition_bounds bounds)
{
	int64_t bound_us = bounds == EXPOSITION_FINE ? 1 << 7 : 1 << 8;
	int64_t last_us = bounds == EXPOSITION_FINE ? 1 << 26 : 1 << 30;
	uint64_t below = 0;
	unsigned bucket = 0;

	for (; bound_us <= last_us; bound_us *= bounds == EXPOSITION_FINE ? 2 : 4) {
		below += add_up(h, &bucket, bound_us);
		add_bucket(x, bound_us, below);
		if (bounds == EXPOSITION_FINE && bound_us < last_us) {
			below += add_up(h, &bucket, bound_us + bound_us / 2);
			add_bucket(x, bound_us + bound_us / 2, below);
		}
	}
	add_bucket(x, -1, h->count);
	begin_sample(x, "_sum", 0);
	add_seconds(x->out, h->sum_us);
	end_sample(x);
	begin_sample(x, "_count", 0);
	add_decimal(x->out, h->count);
	end_sample(x);
}
