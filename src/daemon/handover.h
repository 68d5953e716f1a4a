/* handover: this process ends and the next one goes on with its sessions and servers; no client
 * notices. Descriptors are given to the supervisor (loop/fdstore.h), everything else stands in a
 * sealed memfd beside them, in the format of HANDOVER_VERSION.
 *
 *	off -> holding -> (the process has ended)
 *	         +-> off: the supervisor took no descriptors
 *
 * holding: clients are not read from, wherever they are, nobody gets a lease; what servers say
 *still comes, and what lasts but a moment (a question of ours, a cleanup, a cancel, COMMIT of a
 *scope) comes to its end. What has not after handover_timeout is ended. Then, between two events of
 *the loop, everything is written down, and the process ends. The state is given last: without it
 *the descriptors are of no use, and the next process closes them. */
#ifndef PGWITH_DAEMON_HANDOVER_H
#define PGWITH_DAEMON_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event_struct.h>

#include "loop/fdstore.h"

/* To be changed with whatever any of the ..._pack() functions writes. */
#define HANDOVER_VERSION 20

struct daemon;

enum handover_state { HANDOVER_OFF, HANDOVER_HOLDING };

struct handover {
	enum handover_state state;
	int64_t since_us;
	bool forced; /* the time was up */
	bool ends;   /* if nothing comes of it, the daemon drains */
	struct event timer;
	/* of the process before, until handover_read() */
	struct fdstore_fd *fds;
	size_t nfds;
	uint8_t *map; /* its state, or NULL */
	size_t map_bytes;
};

/* Begins. If the supervisor does not take it all, the daemon drains if it `ends`, and otherwise
 * goes on. Returns false, and has said why, if there is nobody to hand over to, the next process
 * could not read its configuration, or this one is ending already. */
bool handover_begin(struct daemon *, bool ends);

/* While it holds: everything goes on as before. Nothing happens otherwise. */
void handover_abort(struct daemon *);

/* At the start, before sysd_new(): takes the descriptors that a process before has left. */
void handover_take(struct daemon *);
/* Is there something of a process before? The pools are held then, until handover_read(). */
void handover_open(struct daemon *);
/* The descriptor of that name, which is the caller's then; or -1. */
int handover_take_fd(struct daemon *, const char *name);
/* When the pools are there: goes on with all. Returns -E_SYNTAX if the state cannot be understood:
 * the process must end, and the one after it starts afresh. */
int handover_read(struct daemon *);

#define HANDOVER_LISTEN FDSTORE_PREFIX "listen"
#define HANDOVER_LOCK   FDSTORE_PREFIX "lock"

#endif
