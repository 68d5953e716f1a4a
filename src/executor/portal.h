/* portal: messages of the extended protocol about prepared scope statements and their portals.
 * Nothing else of the client's may be under way. */
#ifndef PGWITH_EXECUTOR_PORTAL_H
#define PGWITH_EXECUTOR_PORTAL_H

#include "session/message.h"
#include "session/session.h"

struct scope_named;

/* A Parse whose text, `sql`, is a scope statement. */
enum verdict portal_parse(struct session *, const struct message *, const char *sql, size_t bytes);

/* A Bind, Describe, Execute or Close of a scope statement. */
enum verdict portal_message(struct session *, const struct message *, struct scope_named *);

#endif
