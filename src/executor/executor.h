/* executor: goes on with what a session does about its scopes, answers the statement when that is
 * done, and passes on what happens to the leases of scopes. The statements: verbs.h. The steps of
 * ENTER and EXIT: enter.h, exit.h. */
#ifndef PGWITH_EXECUTOR_EXECUTOR_H
#define PGWITH_EXECUTOR_EXECUTOR_H

#include "executor/frame.h"
#include "pool/todo.h"
#include "session/session.h"

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

/* Messages may go to another server from now on: tells the client which parameters are others
 * there. */
void executor_tell_of_server(struct session *);

/* All items or frames of the work are done: ends it, answers the client, and goes on with the
 * session. Waits before that, in CANCELS, for cancels of ours. */
void executor_finish(struct work *);

#endif
