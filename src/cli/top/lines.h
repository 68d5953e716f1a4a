/* lines: the lines of a screen, as text. No curses here: tests, --once and the screen share it. */
#ifndef PGWITH_CLI_TOP_LINES_H
#define PGWITH_CLI_TOP_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/table.h"

enum line_style {
	LINE_PLAIN,
	LINE_NAME,   /* the name of a section */
	LINE_TITLE,  /* the names of columns */
	LINE_STRONG, /* the verdict */
	LINE_BANNER, /* what makes all the rest doubtful */
	LINE_FAINT   /* what is only there to explain */
};

struct line {
	char *text; /* UTF-8, without control characters, not wider than was asked for */
	enum line_style style;
	enum table_mood mood;
	/* A row that is about a session, which can be killed: its id, otherwise 0. */
	uint64_t session;
	char *scope; /* of such a row: the scope, "" the innermost transaction; or NULL */
	char *who;   /* of such a row: program and pid, for a question; or NULL */
};

struct lines {
	struct line *list;
	unsigned count, room;
};

/* Adds a line; `text` is copied and cut to `width` columns (0: no limit). The line that is returned
 * lasts until the next one is added. */
struct line *lines_add(struct lines *, enum line_style, enum table_mood, unsigned width,
		       const char *text);
/* The same with a text that is broken between words into up to `most` lines. */
void lines_add_broken(struct lines *, enum line_style, enum table_mood, unsigned width,
		      unsigned most, const char *text);
/* Moves the lines of `from` behind those of `to`; `from` is empty then. */
void lines_move(struct lines *to, struct lines *from);
/* Removes `count` lines, beginning with number `first`. */
void lines_remove(struct lines *, unsigned first, unsigned count);
/* Removes the lines behind the first `most`. */
void lines_cut(struct lines *, unsigned most);
/* Frees the lines; the list is empty then and can be used again. */
void lines_clear(struct lines *);

/* The columns that the text takes on a terminal (wcwidth). Bytes that are no UTF-8 and characters
 * without a width count as one. */
unsigned lines_width(const char *text);

/* Can the terminal show blocks and the like? By the locale, LC_CTYPE. */
bool lines_unicode(void);

/* A copy of the text, cut to `width` columns (0: not cut) with an ellipsis at its end. Each control
 * character, and each that the locale does not know, is replaced by ?. The caller frees. */
char *lines_fitted(const char *text, unsigned width);

#endif
