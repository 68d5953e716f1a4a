/* logline: writes the caller's part of a line of the log from a list of values (see logvalue.h):
 * subject and id, then the words of the message, then key=value.
 *
 * In JSON the values are members of an object: "session":42, "message":"wait ended",
 * "why":"timeout", "waited_ms":0.3. A subject without an id is "subject":"pgwithd". Numbers are
 * numbers, everything else is a string.
 *
 * Whatever the values are, the line is valid UTF-8 without control characters, and no value can
 * forge a key, a quote or a line. In text, each bad byte is shown as \xNN, and inside quotes,
 * quotes and backslashes get a backslash. In JSON, bytes that are not UTF-8 become U+FFFD, and
 * control characters are escaped by JSON's rules. */
#ifndef PGWITH_BASE_LOGLINE_H
#define PGWITH_BASE_LOGLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/logvalue.h"

#define LOGLINE_MAX 3500 /* bytes; with all that log adds, a line still fits into PIPE_BUF */

struct logline {
	char body[LOGLINE_MAX];
	size_t len;
};

/* Makes the line. `error` is the text of strerror(), or NULL: it stands behind a colon, in JSON as
 * the member "error". A value or a line that is too long is cut, and ends in "...". */
void logline_make(struct logline *, bool json, const struct log_value *, const char *error);

/* The kind of a line: the same number for lines that differ only in numbers. */
uint64_t logline_kind(const struct log_value *, const char *error);

#endif
