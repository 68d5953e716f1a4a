/* inifile: reads the syntax of the configuration file with the library inih, and catches what inih
 * alone would let pass: lines longer than its buffer, NUL and control characters, a section's name
 * that it would cut, text behind the bracket. Every line with an error is reported, not only the
 * first. */
#ifndef PGWITH_CONF_INIFILE_H
#define PGWITH_CONF_INIFILE_H

#include <stdbool.h>
#include <stddef.h>

#define INIFILE_LINE_MAX 8192 /* bytes of one line */
/* for messages */
#define INIFILE_SECTIONS \
	"[pgwith], [pool NAME], [scope NAME], [cluster NAME], [role NAME] or [uid NUMBER]"

/* Called for each line. The strings live only during the call; lines are counted from 1. */
struct inifile_calls {
	/* A line [text], without the blanks around the text; NULL if the line has an error. */
	void (*section)(void *, const char *text, unsigned line);
	void (*option)(void *, const char *name, const char *value, unsigned line);
	/* An indented line that continues the option before it. */
	void (*more)(void *, const char *value, unsigned line);
	void (*problem)(void *, const char *text, unsigned line);
	/* Does a ; behind a blank belong to this option's value, and begin no comment (SQL)? NULL
	 * asks for the option that an indented line continues. */
	bool (*verbatim)(void *, const char *name);
};

/* Reads the text, which may be any bytes, and makes the calls in the order of the lines. */
void inifile_read(const char *text, size_t bytes, const struct inifile_calls *, void *arg);

#endif
