/* sqlname: the value of a name or string of SQL text, without its quotes and escapes. No
 * allocation. PostgreSQL 15 documentation, 4.1.1 Identifiers and Key Words, 4.1.2 Constants. */
#ifndef PGWITH_WIRE_SQLNAME_H
#define PGWITH_WIRE_SQLNAME_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/sqltext.h"

#define SQLNAME_SIZE 64 /* of a buffer that takes any name: PostgreSQL cuts longer ones */

/* Writes the value of a SQLTEXT_NAME (in lower case), SQLTEXT_QUOTED or SQLTEXT_STRING, with a NUL
 * behind it. Names are cut as PostgreSQL cuts them. `flags` are those that the token was read with.
 * Returns the length, or -1 if the value is not certain: the token is malformed, does not fit in
 * `size`, contains a NUL, is a bit string, or has an escape for a character that is not ASCII (its
 * bytes depend on the server's encoding). Bytes from 0x80 on are copied as they are. */
long sqlname_read(const struct sqltext_token *, unsigned flags, char *out, size_t size);

/* Is every byte of the text under 0x80? */
bool sqlname_is_ascii(const char *, size_t length);

/* The word of a token that stands where a name may stand. In quotes only names of the catalog count
 * (set_config), as a keyword in quotes is no keyword: SQLWORD_OTHER. */
enum sqltext_word sqlname_word(const struct sqltext_token *, unsigned flags);

#endif
