/* deallocate: DEALLOCATE and DISCARD ALL, by SQL, of statements that were made by Parse. No server
 * knows the session's names for them. So for each name the server is given a decoy, an empty
 * statement of that name, to deallocate. Command tags tell which DEALLOCATEs were carried out. */
#ifndef PGWITH_SESSION_DEALLOCATE_H
#define PGWITH_SESSION_DEALLOCATE_H

#include <stdbool.h>
#include <stddef.h>

#include "session/session.h"

/* A text with such statements is about to be executed: adds the decoys to the batch, ahead of it,
 * and tells progress. */
void deallocate_note(struct session *, const char *sql, size_t bytes);

/* Is it not known yet which of the session's names are still there? */
bool deallocate_in_doubt(const struct session *);

/* Bytes of the lease's server have been read: drops the names that command tags among them end. */
void deallocate_answered(struct session *);

/* Forgets the names of DEALLOCATEs that are under way: a lease begins, or they have ended. */
void deallocate_forget(struct session *);

#endif
