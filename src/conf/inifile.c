#include "conf/inifile.h"

#include <ctype.h>
#include <ini.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* inih reads through our reader, one call a line, and each time gets a line that fits into its
 * buffer (200 bytes in Debian's build). Of a longer one it gets the beginning, in which it finds
 * the name; the handler puts `rest` behind the value. */
struct reading {
	const char *at; /* what has not been read */
	const char *end;
	unsigned line;
	char *text;       /* the line, without comment and without blanks at its end */
	size_t given;     /* bytes of `text` that inih got */
	const char *rest; /* of `text` that inih did not get; "" if it got all */
	bool awaited;     /* the line is not empty: the handler must be called for it */
	bool named;       /* the section has an option, which an indented line continues */
	const struct inifile_calls *calls;
	void *arg;
};

static bool
is_blank(char c)
{
	return isspace((unsigned char)c);
}

static void
problem(const struct reading *r, const char *text)
{
	r->calls->problem(r->arg, text, r->line);
}

/* The next line of the file, without its newline. */
static void
take_line(struct reading *r, const char **start, size_t *bytes)
{
	const char *newline = memchr(r->at, '\n', r->end - r->at);

	*start = r->at;
	*bytes = (newline ? newline : r->end) - r->at;
	r->at = newline ? newline + 1 : r->end;
	r->line++;
	if (*bytes > 0 && (*start)[*bytes - 1] == '\r')
		--*bytes;
	if (r->line == 1 && *bytes >= 3 && memcmp(*start, "\xef\xbb\xbf", 3) == 0) {
		*start += 3;
		*bytes -= 3;
	}
}

/* Says what is wrong with the bytes of a line, if they cannot be text. */
static bool
is_text(const struct reading *r, const char *start, size_t bytes)
{
	char words[120];

	if (bytes > INIFILE_LINE_MAX) {
		snprintf(
		    words, sizeof words,
		    "the line has %zu bytes; the maximum is %d: continue it on an indented line",
		    bytes, INIFILE_LINE_MAX);
		problem(r, words);
		return false;
	}
	for (size_t i = 0; i < bytes; i++) {
		unsigned char c = start[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f) {
			snprintf(words, sizeof words,
				 "%s (0x%02x) in column %zu: expected a text file",
				 c ? "a control character" : "a NUL byte", c, i + 1);
			problem(r, words);
			return false;
		}
	}
	return true;
}

/* Does the line set or continue an option whose values keep their semicolons? */
static bool
is_verbatim(const struct reading *r, const char *start, size_t bytes)
{
	size_t first = 0, end;
	char *name;
	bool verbatim;

	while (first < bytes && is_blank(start[first]))
		first++;
	if (first > 0 && r->named)
		return r->calls->verbatim(r->arg, NULL);
	for (end = first; end < bytes && start[end] != '=' && start[end] != ':';)
		end++;
	if (end == bytes)
		return false;
	while (end > first && is_blank(start[end - 1]))
		end--;
	name = mem_strndup(start + first, end - first);
	verbatim = r->calls->verbatim(r->arg, name);
	free(name);
	return verbatim;
}

/* The place of a comment as inih has it: ; or # as the first character, or ; behind a blank. */
static size_t
comment_at(const char *start, size_t bytes)
{
	size_t first = 0;

	while (first < bytes && is_blank(start[first]))
		first++;
	if (first < bytes && start[first] == '#')
		return first;
	for (size_t i = first; i < bytes; i++)
		if (start[i] == ';' && (i == first || is_blank(start[i - 1])))
			return i;
	return bytes;
}

/* Bytes of the line before its comment and the blanks at its end. */
static size_t
without_comment(const struct reading *r, const char *start, size_t bytes)
{
	size_t comment = comment_at(start, bytes);
	size_t blanks = 0;

	while (blanks < comment && is_blank(start[blanks]))
		blanks++;
	/* One that is the whole line always is a comment. */
	if (blanks == comment || !is_verbatim(r, start, bytes))
		bytes = comment;
	while (bytes > 0 && is_blank(start[bytes - 1]))
		bytes--;
	return bytes;
}

/* `text` begins with the bracket. inih cuts long names, drops what is behind the bracket, and
 * does not call for a section without options: so sections are read here, and inih only learns
 * that a new one has begun. */
static void
section_line(struct reading *r, char *text)
{
	size_t bytes = strlen(text);
	char *close = strchr(text, ']');

	if (close == NULL)
		problem(r, "no ] at the end: expected " INIFILE_SECTIONS);
	else if (close != text + bytes - 1)
		problem(r, "text behind the ]: expected " INIFILE_SECTIONS " alone in its line");
	if (close != text + bytes - 1) {
		r->calls->section(r->arg, NULL, r->line);
		return;
	}
	for (text++; is_blank(*text);)
		text++;
	while (close > text && is_blank(close[-1]))
		close--;
	*close = '\0';
	r->calls->section(r->arg, text, r->line);
}

static void
end_of_line(struct reading *r)
{
	if (r->awaited)
		problem(r,
			"expected NAME = VALUE, a [SECTION], or a comment that begins with # or ;");
	r->awaited = false;
}

/* fgets(3) for inih. */
static char *
read_line(char *out, int size, void *stream)
{
	struct reading *r = stream;
	const char *start;
	char *first;
	size_t bytes;

	end_of_line(r);
	if (r->at == r->end || size < 8)
		return NULL;
	take_line(r, &start, &bytes);
	bytes = is_text(r, start, bytes) ? without_comment(r, start, bytes) : 0;
	memcpy(r->text, start, bytes);
	r->text[bytes] = '\0';
	for (first = r->text; is_blank(*first);)
		first++;
	if (*first == '[') {
		r->named = false;
		section_line(r, first);
		strcpy(out, "[s]\n");
		return out;
	}
	r->awaited = *first != '\0';
	r->given = bytes < (size_t)size - 2 ? bytes : (size_t)size - 2;
	/* Nor does it get a semicolon that it would take for a comment. */
	r->given = comment_at(r->text, r->given);
	r->rest = r->text + r->given;
	memcpy(out, r->text, r->given);
	strcpy(out + r->given, "\n");
	return out;
}

/* The value that inih found, with the part of the line that it did not get. */
static char *
whole_value(const struct reading *r, const char *value)
{
	size_t blanks = 0;

	if (*r->rest == '\0')
		return mem_strdup(value);
	/* inih took the blanks away that were at the end of its part. */
	while (blanks < r->given && is_blank(r->text[r->given - 1 - blanks]))
		blanks++;
	if (*value)
		return mem_printf("%s%s", value, r->rest - blanks);
	for (value = r->rest; is_blank(*value);)
		value++;
	return mem_strdup(value);
}

/* What inih hands over for a continuing line is the whole of it; of another, only what is behind
 * the sign of equality. */
static bool
continues(const struct reading *r, const char *value)
{
	size_t first = 0, end = r->given;

	while (first < end && is_blank(r->text[first]))
		first++;
	while (end > first && is_blank(r->text[end - 1]))
		end--;
	return first > 0 && strlen(value) == end - first &&
	       memcmp(value, r->text + first, end - first) == 0;
}

static int
handle(void *arg, const char *section, const char *name, const char *value)
{
	struct reading *r = arg;
	char *whole;

	/* Other builds of inih also call for sections and for names without a value. */
	if (name == NULL || value == NULL)
		return 1;
	r->awaited = false;
	whole = whole_value(r, value);
	if (continues(r, value))
		r->calls->more(r->arg, whole, r->line);
	else
		r->calls->option(r->arg, name, whole, r->line);
	r->named = true;
	free(whole);
	return 1;
}

void
inifile_read(const char *text, size_t bytes, const struct inifile_calls *calls, void *arg)
{
	struct reading r = {
	    .at = text, .end = text + bytes, .rest = "", .calls = calls, .arg = arg};

	r.text = mem_alloc(INIFILE_LINE_MAX + 1);
	ini_parse_stream(read_line, &r, handle, &r);
	end_of_line(&r);
	free(r.text);
}
