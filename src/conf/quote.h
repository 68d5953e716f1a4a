/* quote: makes text from outside safe to stand in a message. */
#ifndef PGWITH_CONF_QUOTE_H
#define PGWITH_CONF_QUOTE_H

/* The text in double quotes, cut at 60 bytes; bytes that are not printable ASCII become \xNN. The
 * caller frees. */
char *quote_text(const char *text);

#endif
