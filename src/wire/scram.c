#include "wire/scram.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* ---- base64 ---- */

void
scram_encode(const uint8_t *data, size_t bytes, char *out)
{
	for (; bytes >= 3; bytes -= 3, data += 3) {
		*out++ = digits[data[0] >> 2];
		*out++ = digits[(data[0] & 3) << 4 | data[1] >> 4];
		*out++ = digits[(data[1] & 15) << 2 | data[2] >> 6];
		*out++ = digits[data[2] & 63];
	}
	if (bytes > 0) {
		unsigned second = bytes > 1 ? data[1] : 0;

		*out++ = digits[data[0] >> 2];
		*out++ = digits[(data[0] & 3) << 4 | second >> 4];
		*out++ = bytes > 1 ? digits[(second & 15) << 2] : '=';
		*out++ = '=';
	}
	*out = 0;
}

/* Reads as lenient as PostgreSQL (common/base64.c): what stands behind the first padding is not
 * checked further. So a text that it takes is taken here, too. */
int
scram_decode(const char *text, size_t length, uint8_t *out, size_t room)
{
	uint32_t group = 0;
	unsigned have = 0, kept = 3; /* digits of the group, and its bytes that count */
	size_t bytes = 0;

	for (size_t i = 0; i < length; i++) {
		const char *digit = text[i] ? strchr(digits, text[i]) : NULL;

		if (text[i] == '=') {
			if (kept == 3 && have < 2)
				return -E_SYNTAX;
			if (kept == 3)
				kept = have - 1;
		} else if (digit == NULL) {
			return -E_SYNTAX;
		}
		group = group << 6 | (digit ? (uint32_t)(digit - digits) : 0);
		if (++have < 4)
			continue;
		for (unsigned k = 0; k < kept; k++) {
			if (bytes == room)
				return -E_SYNTAX;
			out[bytes++] = (uint8_t)(group >> (16 - 8 * k));
		}
		have = 0;
		group = 0;
	}
	return have > 0 ? -E_SYNTAX : (int)bytes;
}

/* ---- attributes ---- */

static int refuse(struct scram_problem *, const char *message, const char *detail, ...)
    __attribute__((format(printf, 3, 4)));

static int
refuse(struct scram_problem *p, const char *message, const char *detail, ...)
{
	va_list ap;

	*p = (struct scram_problem){.message = message};
	if (detail) {
		va_start(ap, detail);
		vsnprintf(p->detail, sizeof p->detail, detail, ap);
		va_end(ap);
	}
	return -E_SYNTAX;
}

static const char malformed[] = "malformed SCRAM message";

/* A character for people: 'x', or 0xnn. `room` has 8 bytes. */
static const char *
character(char c, char *room)
{
	if (c >= 0x21 && c <= 0x7e)
		snprintf(room, 8, "'%c'", c);
	else
		snprintf(room, 8, "0x%02x", (unsigned)(uint8_t)c);
	return room;
}

/* An attribute at *at: x=VALUE, up to a comma or the end. `wanted`: its letter, or 0 for any.
 * Returns 0 with the letter and the value, and moves *at behind the comma. */
static int
read_attribute(const char **at, char wanted, char *letter, const char **value, size_t *bytes,
	       struct scram_problem *p)
{
	const char *c = *at;
	char room[8];

	if (wanted && *c != wanted)
		return refuse(p, malformed, "Expected attribute \"%c\" but found \"%s\".", wanted,
			      character(*c, room));
	if (*c == 0)
		return refuse(p, malformed, "Attribute expected, but found end of string.");
	if (!((*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z')))
		return refuse(p, malformed,
			      "Attribute expected, but found invalid character \"%s\".",
			      character(*c, room));
	*letter = *c++;
	if (*c != '=')
		return refuse(p, malformed, "Expected character \"=\" for attribute \"%c\".",
			      *letter);
	*value = ++c;
	*bytes = strcspn(c, ",");
	c += *bytes;
	*at = *c ? c + 1 : c;
	return 0;
}

static bool
is_printable(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (text[i] < 0x21 || text[i] > 0x7e)
			return false;
	return true;
}

/* ---- messages ---- */

/* The gs2 header: the flag of channel binding, and no other identity. Moves *at behind it. */
static int
read_header(const char **at, struct scram_first *f, struct scram_problem *p)
{
	const char *c = *at;
	char room[8];

	f->flag = *c;
	if (*c == 'p')
		return refuse(p, malformed,
			      "The client selected " SCRAM_MECHANISM
			      " without channel binding, but "
			      "the SCRAM message includes channel binding data.");
	if (*c != 'n' && *c != 'y')
		return refuse(p, malformed, "Unexpected channel-binding flag \"%s\".",
			      character(*c, room));
	if (*++c != ',')
		return refuse(p, malformed, "Comma expected, but found character \"%s\".",
			      character(*c, room));
	if (*++c == 'a') {
		refuse(p, "client uses authorization identity, but it is not supported", NULL);
		p->unsupported = true;
		return -E_SYNTAX;
	}
	if (*c != ',')
		return refuse(p, malformed, "Unexpected attribute \"%s\" in client-first-message.",
			      character(*c, room));
	*at = c + 1;
	return 0;
}

int
scram_read_first(const char *text, struct scram_first *f, struct scram_problem *p)
{
	const char *at = text, *value;
	size_t bytes;
	char letter;
	int r = read_header(&at, f, p);

	if (r < 0)
		return r;
	f->bare = at;
	if (*at == 'm') {
		refuse(p, "client requires an unsupported SCRAM extension", NULL);
		p->unsupported = true;
		return -E_SYNTAX;
	}
	/* Its user name is not looked at: that of the startup packet counts. */
	if (read_attribute(&at, 'n', &letter, &value, &bytes, p) < 0 ||
	    read_attribute(&at, 'r', &letter, &f->nonce, &f->nonce_bytes, p) < 0)
		return -E_SYNTAX;
	if (!is_printable(f->nonce, f->nonce_bytes))
		return refuse(p, "non-printable characters in SCRAM nonce", NULL);
	while (*at)
		if (read_attribute(&at, 0, &letter, &value, &bytes, p) < 0)
			return -E_SYNTAX;
	return 0;
}

int
scram_read_final(const char *text, char flag, struct scram_final *f, struct scram_problem *p)
{
	/* What the first message said of channel binding, in base64: n,, or y,, */
	const char *expected = flag == 'n' ? "biws" : "eSws", *at = text, *value, *proof;
	size_t bytes;
	char letter;
	int n;

	if (read_attribute(&at, 'c', &letter, &value, &bytes, p) < 0)
		return -E_SYNTAX;
	if (bytes != strlen(expected) || memcmp(value, expected, bytes) != 0)
		return refuse(
		    p, "unexpected SCRAM channel-binding attribute in client-final-message", NULL);
	if (read_attribute(&at, 'r', &letter, &f->nonce, &f->nonce_bytes, p) < 0)
		return -E_SYNTAX;
	do {
		proof = at - 1;
		if (read_attribute(&at, 0, &letter, &value, &bytes, p) < 0)
			return -E_SYNTAX;
	} while (letter != 'p');
	n = scram_decode(value, bytes, f->proof, sizeof f->proof);
	if (n != SCRAM_KEY)
		return refuse(p, malformed, "Malformed proof in client-final-message.");
	if (*at)
		return refuse(p, malformed, "Garbage found at the end of client-final-message.");
	f->without_proof = (size_t)(proof - text);
	return 0;
}
