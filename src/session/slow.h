/* slow: logs scopes that lasted longer than log_scope_longer_than, at their end, with what they
 * waited for, and with their SQL if log_scope_statements is on. Frames of the stack have their own
 * times. A transaction or statement without a frame has its times here. The SQL is kept for
 * log_held_longer_than, too (admin/overdue.c). Where slow_wanted() is false, session->rare->slow is
 * NULL. */
#ifndef PGWITH_SESSION_SLOW_H
#define PGWITH_SESSION_SLOW_H

#include <stdint.h>

#include "base/list.h"
#include "pool/pool.h"
#include "scope/stack.h"
#include "session/message.h"
#include "session/session.h"

#define SLOW_NOTES_MAX 16  /* how many waits, and how many statements, are kept: the last ones */
#define SLOW_SQL_MAX   500 /* bytes of a statement */

struct pack;

enum slow_what { SLOW_WAIT, SLOW_STATEMENT };

/* A wait or a statement of a session. */
struct slow_note {
	struct list_node node;
	int64_t at_us; /* when the wait began, or the statement was sent */
	int64_t us;    /* how long the wait was */
	char text[];   /* what was waited for, or the SQL */
};

struct slow {
	/* Of the transaction or statement that has no frame: */
	int64_t began_us; /* with the wait for its server; 0: there is none */
	int64_t granted_us;
	uint64_t statements_before; /* `statements` when it began */
	uint64_t errors_before;     /* progress.errors of its server when it began */
	/* Of all that is open: */
	uint64_t statements; /* sent for the client since slow_watch() */
	struct list waits;   /* of struct slow_note, oldest first */
	struct list done;    /* the same of statements */
};

/* Does the pool log slow scopes, or the SQL of those that hold a server for long? */
static inline bool
slow_wanted(const struct pool *pool)
{
	const struct conf_pool *conf = pool->conf;

	return conf->log_scope_longer_than_us != 0 ||
	       (conf->log_held_longer_than_us != 0 && conf->log_scope_statements);
}

/* To be called when a scope begins in a pool that logs slow ones. */
void slow_watch(struct session *);
void slow_free(struct session *);

/* For the handover: without the notes. */
void slow_pack(struct pack *, struct session *);

/* The rest is for sessions with session->rare->slow only. */

/* A lease was taken for a transaction or statement without a frame. */
void slow_begin(struct session *);
/* A message goes to the server of session->hold. */
void slow_message(struct session *, const struct message *);
/* The transaction or statement without a frame has ended. `sqlstate`: of what ended it; NULL: the
 * server's last error in it, if there was one. */
void slow_end(struct session *, const char *outcome, const char *sqlstate);
/* A statement that waited for a server gets an error instead. */
void slow_refused(struct session *, const char *sqlstate);

/* The frame has got what it waited for. */
void slow_granted(struct session *, const struct scope *);
/* The frame has ended; its exit began at exit_us. */
void slow_frame(struct session *, const struct scope *, const char *outcome, int64_t exit_us);
/* The frame of the client's own transaction is gone, and the transaction goes on without. */
void slow_unframed(struct session *, const struct scope *);

#endif
