/* extended: what is kept of the client's exchange in the extended protocol. */
#ifndef PGWITH_SESSION_EXTENDED_H
#define PGWITH_SESSION_EXTENDED_H

#include <stdbool.h>
#include <stdint.h>

#include "session/boundary.h"

struct named;
struct pack;

struct extended {
	uint8_t boundary; /* enum boundary */
	/* An error of ours was sent: messages are dropped up to the client's Sync. Not a state: a
	 * session can have it in any state between login and closing. */
	bool skip_sync;
	/* Prepared scope statements and their portals; NULL: there was none yet. */
	struct named *named;
};

/* For the handover. */
void extended_pack(struct pack *, struct extended *);

#endif
