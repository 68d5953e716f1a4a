/* reword: a server's errors name prepared statements by our names (pgwith_1). The client gets them
 * with its own names. */
#ifndef PGWITH_SESSION_REWORD_H
#define PGWITH_SESSION_REWORD_H

#include <stddef.h>
#include <stdint.h>

#include "pool/progress.h"
#include "session/session.h"

/* Where the server's answers were before a read. */
struct reword_from {
	uint64_t errors;
	uint32_t left; /* bytes that are left of a message of which a part has been read */
	uint8_t have;  /* bytes of its header that have been read */
	bool dropped;  /* the client does not get that message */
};

static inline struct reword_from
reword_from(const struct progress *p)
{
	return (struct reword_from){p->errors, p->from_left, p->from_have, p->from_drop};
}

/* Sends `data`, which was read since, to the client, with its own names in the errors. */
void reword_errors(struct session *, const struct reword_from *, const uint8_t *data, size_t bytes);

#endif
