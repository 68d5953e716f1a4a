/* todo: statements that a lease leaves to be run at its end, and what became of them. No I/O. */
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
	char **values; /* of its parameters $1, $2 ... as text; NULL is NULL */
	unsigned nvalues;
	uint64_t used;    /* bit n-1: the text has $n, of at most 64; 0: it has them all */
	char *label;      /* for the log and for people; never SQL */
	bool failed;      /* it was tried, or could not be; the next two say why */
	char sqlstate[6]; /* of its error, "" if it has not failed */
	char *message;    /* the error's text, or NULL */
};

/* In the order in which they are run. Zeroed memory is as good as todo_clear(), but not as
 * todo_init(). */
struct todo {
	struct list list; /* of struct todo_stmt */
};

void todo_init(struct todo *);

/* Adds a statement at the end. Everything is copied; `values` may be NULL if there are none. */
void todo_add(struct todo *, const char *sql, const char *const *values, unsigned nvalues,
	      uint64_t used, const char *label);

/* Frees all of them; it is empty and usable again, if it had been initialized. */
void todo_clear(struct todo *);

/* All of `from` goes to the end of `to`. */
void todo_move(struct todo *to, struct todo *from);

/* Adds the messages that run the statement, and tells progress: a Query, or with parameters Parse,
 * Bind, Execute and Sync of the unnamed statement and portal, so that values are bound, never a
 * part of the text. Either way the server's unnamed statement is gone, and one ReadyForQuery comes.
 * The server must be at rest. Returns 0, or -E_TOOBIG if it does not fit into `out`, or has too
 * many values: then nothing was done. */
int todo_send(const struct todo_stmt *, struct progress *, struct buf *out);

/* It has failed. `message` is copied, and may be NULL. */
void todo_fail(struct todo_stmt *, const char *sqlstate, const char *message);

#endif
