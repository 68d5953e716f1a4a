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
	OVER     /* the session has ended, or ends */
};

/* A message, as far as it is here. */
struct message {
	char type;
	const uint8_t *body;
	size_t bytes;  /* of the whole body */
	size_t have;   /* of them here */
	char next;     /* type of the message behind it, 0 if none is here */
	size_t behind; /* bytes here behind it */
	/* REPLACE: bytes that need not be forwarded, the header among them. They may reach into
	 * the messages behind it. */
	size_t used;

	/* What message_decode() has found. All texts are inside of the body. */
	char kind; /* Describe, Close: 'S': a statement; otherwise a portal */
	/* The names of the portal and of the statement that the message names, each with its NUL;
	 * "" is the unnamed one. NULL: the message has no such name, or it is not whole here. */
	const char *portal, *statement;
	/* of the name of the statement, without the NUL */
	size_t statement_bytes;
	const char *sql;   /* the text of a Query or Parse; NULL: there is none */
	size_t sql_bytes;  /* without its NUL; as far as it is here */
	uint32_t function; /* FunctionCall: the oid; 0: not here */

	/* What standin_knows() has found of a Parse, if `hashed`; message_decode() leaves it. */
	bool hashed;
	bool inert;       /* its text is known to do nothing */
	bool same;        /* and is the one that the session's unnamed statement has */
	uint64_t of_body; /* text_hash_body() */

	/* What the text, or the function, does: effects_of_message() fills it in. */
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

/* Does the message name the unnamed statement? */
static inline bool
message_is_unnamed(const struct message *m)
{
	return m->statement && *m->statement == 0;
}

/* A Bind: is all of it here, and is none of its values NULL? */
bool message_has_no_null(const struct message *);

/* A whole Parse or Bind: makes a reader that stands behind its first two texts. */
void message_read_rest(const struct message *, struct reader *);

#endif
