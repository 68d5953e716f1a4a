/* judge: decides what becomes of one message of the client: is it answered here, does it need a
 * server, does it wait? */
#ifndef PGWITH_RELAY_JUDGE_H
#define PGWITH_RELAY_JUDGE_H

#include <stdbool.h>
#include <stddef.h>

#include "session/message.h"
#include "session/session.h"

/* Returns the verdict on a message, and carries out what follows: progress and the session's
 * statements are told of it, and what must go ahead of it is added to the batch. */
enum verdict judge_message(struct session *, struct message *);

/* A message of this type needs a server. Returns FORWARD if the session has got one, HOLD if it
 * waits, DROP if it was refused, OVER. */
enum verdict judge_need_server(struct session *, const struct message *);

/* A message waits for answers of the server: pauses the client's stream. `ask`: nothing that was
 * sent makes the server give them. */
void judge_hold(struct session *, bool ask);

/* The client has sent a Terminate: ends the session, or waits for what is still due. */
enum verdict judge_terminate(struct session *);

/* The next bytes of the client break the protocol; `what` says how. PostgreSQL reads such bytes
 * when it has answered the messages before them. Likewise, returns HOLD while an answer is due;
 * then ends the session and returns OVER. */
enum verdict judge_violation(struct session *, const char *what);

/* Returns what is wrong with a message of this type and length, or NULL. */
const char *judge_nonsense(char type, size_t body);

/* Do the messages before a Terminate wait for somebody else (a server, a lock), or may they come to
 * wait? Then the session ends if the client hangs up. */
bool judge_may_wait(const struct session *);

#endif
