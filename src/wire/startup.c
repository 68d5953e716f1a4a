#include "wire/startup.h"

#include <string.h>

#include "base/err.h"
#include "wire/frame.h"

/* The parameter list must be pairs of strings and end with an empty name, exactly at the packet's
 * end. */
static int
check_params(const char *p, size_t bytes)
{
	const char *end = p + bytes, *nul;

	for (;;) {
		if (p == end)
			return -E_SYNTAX;
		if (*p == 0)
			return p + 1 == end ? 0 : -E_SYNTAX;
		for (int i = 0; i < 2; i++) {
			nul = memchr(p, 0, (size_t)(end - p));
			if (nul == NULL)
				return -E_SYNTAX;
			p = nul + 1;
		}
	}
}

/* Notes the values that every login needs. */
static void
find_common(struct startup *s)
{
	const char *at = s->params, *name, *value;

	while (startup_next(&at, &name, &value)) {
		if (strcmp(name, "user") == 0)
			s->user = value;
		else if (strcmp(name, "database") == 0)
			s->database = value;
		else if (strcmp(name, "replication") == 0)
			s->replication = value;
		else if (strncmp(name, "_pq_.", 5) == 0)
			s->asks_options = true;
	}
}

int
startup_read(const uint8_t *data, size_t bytes, struct startup *s)
{
	uint32_t code;

	*s = (struct startup){0};
	if (bytes < 4)
		return -E_AGAIN;
	s->length = frame_u32(data);
	if (s->length < 8 || s->length > STARTUP_LARGEST)
		return -E_RANGE;
	if (bytes < s->length)
		return -E_AGAIN;
	code = frame_u32(data + 4);
	switch (code) {
	case 1234 << 16 | 5679:
		s->kind = STARTUP_SSL;
		return 0;
	case 1234 << 16 | 5680:
		s->kind = STARTUP_GSSENC;
		return 0;
	case 1234 << 16 | 5678:
		s->kind = STARTUP_CANCEL;
		/* Up to 256 bytes of key since protocol 3.2 (PostgreSQL 18, 54.2.1). */
		if (s->length < 16 || s->length > 12 + STARTUP_KEY_MAX)
			return -E_RANGE;
		s->pid = frame_u32(data + 8);
		s->secret = data + 12;
		s->secret_bytes = s->length - 12;
		return 0;
	}
	s->kind = STARTUP_PROTOCOL;
	s->major = code >> 16;
	s->minor = code & 0xffff;
	if (s->major != 3)
		return 0; /* other versions have other parameters; the caller refuses the version */
	s->params = (const char *)data + 8;
	if (check_params(s->params, s->length - 8) < 0)
		return -E_SYNTAX;
	find_common(s);
	return 0;
}

int
startup_next(const char **at, const char **name, const char **value)
{
	if (**at == 0)
		return 0;
	*name = *at;
	*value = *name + strlen(*name) + 1;
	*at = *value + strlen(*value) + 1;
	return 1;
}

const char *
startup_get(const struct startup *s, const char *wanted)
{
	const char *at = s->params, *name, *value, *found = NULL;

	while (at && startup_next(&at, &name, &value))
		if (strcmp(name, wanted) == 0)
			found = value;
	return found;
}
