/* message: one message of a client, as the modules that handle it see it, and what becomes of it.
 */
#ifndef PGWITH_SESSION_MESSAGE_H
#define PGWITH_SESSION_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What becomes of a message. */
enum verdict {
	FORWARD, /* it goes to the server as it came */
	REPLACE, /* what goes instead of its first `used` bytes has been added to the batch */
	DROP,    /* it was answered here, or is ignored */
	HOLD,    /* it waits where it is */
	OVER     /* the session goes */
};

/* A message, as far as it is here. */
struct message {
	char type;
	const uint8_t *body;
	size_t bytes;    /* of the whole body */
	size_t have;     /* of them here */
	unsigned set;    /* SQLCLASS_... of a Query or Parse */
	unsigned lexing; /* how its text is read: flags of sqltext_init() */
	bool unsure;     /* it may be read otherwise: see lexing_each() */
	char next;       /* type of the message behind it, 0 if none is here */
	size_t used;     /* REPLACE: bytes that need not be forwarded, the header among them */
};

/* The SQL text of a Query or Parse and its length, or NULL. */
const char *message_text(const struct message *, size_t *bytes);

#endif
