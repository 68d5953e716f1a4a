/* utf8: characters of UTF-8. */
#ifndef PGWITH_BASE_UTF8_H
#define PGWITH_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads the character at the front of `bytes` (at least 1) bytes. Returns its length (1 to 4), or 0
 * if no valid character of UTF-8 begins there. Overlong forms, surrogates and everything over
 * U+10FFFF are not valid: RFC 3629. */
unsigned utf8_read(const char *, size_t bytes, uint32_t *character);

/* Is it a control character: C0, DEL, C1, or one that changes the direction of the text around
 * it? */
bool utf8_is_control(uint32_t character);

/* How many of `bytes` bytes can be kept, `max` at most, without cutting a character in two? Text
 * that is not UTF-8 may be cut anywhere. */
size_t utf8_fit(const char *, size_t bytes, size_t max);

#endif
