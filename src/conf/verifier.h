/* verifier: what proves that a client knows a password of SCRAM-SHA-256 (RFC 5802, section 3), in
 * PostgreSQL's form: SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY, as pg_authid.rolpassword
 * has it. The password cannot be got out of it.
 *
 * The arithmetic is OpenSSL's (HMAC, SHA-256, the comparison in constant time, random numbers), and
 * libpq's where a verifier is made from a password: so SASLprep is exactly that of PostgreSQL. */
#ifndef PGWITH_CONF_VERIFIER_H
#define PGWITH_CONF_VERIFIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/scram.h"

#define VERIFIER_SALT_MAX 64   /* bytes; PostgreSQL's has 16 */
#define VERIFIER_ROUNDS   4096 /* iterations of those that are made here, as in PostgreSQL */
#define VERIFIER_SEED     32   /* bytes */

struct verifier {
	bool mock; /* no password proves anything: the role has none, or is unknown */
	uint32_t iterations;
	uint8_t salt[VERIFIER_SALT_MAX];
	uint8_t salt_bytes;
	uint8_t stored_key[SCRAM_KEY];
	uint8_t server_key[SCRAM_KEY];
};

/* What a text is that stands where PostgreSQL keeps a password. */
enum verifier_kind {
	VERIFIER_NONE,  /* it is empty: there is no password */
	VERIFIER_SCRAM, /* verifier_read() reads it */
	VERIFIER_WRONG, /* it begins like a verifier, and is none */
	VERIFIER_MD5,   /* md5 and 32 hexadecimal digits: it cannot prove a SCRAM login */
	VERIFIER_PLAIN  /* a password */
};
enum verifier_kind verifier_kind(const char *text);

/* Reads a verifier. False: it is none. */
bool verifier_read(const char *text, struct verifier *);

/* Makes a verifier for a password, with a random salt. Takes some milliseconds of computing: for a
 * thread. Returns NULL, or what went wrong, which the caller frees. */
char *verifier_make(const char *password, struct verifier *);

/* Makes one that nobody can satisfy. Its salt follows from the name and the seed, so that a name
 * which nobody has looks the same each time, as with PostgreSQL (mock authentication). */
void verifier_mock(const uint8_t seed[VERIFIER_SEED], const char *name, struct verifier *);

/* `message` is the AuthMessage of RFC 5802. Is the proof right? If so, writes the server's
 * signature, by which the client knows that we know the verifier. Takes as long in both cases. */
bool verifier_prove(const struct verifier *, const void *message, size_t bytes,
		    const uint8_t proof[SCRAM_KEY], uint8_t signature[SCRAM_KEY]);

/* A number for a secret that tells nothing of it: the same secret has the same number. */
void verifier_fingerprint(const uint8_t seed[VERIFIER_SEED], const char *secret,
			  uint8_t out[SCRAM_KEY]);

/* Writes random bytes; ends the process if there are none. */
void verifier_random(uint8_t *, size_t bytes);

#endif
