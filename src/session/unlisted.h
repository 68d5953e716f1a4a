/* unlisted: the parameters that a session may have set and that pg_settings does not list: those
 * with a point in their names (app.user). The server is asked for them by their names, which are
 * found in the texts of statements. */
#ifndef PGWITH_SESSION_UNLISTED_H
#define PGWITH_SESSION_UNLISTED_H

#include <stdbool.h>
#include <stddef.h>

#include "session/context.h"

/* The text, which is read with these flags of sqltext_init(), may set parameters. Notes the names
 * of those that are not listed. Returns false if a name cannot be known before it is executed. */
bool unlisted_note(struct context *, const char *sql, size_t bytes, unsigned flags);

/* The same of a parameter of the startup packet. */
bool unlisted_startup(struct context *, const char *name);

#endif
