/* executor: carries out one scope statement, and hears what concerns it. What goes on for longer,
 * the steps of ENTER and EXIT, is in modules of its own. */
#ifndef PGWITH_EXECUTOR_EXECUTOR_H
#define PGWITH_EXECUTOR_EXECUTOR_H

#include "executor/frame.h"
#include "pool/todo.h"
#include "session/message.h"

/* ---- from the client ---- */

/* Does one statement, which is the caller's. The session is settled: nothing is under way. `type`:
 * of the message that it answers. Returns what judge() returns: DROP, or OVER. */
enum verdict executor_do(struct session *, struct grammar *, char type);

/* Has the text, a BEGIN, COMMIT or ROLLBACK of the client's, to do with a scope? Then executor_do()
 * does it; otherwise it is one as any other. */
bool executor_takes(const struct session *, const struct grammar *);

/* A statement by which a program's own pool takes a connection back ends all that is open, as
 * failed. Returns FORWARD if nothing is open any more; HOLD if that takes time: the message is
 * judged again then. `statement` is its name for people. */
enum verdict executor_sweep_out(struct session *, const char *statement);

/* May an ordinary statement of these SQLCLASS_... bits be run now? Then returns true; otherwise
 * *e says why not. */
bool executor_admit(struct session *, unsigned set, const char *sql, size_t bytes, struct err *e);

/* Bytes have come from the server of session->hold, in SESSION_ACTIVE. */
void executor_heard(struct session *);

/* The same in SESSION_SCOPE and SESSION_LEAVING. */
void executor_readable(struct session *);

/* Of a lease that is not session->hold. */
void executor_parked_readable(struct session *, struct lease *);
void executor_granted(struct session *, struct lease *);
void executor_failed(struct session *, struct lease *, const struct err *);
void executor_ended(struct session *);

/* Goes on with what is being done about the scopes of the session, as far as that is possible
 * now. */
void executor_go(struct session *);

/* A lease was just taken for a scope: messages go by it. */
void executor_fresh(struct session *, struct lease *);

/* A plain statement has to wait for a server of the pool; the session may hold locks. Returns false
 * and *e if that would close a circle. */
bool executor_may_wait(struct session *, struct err *e);

/* A CancelRequest in SESSION_SCOPE. */
bool executor_cancel(struct session *, uint64_t requester);

/* The server of a lease is gone, and the session will be told. */
void executor_lost(struct session *, struct lease *);

/* All has been done: the client is answered. */
void executor_finish(struct work *);

#endif
