/* lexing: how PostgreSQL reads the texts of a session. Where a quoted string ends depends on
 * standard_conforming_strings and client_encoding. */
#ifndef PGWITH_SESSION_LEXING_H
#define PGWITH_SESSION_LEXING_H

#include <stdbool.h>

#include "session/session.h"

/* Returns the flags of sqltext_init() for a text that goes to the server now. *certain (if not
 * NULL) is false if an answer is due to a message of the client's, which may have changed them. */
unsigned lexing_flags(const struct session *, bool *certain);

/* Calls `with` for the flags of every way in which a text can be read, until it returns false.
 * Returns false then. */
bool lexing_each(bool (*with)(void *arg, unsigned flags), void *arg);

#endif
