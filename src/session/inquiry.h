/* inquiry: a statement of our own whose answer is kept, while the client waits. */
#ifndef PGWITH_SESSION_INQUIRY_H
#define PGWITH_SESSION_INQUIRY_H

#include <stddef.h>
#include <stdint.h>

#include "session/session.h"

#define INQUIRY_ANSWER_MAX (1024 * 1024) /* bytes of what the server says */
/* One question is asked so often at most: a short statement_timeout of a session's can end many. */
#define INQUIRY_ASKS_MAX 20

/* Sends the statement to the server of the lease. The session is in this state meanwhile, and the
 * client is not read from. */
void inquiry_ask(struct session *, enum session_state, const char *sql);

/* Sends the client what came with the answer and is the client's. What the server says of
 * parameters in SESSION_SETUP is not: see telling.h for what the client is told of those. */
void inquiry_pass_on(struct session *);

/* The body of the answer's first ErrorResponse, or NULL. */
const uint8_t *inquiry_error(const struct session *, size_t *bytes);

void inquiry_forget(struct session *);

/* Ends the session, whose server cannot be given, or asked for, its parameters. */
void inquiry_fail(struct session *, const char *why);

#endif
