/* quote: text from outside, made fit for a message. */
#ifndef PGWITH_CONF_QUOTE_H
#define PGWITH_CONF_QUOTE_H

/* `text` in double quotes: cut at 60 characters, what is not printable as \xNN. The caller frees.
 */
char *quote_text(const char *text);

#endif
