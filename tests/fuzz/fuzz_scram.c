/* The messages of SCRAM: scram_read_first(), scram_read_final(), scram_decode(). The first byte
 * says which; the rest is the text, up to its first NUL. */
#include <string.h>

#include "base/err.h"
#include "fuzz.h"
#include "wire/scram.h"

static void
check_problem(const struct scram_problem *p)
{
	MUST(p->message != NULL && *p->message);
	MUST(memchr(p->detail, 0, sizeof p->detail) != NULL);
}

static void
check_first(const char *text)
{
	size_t bytes = strlen(text);
	struct scram_problem p;
	struct scram_first f;

	if (scram_read_first(text, &f, &p) < 0) {
		check_problem(&p);
		return;
	}
	MUST(f.flag == 'n' || f.flag == 'y');
	MUST(f.bare == text + 3 && memcmp(f.bare, "n=", 2) == 0);
	MUST(f.nonce > f.bare && f.nonce + f.nonce_bytes <= text + bytes);
	MUST(memcmp(f.nonce - 2, "r=", 2) == 0);
	MUST(f.nonce[f.nonce_bytes] == ',' || f.nonce[f.nonce_bytes] == 0);
	for (size_t i = 0; i < f.nonce_bytes; i++)
		MUST(f.nonce[i] > ' ' && f.nonce[i] < 127 && f.nonce[i] != ',');
}

static void
check_final(const char *text, char flag)
{
	size_t bytes = strlen(text);
	struct scram_problem p;
	struct scram_final f;

	if (scram_read_final(text, flag, &f, &p) < 0) {
		check_problem(&p);
		return;
	}
	MUST(memcmp(text, flag == 'n' ? "c=biws,r=" : "c=eSws,r=", 9) == 0);
	MUST(f.nonce == text + 9 && f.nonce_bytes <= f.without_proof - 9);
	MUST(f.without_proof < bytes && memcmp(text + f.without_proof, ",p=", 3) == 0);
}

static void
check_base64(const char *text)
{
	uint8_t out[64], again[64];
	char encoded[SCRAM_ENCODED(sizeof out)];
	int n = scram_decode(text, strlen(text), out, sizeof out);

	MUST(n == -E_SYNTAX || (n >= 0 && n <= (int)sizeof out));
	if (n < 0)
		return;
	scram_encode(out, (size_t)n, encoded);
	MUST(strlen(encoded) + 1 == SCRAM_ENCODED((size_t)n));
	MUST(scram_decode(encoded, strlen(encoded), again, sizeof again) == n);
	MUST(memcmp(out, again, (size_t)n) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size == 0)
		return 0;
	text = malloc(size);
	if (text == NULL)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = 0;
	switch (*data) {
	case 'f':
		check_first(text);
		break;
	case 'n':
	case 'y':
		check_final(text, (char)*data);
		break;
	default:
		check_base64(text);
	}
	free(text);
	return 0;
}
