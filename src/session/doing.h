/* doing: what a session does now, in words for the console and the log: the command of the last
 * statement that it has sent to a server, what it waits for, whether its server is idle. */
#ifndef PGWITH_SESSION_DOING_H
#define PGWITH_SESSION_DOING_H

#include "pool/hold.h"
#include "scope/lock.h"
#include "session/message.h"
#include "session/session.h"

/* hold->command has this value, or one of enum sqlcommand (wire/sqlcommand.h). */
#define DOING_UNNAMED 255 /* the command is that of the session's unnamed statement */

/* A message goes to the server of session->hold: notes the command of its statement. Of a Bind of a
 * named statement, statement.c notes it. */
void doing_note(struct session *, const struct message *);
/* The same for a Bind of the unnamed statement, whose text is read only if somebody asks. */
static inline void
doing_note_unnamed(struct hold *h)
{
	h->command = DOING_UNNAMED;
}

/* The command of the last statement that the session has sent by this hold of its own since it got
 * the server: SELECT, UPDATE ...; "other"; "function call". NULL: none, or it is not known. The
 * statement may run, or may have ended. */
const char *doing_class(const struct session *, const struct hold *);

/* What a session waits for: one of these, or nothing. */
struct doing_wait {
	const struct lease *lease;    /* for a server */
	const struct lock_hold *lock; /* for a lock or semaphore */
};
struct doing_wait doing_wait(const struct session *);
bool doing_waits(const struct session *);

/* "waiting": for a server or lock. Otherwise what the server does that the session holds, which is
 * given, or NULL: "running", "idle in transaction", "idle". */
const char *doing_state(const struct session *, const struct server *);

#endif
