/* tracked: messages that have gone to a server and of which must be known what became of them, in
 * the order in which they went. */
#ifndef PGWITH_POOL_TRACKED_H
#define PGWITH_POOL_TRACKED_H

#include <stdint.h>

#include "base/list.h"
#include "pool/progress.h"

/* Embedded first in what its owner must remember. */
struct tracked {
	struct list_node node;
	uint64_t syncs; /* progress.syncs when it went */
	/* Tells the end, and frees it. */
	void (*end)(struct tracked *, enum progress_end);
	/* With PROGRESS_LOOK: an answer to it, as progress.described(). */
	void (*described)(struct tracked *, char type, const uint8_t *body, size_t bytes);
};

struct tracked_list {
	struct list list;
	void *spare; /* unnamed: memory of one that has ended, for the next; or NULL */
};

/* Takes over progress.tracked and progress.described. */
void tracked_init(struct tracked_list *, struct progress *);
/* The connection is gone: the end of all is PROGRESS_LOST. */
void tracked_clear(struct tracked_list *);

/* The message goes now, marked PROGRESS_TRACKED. With PROGRESS_LOOK the caller sets `described`. */
void tracked_add(struct tracked_list *, struct tracked *, const struct progress *,
		 void (*end)(struct tracked *, enum progress_end));

#endif
