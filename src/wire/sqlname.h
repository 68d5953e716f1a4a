/* sqlname: what a name or a string of SQL text says, without its quotes and escapes. No allocation.
 * PostgreSQL 15 documentation, 4.1.1 Identifiers and Key Words, 4.1.2 Constants. */
#ifndef PGWITH_WIRE_SQLNAME_H
#define PGWITH_WIRE_SQLNAME_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/sqltext.h"

#define SQLNAME_SIZE 64 /* of a buffer for every name: PostgreSQL cuts longer ones */

/* The text of a SQLTEXT_NAME (in lower case), SQLTEXT_QUOTED or SQLTEXT_STRING, with a NUL behind
 * it; names are cut as PostgreSQL cuts them. `flags` are those that the token was read with.
 * Returns its length, or -1 if that is not certain: it is malformed, does not fit in `size`, has a
 * NUL, is a bit string, or an escape in it stands for a character that is not ASCII, which is
 * written in the server's encoding. Bytes from 0x80 on are passed on as they are. */
long sqlname_read(const struct sqltext_token *, unsigned flags, char *out, size_t size);

/* Are there only bytes of ASCII in it? */
bool sqlname_is_ascii(const char *, size_t length);

/* The word of a token where a name is wanted: in quotes only what is a name of the catalog, such as
 * set_config, and no keyword. */
enum sqltext_word sqlname_word(const struct sqltext_token *, unsigned flags);

#endif
