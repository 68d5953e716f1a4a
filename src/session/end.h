/* end: a session ends: its client is told why, if it can be, and what it has goes. */
#ifndef PGWITH_SESSION_END_H
#define PGWITH_SESSION_END_H

#include <stdint.h>

#include "base/err.h"
#include "pool/cleanup.h"

struct session;
struct site;

/* Why a session ends. */
struct end {
	const char *text;     /* for the log; NULL: the session goes on */
	enum cleanup_why why; /* of what it leaves in servers */
	uint8_t error;        /* enum err_id: what its client was told; 0: nothing */
};

/* Tells the client and closes: by the error's kind, which is a fatal one. */
void session_fail(struct session *, const struct err *);
/* The same because of bytes that no client may send: `what` is wrong with them. */
void session_fail_protocol(struct session *, const char *what);

/* Closes at once and frees at the end of the turn. A lease that is held ends by cleanup, because of
 * `why`. Safe on a closed one. `text` is for the log. */
void session_close(struct session *, enum cleanup_why why, const char *text);

/* Those that do not take their last words in time. */
void end_sweep(struct site *);

#endif
