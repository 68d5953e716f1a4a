/* todo: statements that a lease leaves to be run at its end, and what became of each. No I/O. */
#ifndef PGWITH_POOL_TODO_H
#define PGWITH_POOL_TODO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "pool/progress.h"

struct todo_stmt {
	struct list_node node;
	char *sql;
	char **values; /* of the parameters $1, $2 ..., as text; NULL is SQL NULL */
	unsigned nvalues;
	uint64_t used;    /* bit n-1: the text uses $n (of at most 64); 0: it uses them all */
	char *label;      /* for the log and for people; never SQL */
	bool failed;      /* it failed, or could not be run: the next two say why */
	char sqlstate[6]; /* of the error; "" if it has not failed */
	char *message;    /* the error's text, or NULL */
};

/* The list, in the order in which they are run. Zeroed memory may be passed to todo_clear(); before
 * todo_add() and todo_move() todo_init() is needed. */
struct todo {
	struct list list; /* of struct todo_stmt */
};

void todo_init(struct todo *);

/* Adds a statement at the end. Everything is copied; `values` may be NULL if there are none. */
void todo_add(struct todo *, const char *sql, const char *const *values, unsigned nvalues,
	      uint64_t used, const char *label);

/* Frees all statements. The list is empty and usable again, if it had been initialized. */
void todo_clear(struct todo *);

/* Moves all statements of `from` to the end of `to`. */
void todo_move(struct todo *to, struct todo *from);

/* Adds the messages that run the statement to `out`, and tells progress: a Query; or, if there are
 * parameters, Parse, Bind, Execute and Sync of the unnamed statement and portal, so that values are
 * bound and never a part of the text. Both destroy the server's unnamed statement and give one
 * ReadyForQuery. The server must be at rest. Returns 0; or -E_TOOBIG if the statement does not fit
 * into `out` or has too many values: then nothing was done. */
int todo_send(const struct todo_stmt *, struct progress *, struct buf *out);

/* Adds the messages that run a list of texts, each of one statement and with a NUL, and tells
 * progress: Parse, Bind, Execute and Close of each, with a statement and a portal named pgwith_own,
 * and one Sync. The server's unnamed statement and portal stay. If one fails, the others are
 * skipped. The server must be at rest. Returns as todo_send(). */
int todo_send_apart(const char *texts, size_t bytes, struct progress *, struct buf *out);

/* Adds what todo_send_apart() does for one text, without the Sync, and tells progress that the
 * messages go by the client's and are ours (PROGRESS_OWN). */
void todo_own_apart(const char *sql, struct progress *, struct buf *out);

/* Marks it as failed. `message` is copied, and may be NULL. */
void todo_fail(struct todo_stmt *, const char *sqlstate, const char *message);

#endif
