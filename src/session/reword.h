/* reword: errors of a server speak of prepared statements by our names for them; the client is told
 * its own. */
#ifndef PGWITH_SESSION_REWORD_H
#define PGWITH_SESSION_REWORD_H

#include <stddef.h>
#include <stdint.h>

#include "pool/progress.h"
#include "session/session.h"

/* How far the server's answers were before a read. */
struct reword_from {
	uint64_t errors;
	uint32_t left; /* bytes of the message that was passing */
	uint8_t have;  /* of its header */
	bool dropped;
};

static inline struct reword_from
reword_from(const struct progress *p)
{
	return (struct reword_from){p->errors, p->from_left, p->from_have, p->from_drop};
}

/* Sends to the client what has been read since, errors among it. */
void reword_errors(struct session *, const struct reword_from *, const uint8_t *data, size_t bytes);

#endif
