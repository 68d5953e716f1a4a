/* lexing: how PostgreSQL reads the texts of a session: where its quotes end depends on
 * standard_conforming_strings and client_encoding. */
#ifndef PGWITH_SESSION_LEXING_H
#define PGWITH_SESSION_LEXING_H

#include <stdbool.h>

#include "session/session.h"

/* The flags of sqltext_init() for a text that goes to the server now. *certain (if not NULL): no
 * answer to a message of the client's is due that may tell of other values. */
unsigned lexing_flags(const struct session *, bool *certain);

/* All the readings of a text that there are: calls `with` for each until that returns false.
 * Returns false then. */
bool lexing_each(bool (*with)(void *arg, unsigned flags), void *arg);

#endif
