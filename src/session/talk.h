/* talk: statements of our own, one at a time, on the server that a session holds, while the client
 * waits. The client gets what is its own (notices, parameters, notifications); an error and, if
 * they are wanted, the rows are kept. */
#ifndef PGWITH_SESSION_TALK_H
#define PGWITH_SESSION_TALK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "scope/stack.h"

struct session;

struct talk {
	bool setup; /* it gives the session's parameters: see telling.h for what the client hears */
	bool busy;  /* a statement is under way */
	bool ended; /* it has ended, and nobody has asked yet */
	bool cancelled; /* it took too long, and a cancel was sent */
	bool keep_rows; /* everything goes to `kept` */
	uint8_t have;   /* bytes of the header that are there */
	uint8_t header[5];
	uint32_t left;    /* bytes of the body still to come */
	struct buf one;   /* the message that is passing, if it is wanted */
	struct buf kept;  /* keep_rows: all messages */
	struct buf error; /* the first ErrorResponse, a whole message; empty: it succeeded */
	int64_t since_us;
};

void talk_init(struct talk *);
void talk_clear(struct talk *);

/* Sends a statement. The server of session->hold is at rest. */
void talk_query(struct session *, const char *sql);
void talk_ask(struct session *, const char *sql); /* keeps the rows */
/* One with parameters, which are bound. What it does to the session's state is noted. */
void talk_statement(struct session *, const struct deferred *);

/* The server has something to say. Returns true if the statement has ended. */
bool talk_readable(struct session *);

/* Has the statement that ended last failed? Its SQLSTATE is progress.error. */
bool talk_failed(const struct session *);
/* The words of the error, or "". */
const char *talk_message(const struct session *);

#endif
