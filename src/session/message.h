/* message: one message of a client, decoded once, and what becomes of it. PostgreSQL 15
 * documentation, 55.7 Message Formats. */
#ifndef PGWITH_SESSION_MESSAGE_H
#define PGWITH_SESSION_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "session/effects.h"
#include "wire/reader.h"

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
	size_t bytes; /* of the whole body */
	size_t have;  /* of them here */
	char next;    /* type of the message behind it, 0 if none is here */
	size_t used;  /* REPLACE: bytes that need not be forwarded, the header among them */

	/* What message_decode() has found. All texts are inside of the body. */
	char kind; /* Describe, Close: the first byte: S of a statement, or else of a portal */
	/* The names of the portal and of the statement that the message is about, each with its NUL
	 * and "" if it is the unnamed one. NULL: it has none of that, or a name of it is cut off.
	 */
	const char *portal, *statement;
	const char *sql;   /* of a Query or Parse, without a NUL; NULL: there is none */
	size_t sql_bytes;  /* up to its NUL, or as far as it is here */
	uint32_t function; /* the oid of a FunctionCall's; 0: not here */

	/* What effects_of_message() has found: what the text does, or the function. */
	struct effects effects;
};

/* Fills in what the message says, by its type, body, bytes and have. */
void message_decode(struct message *);

static inline bool
message_is_whole(const struct message *m)
{
	return m->have == m->bytes;
}

/* Is all of it here, and has it exactly the fields of its format? See wire/formed.h. */
bool message_is_well_formed(const struct message *);

/* Is it about the unnamed statement? */
static inline bool
message_is_unnamed(const struct message *m)
{
	return m->statement && *m->statement == 0;
}

/* Of a whole Parse or Bind: prepares to read what stands behind the two texts. */
void message_read_rest(const struct message *, struct reader *);

#endif
