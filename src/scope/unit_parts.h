/* unit_parts: a Query of several statements of which some are not ordinary: it is done part by
 * part. */
#ifndef PGWITH_SCOPE_UNIT_PARTS_H
#define PGWITH_SCOPE_UNIT_PARTS_H

#include "scope/unit.h"
#include "scope/unitkind.h"

/* There is no text of several parts any more. */
void unit_end_text_(struct unit *);

/* Goes on with the text, at rest. What the server is not needed for comes back here at once: a
 * text of a million COMMIT must not become a million calls in each other. */
void unit_next_part_(struct unit *);

/* The kind of a statement. `alone`: it is no part of a Query with other statements. */
enum unitkind unit_kind_of_(const struct unit *, const struct sqltext_stmt *stmt, bool alone);

/* Does the statement set parameters for the transaction, so that something has to be done ahead of
 * it? */
bool unit_captures_(struct unit *, const struct sqltext_stmt *stmt);

/* Does what unit_captures_() has found. Returns false if it is too much, as the member was told. */
bool unit_begin_capture_(struct unit *);

/* Does PostgreSQL warn of the statement, as it is a SET LOCAL outside of a BEGIN? */
bool unit_warns_of_local_(const struct unit *, const struct sqltext_stmt *stmt, bool alone);
/* Tells that warning. */
void unit_warn_of_local_(struct unit *);

/* Tells an error of a part of a text with the position that it has in all of it. */
enum unit_verdict unit_tell_moved_(struct unit *, const uint8_t *body, size_t bytes);

#endif
