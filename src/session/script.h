/* script: the text of many statements that a client has sent in one Query, some of them scope
 * statements: what is still to be done of it. */
#ifndef PGWITH_SESSION_SCRIPT_H
#define PGWITH_SESSION_SCRIPT_H

#include <stdbool.h>

#include "session/session.h"

/* Are parts of a text still to be done? */
bool script_pending(const struct session *);

/* The same, beside the one that is being judged. */
bool script_more(const struct session *);

/* Is a part to be sent as soon as the server has done what went ahead of it? */
bool script_waiting(const struct session *);

/* An error ends a text. */
void script_drop(struct session *);

#endif
