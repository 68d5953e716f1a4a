/* startup: reads the first packet of a connection (StartupMessage, SSLRequest, GSSENCRequest,
 * CancelRequest), which has no type byte. PostgreSQL 15 documentation, 55.2.1 and 55.7. */
#ifndef PGWITH_WIRE_STARTUP_H
#define PGWITH_WIRE_STARTUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes: PostgreSQL's MAX_STARTUP_PACKET_LENGTH, which does not count the length itself. */
#define STARTUP_LARGEST 10004u
#define STARTUP_KEY_MAX 256u /* bytes of a cancel key */

enum startup_kind { STARTUP_PROTOCOL, STARTUP_SSL, STARTUP_GSSENC, STARTUP_CANCEL };

struct startup {
	enum startup_kind kind;
	uint32_t length;       /* of the packet, itself included */
	unsigned major, minor; /* STARTUP_PROTOCOL */
	uint32_t pid;          /* STARTUP_CANCEL */
	const uint8_t *secret; /* STARTUP_CANCEL; 4 bytes, longer since protocol 3.2 */
	size_t secret_bytes;
	/* STARTUP_PROTOCOL. Parameters: name NUL value NUL ... NUL, inside the packet. */
	const char *params;
	const char *user, *database, *replication; /* the last value of each; NULL: there is none */
	bool asks_options; /* it has a parameter _pq_.*, an option of the protocol */
};

/* Reads the packet at the start of `data`. Returns 0; -E_AGAIN if more bytes are needed; -E_RANGE
 * if the length (s->length) is impossible, so that this is no startup packet; -E_SYNTAX if the
 * parameters are malformed. Of an SSLRequest or GSSENCRequest, only length and code are read. */
int startup_read(const uint8_t *data, size_t bytes, struct startup *s);

/* Walks the parameters. *at starts as s->params; returns 1 with the next pair, or 0 at the end. */
int startup_next(const char **at, const char **name, const char **value);

/* The value of one parameter, or NULL. If the name stands there several times, the last one counts,
 * as in PostgreSQL. */
const char *startup_get(const struct startup *, const char *name);

#endif
