/* readonly: transactions that say themselves that they only read go to the servers of another pool,
 * if the session's pool has the option read_only. What is not certain stays in the session's pool.
 *
 *	         its first message goes       the server has begun it
 *	block ---------------------> opening ---------------------> open
 *	  ^                             |                          |  ^
 *	  | a server is asked for       |    what ends it was sent |  | it did not end
 *	none <--------------------------|--------------+           v  |
 *	  |    every state -> none      +-----------------------> ending
 *	  v
 *	lone ---------------------> running
 *	         the statement goes
 *
 *	block: a transaction of BEGIN; lone: one statement outside of a transaction
 *
 * A session that has just written stays in its own pool for a while (read_your_writes), and so does
 * a transaction that a standby refuses (SERIALIZABLE): they go through these states there, too.
 * hold->apart says that the server is one of the other pool. Then nothing that could run outside of
 * that one transaction may go to the server: it waits until the server has answered, and has been
 * returned. */
#ifndef PGWITH_SESSION_READONLY_H
#define PGWITH_SESSION_READONLY_H

#include <stdbool.h>

#include "base/err.h"
#include "session/message.h"
#include "session/session.h"

enum readonly {
	READONLY_NONE,
	READONLY_BLOCK,   /* a server is asked for, or has been had, for a transaction of BEGIN */
	READONLY_OPENING, /* its BEGIN was sent */
	READONLY_OPEN,
	READONLY_ENDING,  /* what may end it was sent */
	READONLY_LONE,    /* as BLOCK, for one statement outside of a transaction */
	READONLY_RUNNING, /* that statement was sent */
	READONLY_NSTATES
};

const char *readonly_name(enum readonly);

/* The setter of hold->readonly. An illegal move ends the program. */
void readonly_set(struct hold *, enum readonly);

/* The session is about to ask for a server for this message, which is decoded. Decides to which
 * pool its own hold goes. To be called if pool->reads of the session's pool. */
void readonly_choose(struct session *, const struct message *);

/* The pool of the option read_only; the session's own if there is none. */
struct pool *readonly_other(struct session *);

/* The pool that the session asks for a server now. */
struct pool *readonly_pool(struct session *);

/* The other pool has refused with this error. Returns true if the session asks its own pool
 * instead (option read_only_fallback). */
bool readonly_falls_back(struct session *, const struct err *);

/* The same, of any lease of the session that has asked the other pool. */
bool readonly_may_fall_back(const struct session *, const struct err *);

/* Does ENTER, or the session's statement, that only reads go to the other pool now? Returns that
 * pool; NULL: the session's own. */
struct pool *readonly_target(struct session *);

/* Can a transaction that only reads run on a standby? Not with SERIALIZABLE, of the transaction
 * (`level`: it gives an isolation level) or by default. */
bool readonly_may_go(const struct session *, bool level, bool serializable);

/* hold->apart: must the message wait until everything before it has been answered? */
bool readonly_must_wait(struct session *, const struct message *);

/* hold->apart: may the text of the message end the transaction, and go on behind that? */
bool readonly_divides(const struct session *, const struct message *);

/* hold->apart: the bits (EFFECTS_PIN) for which the message would keep the server; 0: none. */
unsigned readonly_pins(const struct session *, const struct message *);

/* The BEGIN of a scope that only reads goes to the server of session->hold: its statements do not
 * write. */
void readonly_entered(struct session *);

/* The message has gone to the server of session->hold. To be called if pool->reads. */
void readonly_sent(struct session *, const struct message *);

/* The exchange is done again from its beginning: nothing of it was executed. */
void readonly_redo(struct session *);

/* The transaction of the hold is over: counts it, if it only read. */
void readonly_over(struct session *, struct hold *);

/* The lease of the hold, the session's own or a scope's, ends in good order. To be called ahead of
 * lease_return(). */
void readonly_returned(struct session *, struct hold *);

/* A statement of a scope, which is not the client's, may write. */
void readonly_note_write(struct session *);

/* Until when the session's transactions that only read stay in its own pool, because it has
 * written; 0: they do not. */
int64_t readonly_stays_until(const struct session *);

#endif
