/* outcome: what has become of the LISTENs and UNLISTENs of a transaction, by what its server says
 * that it listens to: the marks (marking.h) of those that have survived are among that. */
#ifndef PGWITH_SESSION_OUTCOME_H
#define PGWITH_SESSION_OUTCOME_H

#include <stdbool.h>

#include "base/buf.h"

struct deed_names;
struct listening;

#define OUTCOME_MARK 48 /* bytes of the name of a mark, with its NUL */

/* The name of the channel that is the mark with this number. */
void outcome_mark(const struct listening *, unsigned mark, char name[OUTCOME_MARK]);

/* Makes the question to the server: what it listens to, and how it writes the names that are not
 * read for certain. A name goes as the label of a column, which PostgreSQL lexes and cuts as it
 * does the name of a channel. */
void outcome_question(const struct listening *, struct buf *sql);

/* Takes the answer, DataRows: adds the names that it listens to, and fills in the others in the
 * deeds. */
void outcome_told(struct listening *, const struct buf *rows, struct deed_names *);

/* Adds the names that the session listens to when the deeds that have survived are done. `told`:
 * what its server listens to; or NULL, then the deeds of its message are all that there is. */
void outcome_names(const struct listening *, const struct deed_names *told, struct deed_names *);

/* The keeper listens for the session to just these names, as far as it does so already. */
void outcome_keep(struct listening *, const struct deed_names *);

/* The deeds of the session's message have succeeded: carries them out. */
void outcome_do(struct listening *);

/* Adds UNLISTEN of the names that the server listens to, and need not: marks, and what the keeper
 * does for it. Returns whether it has to listen on. */
bool outcome_unlisten(const struct listening *, const struct deed_names *told, struct buf *sql);

/* Does the server listen to a channel of the transaction's LISTENs to which the keeper does not? */
bool outcome_is_missing(const struct listening *, const struct deed_names *told);

#endif
