#include "admin/html.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "base/utf8.h"

void
html_add(struct buf *out, const char *markup)
{
	buf_add(out, markup, strlen(markup));
}

/* What stands for a character that means something in HTML; NULL: it means nothing. */
static const char *
entity_of(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

void
html_text(struct buf *out, const char *text)
{
	size_t left = text ? strlen(text) : 0, bytes;
	uint32_t character;

	for (; left > 0; text += bytes, left -= bytes) {
		const char *entity = entity_of(*text);

		bytes = utf8_read(text, left, &character);
		if (entity) {
			html_add(out, entity);
		} else if (bytes == 0 || utf8_is_control(character)) {
			bytes = bytes ? bytes : 1;
			for (size_t i = 0; i < bytes; i++)
				buf_add_fmt(out, "\\x%02x", (unsigned char)text[i]);
		} else {
			buf_add(out, text, bytes);
		}
	}
}

void
html_number(struct buf *out, uint64_t value)
{
	char digits[24];
	int n = snprintf(digits, sizeof digits, "%" PRIu64, value);

	for (int i = 0; i < n; i++) {
		if (i > 0 && (n - i) % 3 == 0)
			buf_add_u8(out, ',');
		buf_add_u8(out, (uint8_t)digits[i]);
	}
}

void
html_rate(struct buf *out, double rate)
{
	if (rate <= 0)
		buf_add_u8(out, '0');
	else if (rate < 0.05)
		html_add(out, "&lt;0.1");
	else if (rate < 9.95)
		buf_add_fmt(out, "%.1f", rate);
	else
		html_number(out, (uint64_t)(rate + 0.5));
}

void
html_elapsed(struct buf *out, int64_t us)
{
	char text[32];

	html_add(out, units_elapsed_str(us < 0 ? 0 : us, text, sizeof text));
}

void
html_count(struct buf *out, uint64_t count, const char *one, const char *many)
{
	html_number(out, count);
	buf_add_fmt(out, " %s", count == 1 ? one : many);
}

void
html_more(struct buf *out, unsigned more, const char *ask)
{
	if (more == 0)
		return;
	html_add(out, "<p class=more>and ");
	html_number(out, more);
	buf_add_fmt(out, " more: <code>%s</code></p>", ask);
}

void
html_clock(struct buf *out, time_t at, const char *format)
{
	char text[64];
	struct tm tm;

	localtime_r(&at, &tm);
	strftime(text, sizeof text, format, &tm);
	html_text(out, text);
}
