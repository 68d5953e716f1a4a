/* statefile: the sealed memfd in which the state of a daemon goes to the next one. It is read only
 * if it is whole, and of a daemon with the same HANDOVER_VERSION (handover.h). */
#ifndef PGWITH_DAEMON_STATEFILE_H
#define PGWITH_DAEMON_STATEFILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/pack.h"

/* The state of the process before, mapped. */
struct statefile {
	uint8_t *map; /* NULL: there is none */
	size_t bytes;
};

/* Returns the descriptor of a sealed memfd with the state, or -1 with errno. */
int statefile_write(const struct buf *state);

/* Maps the file. Returns NULL, or what is wrong with it: then, too, statefile_unmap() is to be
 * called, which does nothing if nothing is mapped. The descriptor stays the caller's. */
const char *statefile_map(struct statefile *, int fd);
void statefile_unmap(struct statefile *);

/* Reads the state, of a file that statefile_map() has found good. */
void statefile_reader(const struct statefile *, struct pack *);

#endif
