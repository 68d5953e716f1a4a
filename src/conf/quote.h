/* quote: makes text from outside safe to stand in a message. */
#ifndef PGWITH_CONF_QUOTE_H
#define PGWITH_CONF_QUOTE_H

#include <stdbool.h>

/* The text in double quotes, cut at 60 bytes; bytes that are not printable ASCII become \xNN. The
 * caller frees. */
char *quote_text(const char *text);

/* Has the text a control character that cannot stand in a file of the configuration: any but a
 * tab? */
bool quote_has_control(const char *text);

#endif
