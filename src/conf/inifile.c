#include "conf/inifile.h"

#include <ctype.h>
#include <ini.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* inih gets the lines from read_line(), one a call, into its own buffer (200 bytes in Debian's
 * build). Of a longer line it gets the beginning, in which it finds the name, and handle_pair()
 * puts `rest` behind the value that inih found. */
struct reading {
	const char *at; /* the text that has not been read */
	const char *end;
	unsigned line;
	char *text;       /* the line, without comment and without blanks at its end */
	size_t given;     /* bytes of `text` that inih got */
	const char *rest; /* the part of `text` that inih did not get, maybe "" */
	bool awaited;     /* the line is not empty: inih must call handle_pair() for it */
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
report_line(const struct reading *r, const char *text)
{
	r->calls->problem(r->arg, text, r->line);
}

/* Reads the next line of the file, without its newline. */
static void
next_line(struct reading *r, const char **start, size_t *bytes)
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

/* Are the bytes of a line text, and not too long? If not, that is reported here. */
static bool
is_text(const struct reading *r, const char *start, size_t bytes)
{
	char words[120];

	if (bytes > INIFILE_LINE_MAX) {
		snprintf(
		    words, sizeof words,
		    "the line has %zu bytes; the maximum is %d: continue it on an indented line",
		    bytes, INIFILE_LINE_MAX);
		report_line(r, words);
		return false;
	}
	for (size_t i = 0; i < bytes; i++) {
		unsigned char c = start[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f) {
			snprintf(words, sizeof words,
				 "%s (0x%02x) in column %zu: expected a text file",
				 c ? "a control character" : "a NUL byte", c, i + 1);
			report_line(r, words);
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

/* Where the comment in a line begins, by inih's rules: at ; or # as the first character, or at a ;
 * behind a blank. `bytes` if there is none. */
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

/* How many bytes the line has before its comment, without the blanks at the end. */
static size_t
without_comment(const struct reading *r, const char *start, size_t bytes)
{
	size_t comment = comment_at(start, bytes);
	size_t blanks = 0;

	while (blanks < comment && is_blank(start[blanks]))
		blanks++;
	/* A ; or # as the first character is a comment even among lines of SQL. */
	if (blanks == comment || !is_verbatim(r, start, bytes))
		bytes = comment;
	while (bytes > 0 && is_blank(start[bytes - 1]))
		bytes--;
	return bytes;
}

/* Reads a section's line; `text` begins with the bracket. It is read here and not by inih, because
 * inih cuts long names, ignores text behind the bracket, and does not call its handler for a
 * section without options. inih only learns that a new section has begun. */
static void
read_section(struct reading *r, char *text)
{
	size_t bytes = strlen(text);
	char *close = strchr(text, ']');

	if (close == NULL)
		report_line(r, "no ] at the end: expected " INIFILE_SECTIONS);
	else if (close != text + bytes - 1)
		report_line(r,
			    "text behind the ]: expected " INIFILE_SECTIONS " alone in its line");
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

/* Reports the line before, if inih did not call handle_pair() for it. */
static void
check_line_was_used(struct reading *r)
{
	if (r->awaited)
		report_line(
		    r, "expected NAME = VALUE, a [SECTION], or a comment that begins with # or ;");
	r->awaited = false;
}

/* Gives inih the next line, as fgets(3) would. */
static char *
read_line(char *out, int size, void *stream)
{
	struct reading *r = stream;
	const char *start;
	char *first;
	size_t bytes;

	check_line_was_used(r);
	if (r->at == r->end || size < 8)
		return NULL;
	next_line(r, &start, &bytes);
	bytes = is_text(r, start, bytes) ? without_comment(r, start, bytes) : 0;
	memcpy(r->text, start, bytes);
	r->text[bytes] = '\0';
	for (first = r->text; is_blank(*first);)
		first++;
	if (*first == '[') {
		r->named = false;
		read_section(r, first);
		strcpy(out, "[s]\n");
		return out;
	}
	r->awaited = *first != '\0';
	r->given = bytes < (size_t)size - 2 ? bytes : (size_t)size - 2;
	/* inih would take a semicolon of SQL for a comment: it gets the line up to there. */
	r->given = comment_at(r->text, r->given);
	r->rest = r->text + r->given;
	memcpy(out, r->text, r->given);
	strcpy(out + r->given, "\n");
	return out;
}

/* The value that inih found, and behind it the part of the line that inih did not get. */
static char *
whole_value(const struct reading *r, const char *value)
{
	size_t blanks = 0;

	if (*r->rest == '\0')
		return mem_strdup(value);
	/* inih removed the blanks at the end of its part: they belong to the value. */
	while (blanks < r->given && is_blank(r->text[r->given - 1 - blanks]))
		blanks++;
	if (*value)
		return mem_printf("%s%s", value, r->rest - blanks);
	for (value = r->rest; is_blank(*value);)
		value++;
	return mem_strdup(value);
}

/* Does the line continue an option? Then `value`, which inih found, is the whole line; else it is
 * only the part behind the sign of equality. */
static bool
is_continuation(const struct reading *r, const char *value)
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
handle_pair(void *arg, const char *section, const char *name, const char *value)
{
	struct reading *r = arg;
	char *whole;

	/* Other builds of inih also call for sections and for names without a value. */
	if (name == NULL || value == NULL)
		return 1;
	r->awaited = false;
	whole = whole_value(r, value);
	if (is_continuation(r, value))
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
	ini_parse_stream(read_line, &r, handle_pair, &r);
	check_line_was_used(&r);
	free(r.text);
}
