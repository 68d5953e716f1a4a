/* end: ends a session: tells its client why, if that is possible, and gives up what it has. */
#ifndef PGWITH_SESSION_END_H
#define PGWITH_SESSION_END_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "pool/cleanup.h"

struct session;
struct site;

/* Why a session ends. */
struct end {
	const char *text; /* for the log; NULL: the session goes on */
	uint8_t why;      /* enum cleanup_why: given to the cleanup of its servers */
	uint8_t error;    /* enum err_id: what its client was told; 0: nothing */
	bool let_in;      /* CLOSING, LEAVING, CLOSED: the login had been answered before */
	/* A Terminate waits for the answers of what stands before it. */
	bool unheard;  /* a part of an answer came when nobody was there any more */
	uint32_t owed; /* ReadyForQuery that were due when the Terminate came */
};

/* Tells the client the error, as FATAL, and closes. */
void session_fail(struct session *, const struct err *);
/* The same, because the client has broken the protocol: `what` says how. */
void session_fail_protocol(struct session *, const char *what);

/* The same, because the server can neither be given nor asked for the session's parameters. */
void session_fail_setup(struct session *, const char *why);

/* Closes at once, and frees at the end of the turn. A lease that is held ends by cleanup, because
 * of `why`. `text` is for the log. If the session has scopes, they are ended first. Does nothing if
 * the session is closed. */
void session_close(struct session *, enum cleanup_why why, const char *text);

/* Called by the daemon's sweep: closes sessions that do not read their last words in time. */
void end_sweep(struct site *);

#endif
