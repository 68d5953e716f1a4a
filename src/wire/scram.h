/* scram: the messages of SCRAM-SHA-256, by which a client proves that it knows a password without
 * sending it (RFC 5802 and 7677; PostgreSQL 15 documentation, 55.3.1). Only their texts are read
 * and made here: conf/verifier.h has the arithmetic, session/exchange.h the order of the messages.
 * What is refused, and in which words, is as in PostgreSQL 15, libpq/auth-scram.c: channel binding
 * is for TLS, and there is none on a Unix socket. */
#ifndef PGWITH_WIRE_SCRAM_H
#define PGWITH_WIRE_SCRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCRAM_MECHANISM   "SCRAM-SHA-256"
#define SCRAM_KEY         32   /* bytes of a key, a proof or a signature */
#define SCRAM_NONCE       18   /* bytes of our nonce, before base64 */
#define SCRAM_MESSAGE_MAX 1024 /* the length that a message states, at most: PostgreSQL's limit */

/* What is wrong with a message. */
struct scram_problem {
	bool unsupported; /* SQLSTATE 0A000; otherwise 08P01 */
	const char *message;
	char detail[160]; /* "": none */
};

/* The client's first message. The pointers lead into its text. */
struct scram_first {
	char flag;        /* n or y: the client does not use channel binding */
	const char *bare; /* the message without its gs2 header; to the end of the text */
	const char *nonce;
	size_t nonce_bytes;
};

/* The client's last message. */
struct scram_final {
	size_t without_proof; /* bytes in front of ",p=" */
	const char *nonce;    /* into its text */
	size_t nonce_bytes;
	uint8_t proof[SCRAM_KEY];
};

/* Both read a text that ends with a NUL. `flag` is that of the first message. Return 0, or
 * -E_SYNTAX with *p filled in. */
int scram_read_first(const char *text, struct scram_first *, struct scram_problem *p);
int scram_read_final(const char *text, char flag, struct scram_final *, struct scram_problem *p);

/* Reads base64 (RFC 4648) as PostgreSQL does: without blanks, and the padding must be there.
 * Returns the number of bytes, at most `room`; or -E_SYNTAX. */
int scram_decode(const char *text, size_t length, uint8_t *out, size_t room);
/* Writes the base64 of the bytes and a NUL. `out` has SCRAM_ENCODED(bytes) bytes. */
void scram_encode(const uint8_t *, size_t bytes, char *out);
#define SCRAM_ENCODED(bytes) (((bytes) + 2) / 3 * 4 + 1)

#endif
