/* columns: how wide a text is on a terminal. The locale must be one of UTF-8. */
#ifndef PGWITH_CLI_COLUMNS_H
#define PGWITH_CLI_COLUMNS_H

#include <stddef.h>

/* The width in columns of a text that is valid UTF-8: a wide character (CJK) has two, a combining
 * one none. */
size_t columns_of(const char *text, size_t bytes);

/* The number of bytes of as many characters of the text as fit into `columns`. */
size_t columns_fit(const char *text, size_t bytes, size_t columns);

#endif
