/* logline: makes one line of the log, as far as it is the caller's, from a printf format:
 *
 *	"session %llu: wait ended why=%s waited=%.1fms"
 *
 * subject and id (or a subject alone) up to the first colon, then words, then key=value. It is the
 * format that is parsed, not what comes of it: no argument can make up a key, a quote or a line.
 *
 * Text is as the format says; a value with blanks or quotes in it is put in double quotes, with \"
 * and \\ inside. JSON is members of an object: "session":42, "message":"wait ended",
 * "why":"timeout", "waited_ms":0.3. A value that is one number is a number, and a unit behind it
 * goes to the name; everything else is a string. Words that stand behind values go to the message
 * too. Valid UTF-8 without control characters comes out: what is none is \xNN in text; in JSON
 * U+FFFD, control characters as JSON has them. */
#ifndef PGWITH_BASE_LOGLINE_H
#define PGWITH_BASE_LOGLINE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOGLINE_MAX 3500 /* bytes; with what log puts around it a line fits into PIPE_BUF */

struct logline {
	char body[LOGLINE_MAX];
	size_t len;
	/* Of the format and all arguments but numbers: lines of the same kind have the same. */
	uint64_t kind;
};

/* `error` (or NULL) is what strerror() says: behind a colon, or the member "error". Of what is too
 * long the end is missing, with "..." in its place. Conversions: d i u x X o c s f e g %, with
 * flags, width, precision and length. */
void logline_make(struct logline *, bool json, const char *fmt, va_list ap, const char *error);

#endif
