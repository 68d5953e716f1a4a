/* judge: what becomes of one message of the client: which ones need a server, which are answered
 * here, which wait. */
#ifndef PGWITH_RELAY_JUDGE_H
#define PGWITH_RELAY_JUDGE_H

#include <stdbool.h>
#include <stddef.h>

#include "session/message.h"
#include "session/session.h"

/* The verdict on a message that may be judged. It is told to whom it concerns (progress, the
 * session's statements), and what must go ahead of it is added to the batch. */
enum verdict judge_message(struct session *, struct message *);

/* A message of this type needs a server: FORWARD once the session has one, HOLD if it waits. */
enum verdict judge_need_server(struct session *, char type);

/* The client has sent a Terminate. */
enum verdict judge_terminate(struct session *);

/* What comes now breaks the protocol in this way. As PostgreSQL, which reads it when it has
 * answered what stands before it: HOLD while an answer is due, then the session ends, OVER. */
enum verdict judge_violation(struct session *, const char *what);

/* What is wrong with a message of this type and length, or NULL. */
const char *judge_nonsense(char type, size_t body);

/* Can what stands before a Terminate come to wait for somebody else, or does it? Then it matters
 * that the client hangs up. */
bool judge_may_wait(const struct session *);

#endif
