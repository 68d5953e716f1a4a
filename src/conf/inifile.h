/* inifile: the syntax of the file, by inih, and what inih alone would let pass: lines that are
 * longer than its buffer, NUL and control characters, a section's name that it would cut, text
 * behind the bracket, and every line that cannot be understood instead of the first. */
#ifndef PGWITH_CONF_INIFILE_H
#define PGWITH_CONF_INIFILE_H

#include <stdbool.h>
#include <stddef.h>

#define INIFILE_LINE_MAX 8192                                    /* bytes of one line */
#define INIFILE_SECTIONS "[pgwith], [pool NAME] or [scope NAME]" /* for messages */

/* The strings live only during the call; lines are counted from 1. */
struct inifile_calls {
	/* What stands in the brackets, without blanks around it; NULL if the line is broken. */
	void (*section)(void *, const char *text, unsigned line);
	void (*option)(void *, const char *name, const char *value, unsigned line);
	/* An indented line that continues the option before it. */
	void (*more)(void *, const char *value, unsigned line);
	void (*problem)(void *, const char *text, unsigned line);
	/* Is a ; part of this option's values even behind a blank, where it would begin a comment?
	 * NULL: of the option that an indented line continues. */
	bool (*verbatim)(void *, const char *name);
};

/* Reads the text, which may be any bytes, and makes the calls with `arg` in the order of the lines.
 */
void inifile_read(const char *text, size_t bytes, const struct inifile_calls *, void *arg);

#endif
