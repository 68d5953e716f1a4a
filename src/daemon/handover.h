/* handover: this process ends and the next one goes on with its sessions and servers; no client
 * notices. The descriptors are given to the supervisor (loop/fdstore.h). Everything else is written
 * to a sealed memfd, in the format of HANDOVER_VERSION, which the supervisor gets too.
 *
 *	off -> holding -> (the process has ended)
 *	         +-> off: the supervisor took no descriptors
 *
 *	While the daemon holds, clients are not read from, and no lease is granted. Servers are read
 *	from. What takes but a moment (a question of ours, a cleanup, a cancel, the COMMIT of a
 *	scope) is finished; what is not finished after handover_timeout is ended. Then everything is
 *	written, between two events of the loop, and the process ends. The state is given to the
 *	supervisor last: without it the next process closes the descriptors. */
#ifndef PGWITH_DAEMON_HANDOVER_H
#define PGWITH_DAEMON_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/statefile.h"
#include "loop/fdstore.h"
#include "loop/timer.h"

/* Raise it whenever a ..._pack() function writes something else than before. */
#define HANDOVER_VERSION 43

struct daemon;

enum handover_state { HANDOVER_OFF, HANDOVER_HOLDING };

struct handover {
	enum handover_state state;
	int64_t since_us;
	bool forced; /* handover_timeout has passed */
	bool ends;   /* if the handover fails, the daemon drains */
	struct timer timer;
	/* what the process before has left, until handover_read() */
	struct fdstore_fd *fds;
	size_t nfds;
	struct statefile state_before;
};

/* Begins a handover. If the supervisor does not take everything, the daemon drains (`ends`), or
 * goes on as before. Returns false, and has logged why, if there is no supervisor that keeps
 * descriptors, the next process could not use the configuration, or this process ends already. */
bool handover_begin(struct daemon *, bool ends);

/* Gives a handover up: everything goes on as before. Without one, it does nothing. */
void handover_abort(struct daemon *);

/* At the start, before sysd_new(): takes the descriptors that the process before has left. */
void handover_take(struct daemon *);
/* Maps the state of the process before, if it has left one. Then no lease is granted until
 * handover_read(). */
void handover_open(struct daemon *);
/* Returns the descriptor of that name, which is the caller's then; or -1. */
int handover_take_fd(struct daemon *, const char *name);
/* To be called when the pools exist: reads the state, and goes on with its servers and sessions.
 * Returns -E_SYNTAX if the state cannot be understood: then the process must end, and the one after
 * it starts afresh. */
int handover_read(struct daemon *);

#define HANDOVER_LISTEN FDSTORE_PREFIX "listen"
#define HANDOVER_LOCK   FDSTORE_PREFIX "lock"

#endif
