/* resettext: which parameters SQL texts reset and set, in order. It knows no session: resets.h
 * decides what follows from it.
 *
 * The names stand in a buffer, each with a NUL: the name of a parameter that is reset; "*" for all
 * of them; '-' and the name of one that is set. */
#ifndef PGWITH_SESSION_RESETTEXT_H
#define PGWITH_SESSION_RESETTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "session/message.h"

/* Adds the names that the text resets and sets. Sets *local if one of its statements has LOCAL.
 * `flags`: of sqltext_init(). Texts in strings (DO, EXECUTE) are not read. */
void resettext_read(const char *sql, size_t bytes, unsigned flags, struct buf *names, bool *local);

/* Is any of the names one that is reset? */
bool resettext_resets_any(const struct buf *names);

/* Is the parameter reset by the names, and not set behind that? */
bool resettext_was_reset(const struct buf *names, const char *name);

/* May a set_config() in the text get NULL for its value, and so reset the parameter? The message is
 * the one that has the text, or NULL. */
bool resettext_may_set_null(const struct message *, const char *sql, size_t bytes);

#endif
