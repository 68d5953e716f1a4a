#include "conf/verifier.h"

#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "base/log.h"
#include "base/mem.h"

#define MARK SCRAM_MECHANISM "$"
#define ITERATIONS_MAX \
	100000000 /* a larger number is no one's: the client would compute for hours */

_Static_assert(SHA256_DIGEST_LENGTH == SCRAM_KEY, "keys are SHA-256 hashes");

static bool
is_md5(const char *text)
{
	return strncmp(text, "md5", 3) == 0 && strlen(text) == 35 &&
	       strspn(text + 3, "0123456789abcdef") == 32;
}

enum verifier_kind
verifier_kind(const char *text)
{
	struct verifier v;
	enum verifier_kind kind = VERIFIER_PLAIN;

	if (*text == 0)
		return VERIFIER_NONE;
	if (is_md5(text))
		return VERIFIER_MD5;
	if (strncmp(text, MARK, strlen(MARK)) == 0)
		kind = verifier_read(text, &v) ? VERIFIER_SCRAM : VERIFIER_WRONG;
	explicit_bzero(&v, sizeof v);
	return kind;
}

/* Reads base64 up to the character `end`, which is 0 for the end of the text, and moves *at behind
 * it. Returns the number of bytes, or -1. */
static int
read_part(const char **at, char end, uint8_t *out, size_t room)
{
	const char *last = end ? strchr(*at, end) : *at + strlen(*at);
	int n;

	if (last == NULL)
		return -1;
	n = scram_decode(*at, (size_t)(last - *at), out, room);
	*at = end ? last + 1 : last;
	return n < 0 ? -1 : n;
}

bool
verifier_read(const char *text, struct verifier *v)
{
	unsigned long iterations;
	const char *at = text;
	char *end;
	int salt;

	*v = (struct verifier){0};
	if (strncmp(at, MARK, strlen(MARK)) != 0)
		return false;
	at += strlen(MARK);
	if (*at < '1' || *at > '9')
		return false;
	iterations = strtoul(at, &end, 10);
	if (*end != ':' || iterations > ITERATIONS_MAX)
		return false;
	at = end + 1;
	salt = read_part(&at, '$', v->salt, sizeof v->salt);
	if (salt <= 0 || read_part(&at, ':', v->stored_key, SCRAM_KEY) != SCRAM_KEY ||
	    read_part(&at, 0, v->server_key, SCRAM_KEY) != SCRAM_KEY)
		return false;
	v->iterations = (uint32_t)iterations;
	v->salt_bytes = (uint8_t)salt;
	return true;
}

char *
verifier_make(const char *password, struct verifier *v)
{
	/* libpq wants a connection, and does not use it. With a parameter that it does not know, it
	 * makes one that has failed already, and opens no socket. */
	static const char *const keywords[] = {"no_connection", NULL}, *const values[] = {"", NULL};
	PGconn *conn = PQconnectStartParams(keywords, values, 0);
	char *text = conn ? PQencryptPasswordConn(conn, password, "", "scram-sha-256") : NULL;
	char *why = NULL;

	if (text == NULL || !verifier_read(text, v))
		why = mem_printf("libpq makes no verifier: %s",
				 conn ? PQerrorMessage(conn) : "out of memory");
	if (text) {
		explicit_bzero(text, strlen(text));
		PQfreemem(text);
	}
	PQfinish(conn);
	/* What OpenSSL keeps for each thread that asks for random numbers goes by itself when the
	 * thread has ended. The process may exit before that. */
	OPENSSL_thread_stop();
	return why;
}

static void
hmac(const uint8_t *key, size_t key_bytes, const void *data, size_t bytes, uint8_t out[SCRAM_KEY])
{
	if (HMAC(EVP_sha256(), key, (int)key_bytes, data, bytes, out, NULL) == NULL)
		log_fatal("", LOG_ALONE, "OpenSSL makes no HMAC");
}

void
verifier_mock(const uint8_t seed[VERIFIER_SEED], const char *name, struct verifier *v)
{
	uint8_t salt[SCRAM_KEY];

	*v = (struct verifier){.mock = true, .iterations = VERIFIER_ROUNDS, .salt_bytes = 16};
	hmac(seed, VERIFIER_SEED, name, strlen(name), salt);
	memcpy(v->salt, salt, v->salt_bytes);
}

bool
verifier_prove(const struct verifier *v, const void *message, size_t bytes,
	       const uint8_t proof[SCRAM_KEY], uint8_t signature[SCRAM_KEY])
{
	uint8_t client_key[SCRAM_KEY], hash[SCRAM_KEY];
	bool right;

	hmac(v->stored_key, SCRAM_KEY, message, bytes, client_key);
	for (unsigned i = 0; i < SCRAM_KEY; i++)
		client_key[i] ^= proof[i];
	SHA256(client_key, SCRAM_KEY, hash);
	hmac(v->server_key, SCRAM_KEY, message, bytes, signature);
	right = CRYPTO_memcmp(hash, v->stored_key, SCRAM_KEY) == 0;
	right &= !v->mock;
	/* With the client's key anybody could log in. */
	OPENSSL_cleanse(client_key, sizeof client_key);
	return right;
}

void
verifier_fingerprint(const uint8_t seed[VERIFIER_SEED], const char *secret, uint8_t out[SCRAM_KEY])
{
	hmac(seed, VERIFIER_SEED, secret, strlen(secret), out);
}

void
verifier_random(uint8_t *out, size_t bytes)
{
	if (RAND_bytes(out, (int)bytes) != 1)
		log_fatal("", LOG_ALONE, "no random numbers");
}
