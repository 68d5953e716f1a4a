/* tracked: messages that were sent to a server, and whose outcome must be known, in the order in
 * which they went. */
#ifndef PGWITH_POOL_TRACKED_H
#define PGWITH_POOL_TRACKED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "pool/progress.h"

/* The first member of the owner's own struct, which has what the owner must remember. */
struct tracked {
	struct list_node node;
	uint64_t syncs; /* progress.syncs when it was sent */
	/* Called once, at its end: acts on the outcome, and frees it. */
	void (*end)(struct tracked *, enum progress_end);
	/* With PROGRESS_LOOK: gets the answers, as progress.described(). */
	void (*described)(struct tracked *, char type, const uint8_t *body, size_t bytes);
};

struct tracked_list {
	struct list list;
	void *spare; /* memory of an ended unnamed_parse, to be used again; or NULL */

	/* once.h: of the lease that holds the server. */
	uint64_t once;    /* number of the statement that is the session's unnamed one; or 0 */
	uint64_t refused; /* number of one that PostgreSQL has refused to use; or 0 */
	bool passes;      /* the next Parse goes to the server as it came */
	bool stood;       /* a statement has been the unnamed one in this lease */
	/* Such a use is under way, and the exchange may have to be done again. */
	bool unconfirmed;
	uint64_t unconfirmed_syncs; /* progress.syncs when it began */
};

/* Sets progress.tracked and progress.described. */
void tracked_init(struct tracked_list *, struct progress *);
/* The connection is lost: every message ends as PROGRESS_LOST. */
void tracked_clear(struct tracked_list *);

/* The message is sent now, marked PROGRESS_TRACKED. With PROGRESS_LOOK the caller sets
 * `described`. */
void tracked_add(struct tracked_list *, struct tracked *, const struct progress *,
		 void (*end)(struct tracked *, enum progress_end));

#endif
