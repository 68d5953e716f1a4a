#define _XOPEN_SOURCE 700 /* wcwidth() */
#include "cli/top/lines.h"

#include <langinfo.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"

#define TEXT_MAX (1u << 20) /* bytes of one text */

/* Does the terminal take UTF-8? Another charset would show other characters for our bytes, and some
 * of them, as 0x9b in ISO 8859-1, steer it. */
static bool
is_utf8(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* Reads one character: its bytes, and the columns that it takes. -1: it must not be printed. */
static unsigned
read_one(const char *text, size_t left, int *columns)
{
	uint32_t c;
	unsigned n = utf8_read(text, left, &c);

	if (n == 0 || utf8_is_control(c)) {
		*columns = -1;
		return n ? n : 1;
	}
	*columns = c < 0x80 || is_utf8() ? wcwidth((wchar_t)c) : -1;
	return n;
}

bool
lines_unicode(void)
{
	return is_utf8() && wcwidth(0x2588) == 1;
}

unsigned
lines_width(const char *text)
{
	size_t left = strlen(text);
	unsigned sum = 0;

	while (left > 0) {
		int columns;
		unsigned n = read_one(text, left, &columns);

		sum += columns < 0 ? 1 : (unsigned)columns;
		text += n;
		left -= n;
	}
	return sum;
}

char *
lines_fitted(const char *text, unsigned width)
{
	bool cut = width > 0 && lines_width(text) > width;
	size_t left = strlen(text);
	unsigned room = cut ? width - 1 : UINT32_MAX;
	struct buf b;
	char *copy;

	buf_init(&b, TEXT_MAX);
	while (left > 0) {
		int columns;
		unsigned n = read_one(text, left, &columns);
		unsigned takes = columns < 0 ? 1 : (unsigned)columns;

		if (takes > room)
			break;
		room -= takes;
		if (columns < 0)
			buf_add(&b, "?", 1);
		else
			buf_add(&b, text, n);
		text += n;
		left -= n;
	}
	if (cut && lines_unicode())
		buf_add(&b, "\xe2\x80\xa6", 3);
	else if (cut)
		buf_add(&b, "~", 1);
	copy = b.len ? mem_strndup((const char *)buf_data(&b), b.len) : mem_strdup("");
	buf_clear(&b);
	return copy;
}

struct line *
lines_add(struct lines *l, enum line_style style, enum table_mood mood, unsigned width,
	  const char *text)
{
	if (l->count == l->room) {
		l->room = l->room ? 2 * l->room : 32;
		l->list = mem_realloc(l->list, l->room * sizeof *l->list);
	}
	l->list[l->count] =
	    (struct line){.text = lines_fitted(text, width), .style = style, .mood = mood};
	return &l->list[l->count++];
}

/* May a line end at this space? Not between a number and its unit. */
static bool
may_break(const char *text, size_t at)
{
	size_t word = strcspn(text + at + 1, " ,;)");

	return !(at > 0 && text[at - 1] >= '0' && text[at - 1] <= '9' && word <= 3);
}

/* How many bytes of the text go into a line: whole words, or, if the first is too long, a part of
 * it. */
static size_t
bytes_of_line(const char *text, unsigned width)
{
	size_t at = 0, left = strlen(text), word_end = 0;
	unsigned sum = 0;

	while (left > 0) {
		int columns;
		unsigned n = read_one(text + at, left, &columns);

		if (text[at] == ' ' && may_break(text, at))
			word_end = at;
		sum += columns < 0 ? 1 : (unsigned)columns;
		if (sum > width)
			return word_end ? word_end : at ? at : n;
		at += n;
		left -= n;
	}
	return at;
}

void
lines_add_broken(struct lines *l, enum line_style style, enum table_mood mood, unsigned width,
		 unsigned most, const char *text)
{
	for (; width > 0 && most > 1 && lines_width(text) > width; most--) {
		size_t n = bytes_of_line(text, width);
		char *part = mem_strndup(text, n);

		lines_add(l, style, mood, width, part);
		free(part);
		text += n;
		text += strspn(text, " ");
	}
	lines_add(l, style, mood, width, text);
}

void
lines_move(struct lines *to, struct lines *from)
{
	for (unsigned i = 0; i < from->count; i++) {
		if (to->count == to->room) {
			to->room = to->room ? 2 * to->room : 32;
			to->list = mem_realloc(to->list, to->room * sizeof *to->list);
		}
		to->list[to->count++] = from->list[i];
	}
	from->count = 0;
	lines_clear(from);
}

static void
clear_line(struct line *l)
{
	free(l->text);
	free(l->scope);
	free(l->who);
}

void
lines_remove(struct lines *l, unsigned first, unsigned count)
{
	for (unsigned i = first; i < first + count; i++)
		clear_line(&l->list[i]);
	for (unsigned i = first + count; i < l->count; i++)
		l->list[i - count] = l->list[i];
	l->count -= count;
}

void
lines_cut(struct lines *l, unsigned most)
{
	if (l->count > most)
		lines_remove(l, most, l->count - most);
}

void
lines_clear(struct lines *l)
{
	for (unsigned i = 0; i < l->count; i++)
		clear_line(&l->list[i]);
	free(l->list);
	*l = (struct lines){0};
}
