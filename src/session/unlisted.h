/* unlisted: parameters that the server must be asked for by their names, because pg_settings may
 * not list them: those with a point in their names (app.tenant), and those that are not known to be
 * listed for every role. The names are taken from the texts of statements that may set
 * parameters. */
#ifndef PGWITH_SESSION_UNLISTED_H
#define PGWITH_SESSION_UNLISTED_H

#include <stdbool.h>
#include <stddef.h>

#include "session/context.h"

/* The text may set parameters. Notes the names of unlisted ones in context->unlisted. Returns false
 * if only its execution shows which parameter it sets. `flags`: of sqltext_init(). */
bool unlisted_note(struct context *, const char *sql, size_t bytes, unsigned flags);

/* The same for a parameter of the startup packet. */
bool unlisted_startup(struct context *, const char *name);

/* Does pg_settings hide this parameter from some roles, although it has listed it for another? True
 * if that is not known. False for role and session_authorization, which are always asked for, and
 * for a name in context->unlisted: the server is asked for the value of that parameter. */
bool unlisted_may_be_hidden(const struct context *, const char *name);

/* Must the question about parameters be asked as the role of the server's login, by SET LOCAL ROLE
 * none? Yes if the session may have set its role, because that role may not see all parameters; no
 * if it may have set its authorization. */
bool unlisted_asks_as_login(const struct context *);

#endif
