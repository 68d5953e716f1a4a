/* script: the text of many statements that a client has sent in one Query, some of them scope
 * statements: what is still to be done of it. */
#ifndef PGWITH_SESSION_SCRIPT_H
#define PGWITH_SESSION_SCRIPT_H

#include <stdbool.h>

#include "session/session.h"

/* Are parts of a text still to be done? */
bool parts_pending(const struct session *);

/* The same, beside the one that is being judged. */
bool parts_more(const struct session *);

/* Is a part to be sent as soon as the server has done what went ahead of it? */
bool parts_waiting(const struct session *);

/* An error ends a text. */
void parts_drop(struct session *);

#endif
