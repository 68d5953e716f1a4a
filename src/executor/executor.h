/* executor: carries out scope statements, and passes on what happens to the leases of scopes. The
 * steps of ENTER and EXIT are in modules of their own. */
#ifndef PGWITH_EXECUTOR_EXECUTOR_H
#define PGWITH_EXECUTOR_EXECUTOR_H

#include "executor/frame.h"
#include "pool/todo.h"
#include "session/message.h"

/* ---- from the client ---- */

/* Carries out one statement, and frees it when it is done. Nothing else of the client's may be
 * under way. `type`: of the message that is answered. Returns DROP, or OVER. */
enum verdict executor_do(struct session *, struct grammar *, char type);

/* Does the statement, a BEGIN, COMMIT or ROLLBACK of the client's, concern a scope? Then
 * executor_do() carries it out; otherwise it is an ordinary statement. */
bool executor_takes(const struct session *, const struct grammar *);

/* A statement by which a program's own pool resets a connection (DISCARD ALL, RESET ALL): ends all
 * scopes as failed. Returns FORWARD if none is open any more; HOLD if that takes time: the message
 * is judged again then; OVER. `statement` is how the log and the client's warning call it. */
enum verdict executor_sweep_out(struct session *, const char *statement);

/* May an ordinary statement with these SQLCLASS_... bits be run now? Returns false with the reason
 * in *e if not. */
bool executor_admit(struct session *, unsigned set, const char *sql, size_t bytes, struct err *e);

/* SESSION_ACTIVE: bytes of the server of session->hold have been read. */
void executor_note_answer(struct session *);

/* SESSION_SCOPE, SESSION_LEAVING: bytes of that server are to be read. */
void executor_readable(struct session *);

/* Bytes are to be read of a server of the session that is not the one of session->hold. */
void executor_parked_readable(struct session *, struct lease *);
void executor_granted(struct session *, struct lease *);
void executor_failed(struct session *, struct lease *, const struct err *);
void executor_ended(struct session *);

/* Goes on with the session's work, as far as that is possible now. */
void executor_go(struct session *);

/* A lease was taken for a scope: messages go by it from now on. */
void executor_fresh(struct session *, struct lease *);

/* A statement outside of scopes has to wait for a server, while the session may hold locks. Returns
 * false with the error in *e if sessions would wait for each other then; the wait has ended. */
bool executor_may_wait(struct session *, struct err *e);

/* SESSION_SCOPE: a CancelRequest. Returns as cancel_session() in relay/cancel.h. */
bool executor_cancel(struct session *, uint64_t requester);

/* A server of the session is lost, and the session is about to fail: ends the work. */
void executor_lost(struct session *, struct lease *);

/* All items or frames of the work are done: ends it, answers the client, and goes on with the
 * session. Waits before that, in CANCELS, for cancels of ours. */
void executor_finish(struct work *);

#endif
