/* html: writes HTML. Whatever text comes from outside (names of pools and roles, application_name,
 * names of programs) goes through html_text(), so that it can neither become markup nor break the
 * encoding. */
#ifndef PGWITH_ADMIN_HTML_H
#define PGWITH_ADMIN_HTML_H

#include <stdint.h>
#include <time.h>

#include "base/buf.h"

/* Adds markup as it is. */
void html_add(struct buf *, const char *markup);

/* Adds text, of any bytes, between tags or in an attribute in double quotes. Bytes that are no
 * UTF-8, and control characters, become \xNN. NULL adds nothing. */
void html_text(struct buf *, const char *);

/* Adds a number with a comma before each three digits: 12,345. */
void html_number(struct buf *, uint64_t);

/* Adds a number, and behind it the one word if it is 1, or else the other. */
void html_count(struct buf *, uint64_t, const char *one, const char *many);

/* Adds that there are so many more (0: adds nothing), and the command that shows them. */
void html_more(struct buf *, unsigned more, const char *ask);

/* Adds how many a second: 0, 0.4, 8.5, 12,345. */
void html_rate(struct buf *, double);

/* Adds a duration for people: 4.2 s. */
void html_elapsed(struct buf *, int64_t us);

/* Adds a time of the wall clock, in the time zone of the daemon; `format`: of strftime(3), for at
 * most 63 bytes. */
void html_clock(struct buf *, time_t at, const char *format);

#endif
