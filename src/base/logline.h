/* logline: writes one line of the log, as far as it is the caller's, from a list of values (see
 * logvalue.h): subject and id, then the words of the message, then key=value.
 *
 * In JSON the values are members of an object: "session":42, "message":"wait ended",
 * "why":"timeout", "waited_ms":0.3. A subject without an id is "subject":"pgwithd". Numbers are
 * numbers, everything else is a string.
 *
 * The line is valid UTF-8 without control characters, whatever the values are, and no value can
 * make up a key, a quote or a line: in text each bad byte is shown as \xNN, and a quote or
 * backslash inside quotes gets a backslash; in JSON what is no UTF-8 is U+FFFD, and control
 * characters are escaped as JSON has it. */
#ifndef PGWITH_BASE_LOGLINE_H
#define PGWITH_BASE_LOGLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/logvalue.h"

#define LOGLINE_MAX 3500 /* bytes; with what log puts around it a line fits into PIPE_BUF */

struct logline {
	char body[LOGLINE_MAX];
	size_t len;
};

/* `error` (or NULL) is what strerror() says: behind a colon, or the member "error". A value or a
 * line that is too long is cut, and "..." stands where it was cut. */
void logline_make(struct logline *, bool json, const struct log_value *, const char *error);

/* What kind of line that is: equal for lines that differ in numbers only. */
uint64_t logline_kind(const struct log_value *, const char *error);

#endif
