/* slow: scopes that have lasted longer than log_scope_longer_than are logged at their end, with
 * what they waited for and, if log_scope_statements says so, the SQL of what they did. Scopes of
 * ENTER are frames of the stack; what a client does without, a transaction or a single statement,
 * has its times here. Where the option is off, session->slow is NULL, and nothing else is done. */
#ifndef PGWITH_SESSION_SLOW_H
#define PGWITH_SESSION_SLOW_H

#include <stdint.h>

#include "base/list.h"
#include "pool/pool.h"
#include "scope/stack.h"
#include "session/message.h"
#include "session/session.h"

#define SLOW_NOTES_MAX 16  /* waits, and statements, that are kept of a session; the last ones */
#define SLOW_SQL_MAX   500 /* bytes of a statement */

enum slow_what { SLOW_WAIT, SLOW_STATEMENT };

/* What a session has waited for, or done. */
struct slow_note {
	struct list_node node;
	int64_t at_us; /* when it was sent, or the wait began */
	int64_t us;    /* waited */
	char text[];
};

struct slow {
	/* the transaction or statement of the client's own; or nothing */
	int64_t began_us; /* waiting included; 0: there is none */
	int64_t granted_us;
	uint64_t statements_before;
	uint64_t errors_before; /* of its server */
	/* all that is open */
	uint64_t statements; /* sent for the client, ever */
	struct list waits;   /* of struct slow_note, oldest first */
	struct list done;    /* the same of statements */
};

/* Is anything to be logged of scopes in the pool? */
static inline bool
slow_wanted(const struct pool *pool)
{
	return pool->conf->log_scope_longer_than_us != 0;
}

/* A scope of a pool for which it is wanted begins. */
void slow_watch(struct session *);
void slow_free(struct session *);

/* The rest is for sessions with session->slow only. */

/* A lease was just taken for what the client does without ENTER. */
void slow_begin(struct session *);
/* A message goes to the server of session->hold. */
void slow_message(struct session *, const struct message *);
/* It has ended. `sqlstate`: of what ended it; NULL: the server's last error, if there was one. */
void slow_end(struct session *, const char *outcome, const char *sqlstate);
/* It never got a server. */
void slow_refused(struct session *, const char *sqlstate);

/* The frame has what it waited for. */
void slow_granted(struct session *, const struct scope *);
/* The frame ends: its exit began then. */
void slow_frame(struct session *, const struct scope *, const char *outcome, int64_t exit_us);
/* The client's own transaction goes on, without a frame. */
void slow_unframed(struct session *, const struct scope *);

#endif
